//! `pm boot`: the unit that starts the apps at boot is written, enabled, told of truthfully, and taken away again.
//!
//! No test touches the init system of this machine: `systemctl` and `loginctl` are scripts in front of `PATH`, and units
//! are written below the sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Output, SOON, Sandbox, kill, ordinary, run, sandbox_of_ordinary_user, start_time, wait_until};

/// Writes down what it is called with; keeps one unit in mind.
const SYSTEMCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "systemctl $*" >> "$here/calls"
for word; do case $word in --user|--root=*) shift;; esac; done
case $1 in
is-enabled) if test -e "$here/enabled"; then echo enabled; else echo disabled; exit 1; fi;;
enable) touch "$here/enabled";;
disable) rm -f "$here/enabled";;
show) cat "$here/show" 2>/dev/null || printf 'ActiveState=inactive\nMainPID=0\n';;
esac
"#;

const NO_LINGER: &str = "#!/bin/sh\necho 'Could not enable linger: Access denied' >&2\nexit 1\n";

/// A machine with a pretended systemd, as an image below the sandbox or as that of an ordinary user.
struct Machine {
    sandbox: Sandbox,
    is_image: bool,
}

impl Machine {
    fn new(sandbox: Sandbox, is_image: bool) -> Self {
        let this = Self { sandbox, is_image };
        this.tool("tools/systemctl", SYSTEMCTL);
        this.tool("tools/loginctl", NO_LINGER);
        this.tool("image/usr/local/bin/pm", "#!/bin/sh\n");
        fs::set_permissions(this.sandbox.path("tools"), fs::Permissions::from_mode(0o777)).unwrap();
        this
    }

    fn image() -> Self {
        Self::new(Sandbox::new(), true)
    }

    fn of_user() -> Self {
        Self::new(sandbox_of_ordinary_user(), false)
    }

    fn tool(&self, name: &str, text: &str) {
        fs::set_permissions(self.sandbox.file(name, text), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `pm boot …` on this machine.
    fn boot(&self, words: &[&str]) -> Output {
        self.pm(&[&["boot"], words].concat())
    }

    fn pm(&self, words: &[&str]) -> Output {
        let root = self.sandbox.path("image").display().to_string();
        let own = if self.is_image { vec!["--root", &root] } else { vec!["--init", "systemd"] };
        let mut command = self.sandbox.command(&[words, &own].concat());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.sandbox.path("tools").display()));
        command.env("NVM_BIN", "/home/ann/.nvm/versions/node/v22/bin").env("SECRET", "from the shell");
        command.env("XDG_CONFIG_HOME", self.sandbox.path("config"));
        if self.is_image {
            command.env_remove("PM_HOME");
        }
        run(&mut command)
    }

    fn enable(&self, words: &[&str]) -> Output {
        let exe = if self.is_image { "/usr/local/bin/pm" } else { env!("CARGO_BIN_EXE_pm") };
        self.boot(&[&["enable", "--exe", exe], words].concat())
    }

    fn unit(&self) -> PathBuf {
        let folder = if self.is_image { "image/etc/systemd/system" } else { "config/systemd/user" };
        self.sandbox.path(folder).join("pm.service")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.unit()).unwrap()
    }

    /// What the tools were called with so far, without mere questions.
    fn calls(&self) -> Vec<String> {
        let calls = self.sandbox.read("tools/calls");
        let is_change = |line: &&str| !line.contains("is-enabled") && !line.contains(" show ");
        calls.lines().filter(is_change).map(str::to_owned).collect()
    }
}

#[test]
fn a_unit_is_written_once_and_taken_away_again() {
    let machine = Machine::image();
    machine.boot(&["status"]).code(1).says(&["not installed", "pm boot enable"]);
    machine.enable(&[]).ok().says(&["wrote `", "pm.service", "systemctl --root="]);
    let text = machine.text();
    for line in ["Type=notify", "ExecStart=/usr/local/bin/pm daemon run", "KillMode=process", "OOMPolicy=continue"] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    for word in ["nvm", "from the shell", "Environment", "User="] {
        assert!(!text.contains(word), "`{word}` in {text}");
    }
    let calls = machine.calls();
    assert!(matches!(&calls[..], [one] if one.contains("--root=") && one.ends_with("enable pm.service")), "{calls:?}");
    machine.enable(&[]).ok().says(&["nothing to do"]);
    assert_eq!((machine.calls(), machine.text()), (calls, text), "the second time changes nothing");
    machine.boot(&["status"]).ok().says(&["enabled", "pm.service"]);
    let status = machine.boot(&["status", "--json"]).ok().json();
    assert_eq!(
        (&status["state"], &status["scope"], &status["file"]),
        (&"enabled".into(), &"system".into(), &"written".into()),
        "{status}"
    );
    machine.boot(&["disable"]).ok().says(&["removed `"]);
    assert!(!machine.unit().exists());
    assert!(machine.calls().last().unwrap().ends_with("disable pm.service"));
    machine.boot(&["disable"]).ok().says(&["nothing to do"]);
    machine.boot(&["status"]).code(1).says(&["not installed"]);
    assert!(machine.sandbox.processes().is_empty(), "no daemon is needed for any of this");
}

