//! A home of its own for every test, with the real binary in it; at the end nothing may be left.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{AppEvent, InstanceView, Process, SOON, kill, processes_with, wait_for, wait_until};

/// No command may take longer than this: it would hang in front of a person.
const COMMAND_MAX: Duration = Duration::from_secs(90);

/// A file of `support/fixtures/`.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/support/fixtures").join(name);
    assert!(path.exists(), "there is no fixture {name}");
    path.display().to_string()
}

/// `PM_HOME` and a project folder, alone in a temporary folder.
pub struct Sandbox {
    root: TempDir,
    /// Every `pm` of it runs as this user and group, and in no other group.
    user: Option<u32>,
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Exit code; -1 for a death by signal.
    pub status: i32,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Sandbox {
    /// An empty home and an empty project folder `shop`.
    pub fn new() -> Self {
        let root = TempDir::with_prefix("pm-e2e-").unwrap();
        for folder in ["user", "shop"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, user: None }
    }

    /// The same, for this user: everything in it is that user's, and every `pm` runs as that user.
    pub fn of_user(user: u32) -> Self {
        let mut sandbox = Self::open_to_all();
        sandbox.user = Some(user);
        for path in sandbox.folders() {
            chown(&path, Some(user), Some(user)).unwrap();
        }
        sandbox
    }

    /// A new sandbox that everybody can enter, for apps of other users.
    pub fn open_to_all() -> Self {
        let sandbox = Self::new();
        for path in sandbox.folders() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        sandbox
    }

    fn folders(&self) -> [PathBuf; 3] {
        [self.root.path().to_owned(), self.path(""), self.root.path().join("user")]
    }

    /// A new sandbox with this `ecosystem.toml`, already applied.
    pub fn applied(ecosystem: &str) -> Self {
        let sandbox = Self::new();
        sandbox.ecosystem(ecosystem);
        sandbox.pm(&["apply"]).ok();
        sandbox
    }

    /// The value of `PM_HOME`.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// A path in the project folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("shop").join(name)
    }

    /// Writes a file into the project folder.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes `ecosystem.toml` of the project `shop`.
    pub fn ecosystem(&self, text: &str) -> PathBuf {
        self.file("ecosystem.toml", format!("project = \"shop\"\n{text}"))
    }