#[test]
fn a_unit_of_ours_is_renewed_and_one_that_was_edited_is_left_alone() {
    let machine = Machine::image();
    machine.enable(&[]).ok();
    let first = machine.text();
    machine.tool("image/opt/pm", "#!/bin/sh\n");
    machine.boot(&["enable", "--exe", "/opt/pm"]).ok().says(&["wrote `"]);
    assert!(machine.text().contains("ExecStart=/opt/pm daemon run\n") && machine.text() != first);
    let edited = machine.text() + "# mine\n";
    fs::write(machine.unit(), &edited).unwrap();
    for words in [&["enable", "--exe", "/usr/local/bin/pm"][..], &["disable"]] {
        machine.boot(words).code(8).says(&["changed by hand", "--force", "systemctl edit"]);
        assert_eq!(machine.text(), edited, "{words:?}");
    }
    let status = machine.boot(&["status", "--json"]).ok().json();
    assert_eq!(status["file"], "edited", "{status}");
    let kept = machine.unit().with_extension("service.bak");
    machine.enable(&["--force"]).ok().says(&["kept the unit as `"]);
    assert_eq!((fs::read_to_string(&kept).unwrap(), machine.text()), (edited, first));
    machine.boot(&["disable"]).ok();
    assert!(kept.exists() && !machine.unit().exists(), "what was kept is not ours to remove");
}

#[test]
fn a_program_that_will_not_last_is_refused_and_printing_writes_nothing() {
    let machine = Machine::of_user();
    machine.boot(&["enable"]).code(8).says(&["build folder", "/usr/local/bin/pm", "--exe"]);
    machine.boot(&["enable", "--exe", "pm"]).code(64).says(&["absolute"]);
    machine.boot(&["enable", "--exe", "/nowhere/pm"]).code(64).says(&["/nowhere/pm"]);
    let printed = machine.boot(&["enable", "--print"]).ok().says(&["warning: ", "build folder"]).stdout;
    assert!(printed.contains("[Service]\nType=notify\n") && printed.contains(env!("CARGO_BIN_EXE_pm")), "{printed}");
    let json = machine.boot(&["enable", "--print", "--json"]).ok().json();
    assert_eq!((json["text"].as_str().unwrap(), json["init"].as_str().unwrap()), (printed.as_str(), "systemd"));
    assert!(!machine.unit().exists() && machine.calls().is_empty());
    for (init, word) in [("openrc", "#!/sbin/openrc-run"), ("runit", "exec "), ("launchd", "<plist")] {
        let mut command = machine.sandbox.command(&["boot", "enable", "--print", "--init", init]);
        run(&mut command).ok().says(&[word, "not tried"]);
        let mut command = machine.sandbox.command(&["boot", "enable", "--exe", "/bin/sh", "--init", init]);
        run(&mut command).code(1).says(&["--print", "not tried"]);
    }
    machine.pm(&["startup", "--print"]).ok().says(&["[Service]"]);
    machine.pm(&["unstartup"]).ok().says(&["nothing to do"]);
}

#[test]
fn a_user_is_told_what_root_has_to_run() {
    let machine = Machine::of_user();
    let name = ordinary("-un");
    let linger = format!("loginctl enable-linger {name}");
    machine.enable(&[]).code(3).says(&["wrote `", "systemctl --user enable pm.service", &linger, "Access denied"]);
    let text = machine.text();
    assert!(text.contains("WantedBy=default.target") && !text.contains("network-online"), "{text}");
    let home = format!("Environment=\"PM_HOME={}\"", machine.sandbox.home().display());
    assert!(text.lines().any(|line| line == home), "no `{home}` in {text}");
    let expected = ["systemctl --user daemon-reload", "systemctl --user enable pm.service"];
    assert_eq!(machine.calls(), expected);
    machine.boot(&["status"]).code(1).says(&["linger is off", &linger]);
    machine.boot(&["enable", "--user-name", "root"]).code(64).says(&["only root"]);
    // Permitted, it is done.
    machine.tool("tools/loginctl", "#!/bin/sh\n");
    machine.enable(&[]).ok().says(&["loginctl enable-linger"]);
}