    /// The text of a file in the project folder, empty while there is none.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// `pm …` in the project folder with an environment of its own, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_of_tester(args);
        if let Some(user) = self.user {
            let (pm, id) = (command, [format!("--reuid={user}"), format!("--regid={user}")]);
            command = Command::new("setpriv");
            command.args(id).arg("--clear-groups").arg(pm.get_program()).args(pm.get_args());
            self.surround(&mut command);
        }
        command
    }

    /// The same as whoever runs the tests, whomever the sandbox is of.
    pub fn command_of_tester(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pm"));
        command.args(args);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.current_dir(self.path("")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root.path().join("user")).env("LANG", "C.UTF-8").env("PM_HOME", self.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Runs `pm …` and waits for its end.
    pub fn pm(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// Starts `pm …` without waiting; [`finish`] waits.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// All instances as `pm list` shows them.
    pub fn list(&self) -> Vec<InstanceView> {
        InstanceView::all(&self.pm(&["list", "-A", "--json"]).ok().json())
    }

    /// One instance of the project `shop`, if it is listed: `api/0`.
    pub fn instance(&self, id: &str) -> Option<InstanceView> {
        self.list().into_iter().find(|instance| instance.id == id)
    }

    /// Waits until `id` is in `phase`, then shows it.
    #[track_caller]
    pub fn wait_phase(&self, id: &str, phase: &str) -> InstanceView {
        let mut last = None;
        wait_for(&format!("{id} is {phase}"), SOON, || {
            last = self.instance(id);
            last.clone().filter(|instance| instance.phase == phase)
        })
    }

    /// The pid of a running instance.
    #[track_caller]
    pub fn pid(&self, id: &str) -> u32 {
        self.wait_phase(id, "running").pid.unwrap_or_else(|| panic!("{id} runs without a pid"))
    }

    /// The pid of an instance, whatever its phase, as soon as it has a process.
    #[track_caller]
    pub fn wait_pid(&self, id: &str) -> u32 {
        wait_for(&format!("{id} has a process"), SOON, || self.instance(id)?.pid)
    }

    /// Everything that was started on behalf of this sandbox and lives.
    pub fn processes(&self) -> Vec<Process> {
        processes_with(self.root.path())
    }

    /// What lives besides daemon, anchor and commands: the apps and what they started.
    pub fn app_processes(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| !process.is_pm).collect()
    }

    /// The daemon's pid, once there is exactly one.
    #[track_caller]
    pub fn daemon_pid(&self) -> u32 {
        self.only("daemon", Process::is_daemon)
    }

    /// The anchor's pid, once there is exactly one.
    #[track_caller]
    pub fn anchor_pid(&self) -> u32 {
        self.only("anchor", Process::is_anchor)
    }

    #[track_caller]
    fn only(&self, what: &str, is_it: fn(&Process) -> bool) -> u32 {
        wait_for(&format!("there is exactly one {what}"), SOON, || {
            let found: Vec<Process> = self.processes().into_iter().filter(is_it).collect();
            (found.len() == 1).then(|| found[0].pid)
        })
    }

    /// Ends the daemon as a bug would, and waits until the next one lives.
    pub fn kill_daemon(&self) {
        let old = self.daemon_pid();
        kill(old, libc::SIGKILL);
        wait_until("the anchor starts another daemon", SOON, || self.daemon_pid() != old);
    }

    /// How often a process of `id` was started, as the events tell.
    pub fn starts_of(&self, id: &str) -> usize {
        let (app, about) = (id.split('/').next().unwrap_or(id), format!("shop:{id}"));
        self.events_of(app).iter().filter(|event| event.about == about && event.fact == "started").count()
    }

    /// Every event of one app so far; none before it is declared.
    pub fn events_of(&self, app: &str) -> Vec<AppEvent> {
        let told = self.pm(&["events", app, "--limit", "1000000", "--json"]);
        if told.status == 1 && told.stderr.contains("no app") { Vec::new() } else { AppEvent::all(&told.ok().json()) }
    }

    /// The newest events of all (the daemon has a limit for one answer).
    pub fn events(&self) -> Vec<AppEvent> {
        AppEvent::all(&self.pm(&["events", "-A", "--limit", "1000000", "--json"]).ok().json())
    }

    /// The current log file of an instance: `out` or `error`.
    pub fn log_text(&self, app: &str, stream: &str, slot: u32) -> Vec<u8> {
        fs::read(self.home().join(format!("logs/shop/{app}-{stream}-{slot}.log"))).unwrap_or_default()
    }
}

/// Runs a command of [`Sandbox::command`] and waits for its end.
pub fn run(command: &mut Command) -> Output {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let child = command.spawn().unwrap();
    finish(child, &format!("pm {}", words.join(" ")))
}

/// Waits for the end of a command that was started.
pub fn finish(mut child: Child, command: &str) -> Output {
    // Read while it runs (a full pipe would stop it) and to the end: a daemon that keeps the pipe of
    // the command that started it would hang every script which captures the output.
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let status = wait_for(&format!("`{command}` ends"), COMMAND_MAX, || child.try_wait().unwrap());
    wait_until(&format!("nobody holds the output of `{command}`"), SOON, || {
        stdout.is_finished() && stderr.is_finished()
    });
    let text = |reader: thread::JoinHandle<Vec<u8>>| String::from_utf8_lossy(&reader.join().unwrap()).into_owned();
    Output {
        command: command.to_owned(),
        status: status.code().unwrap_or(-1),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        pipe.expect("both outputs are pipes").read_to_end(&mut all).unwrap_or_default();
        all
    })
}

impl Drop for Sandbox {
    /// Shuts down as a person would, then makes sure: nothing that carries our path may live on.
    fn drop(&mut self) {
        if self.processes().is_empty() {
            return;
        }
        let is_failing = thread::panicking();
        if is_failing {
            eprintln!("-- left in the sandbox: {:#?}", self.processes());
            for look in [&["list"][..], &["events", "--lines", "60"], &["logs", "--lines", "60"]] {
                eprintln!("-- pm {}\n{}", look.join(" "), self.pm(look).stdout);
            }
        }
        let shutdown = self.command(&["shutdown"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let has_ended = |mut child: Child| (0..4000).any(|_| poll_end(&mut child));
        let was_orderly = shutdown.is_ok_and(has_ended);
        let left = self.processes();
        for process in &left {
            kill(process.pid, libc::SIGKILL);
        }
        if !is_failing {
            assert!(was_orderly, "`pm shutdown` did not end");
            assert!(left.is_empty(), "`pm shutdown` has ended, and these live on: {left:#?}");
        }
    }
}

fn poll_end(child: &mut Child) -> bool {
    super::pause_between_faults(Duration::from_millis(5));
    matches!(child.try_wait(), Ok(Some(_)))
}

impl Output {
    /// Fails unless the exit code is 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status, code, "exit code of {self}");
        self
    }

    /// Fails unless one of the outputs contains every one of `words`.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            let is_said = self.stdout.contains(word) || self.stderr.contains(word);
            assert!(is_said, "`{word}` is not in the output of {self}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}) from {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (exit {})\n-- stdout\n{}\n-- stderr\n{}", self.command, self.status, self.stdout, self.stderr)
    }
}