#[test]
fn running_apps_are_not_touched_and_the_present_daemon_is_told_from_that_of_the_unit() {
    let machine = Machine::of_user();
    machine.tool("tools/loginctl", "#!/bin/sh\n");
    let sandbox = &machine.sandbox;
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    machine.enable(&["--now"]).ok().says(&["systemctl --user start pm.service"]);
    sandbox.pm(&["apply"]).ok();
    let (app, anchor) = (sandbox.pid("api/0"), sandbox.anchor_pid());
    let hand_over = format!("kill {anchor} && systemctl --user start pm.service");
    machine.enable(&[]).ok().says(&["at the next boot", "untouched", &hand_over]);
    machine.enable(&["--now"]).code(3).says(&["at the next boot"]);
    let state = |code: i32| machine.boot(&["status", "--json"]).code(code).json()["state"].clone();
    assert_eq!(state(1), "enabled_but_not_in_use", "and linger is off");
    machine.boot(&["status"]).code(1).says(&["was not started by it"]);
    sandbox.file("tools/show", format!("ActiveState=active\nMainPID={anchor}\n"));
    assert_eq!(state(1), "running");
    machine.boot(&["status"]).says(&["was started by it"]);
    machine.boot(&["disable"]).ok().says(&["go on until"]);
    assert_eq!((sandbox.pid("api/0"), sandbox.anchor_pid()), (app, anchor));
    // What the hint says does what it says: the apps are stopped, and what should run runs again with the next daemon.
    kill(anchor, libc::SIGTERM);
    wait_until("the apps are stopped", SOON, || start_time(app).is_none() && sandbox.processes().is_empty());
    assert_ne!(sandbox.pid("api/0"), app);
}

/// Every line of a unit: a section, or a key that systemd knows in it.
#[test]
fn the_units_are_units() {
    const KEYS: &[(&str, &[&str])] = &[
        ("[Unit]", &["Description", "Wants", "After", "RequiresMountsFor", "StartLimitIntervalSec"]),
        (
            "[Service]",
            &[
                "Type",
                "User",
                "Environment",
                "ExecStart",
                "KillMode",
                "OOMPolicy",
                "Restart",
                "RestartSec",
                "TimeoutStopSec",
                "LimitNOFILE",
            ],
        ),
        ("[Install]", &["WantedBy"]),
    ];
    let machine = Machine::image();
    let has_verify = Command::new("systemd-analyze").arg("--version").output().is_ok();
    machine.tool("image/opt/my pm/100 %n/pm", "#!/bin/sh\n");
    // systemd takes no quotes in the path of a program, however they are written.
    machine.tool("image/opt/it's/pm", "#!/bin/sh\n");
    machine.boot(&["enable", "--exe", "/opt/it's/pm"]).code(8).says(&["it\\'s"]);
    for (user, exe, home) in [
        (None, "/usr/local/bin/pm", None),
        (Some("daemon"), "/usr/local/bin/pm", None),
        (None, "/opt/my pm/100 %n/pm", Some("/srv/my %h pm")),
    ] {
        let root = machine.sandbox.path("image").display().to_string();
        let mut words = vec!["boot", "enable", "--print", "--root", &root, "--exe", exe];
        words.extend(user.into_iter().flat_map(|user| ["-u", user]));
        let mut command = machine.sandbox.command(&words);
        command.env_remove("PM_HOME").envs(home.map(|home| ("PM_HOME", home)));
        let text = run(&mut command).ok().stdout;
        let mut known: &[&str] = &[];
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((_, keys)) = KEYS.iter().find(|(section, _)| *section == line) {
                known = keys;
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("`{line}` is no line of a unit"));
            assert!(known.contains(&key) && !value.is_empty(), "`{line}` in {text}");
        }
        if has_verify {
            // In the image the program is there.
            let name = if user.is_some() { "pm-daemon.service" } else { "pm.service" };
            let file = machine.sandbox.file(&format!("image/etc/systemd/system/{name}"), &text);
            let mut verify = Command::new("systemd-analyze");
            verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg("--root").arg(&root);
            let output = verify.arg(file.file_name().unwrap()).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr);
            let about_us: Vec<&str> = complaint.lines().filter(|line| line.contains("pm")).collect();
            assert!(about_us.is_empty(), "systemd-analyze verify says {about_us:?} of {text}");
        }
    }
    if !has_verify {
        eprintln!("NOT RUN: no systemd-analyze on this machine");
    }
}
