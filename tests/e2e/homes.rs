//! The home of somebody else, or one that others may change: refused before anything is started or sent.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Output, SOON, Sandbox, kill, kill_both_now, run, wait_until};

/// Somebody who is neither root nor in `/etc/passwd`.
const STRANGER: u32 = 4711;
const APP: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

/// Only root can act as somebody else. The same rules are put to the test for everybody in `src/os/trust_tests.rs`.
fn is_root() -> bool {
    // SAFETY: passes nothing.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("NOT RUN: only root can act as another user");
    }
    is_root
}

/// A sandbox whose home exists, with everything that belongs to it.
fn made() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(APP);
    for folder in ["run/notify", "logs", "state"] {
        fs::create_dir_all(sandbox.home().join(folder)).unwrap();
    }
    for folder in FOLDERS {
        fs::set_permissions(sandbox.home().join(folder), Permissions::from_mode(0o700)).unwrap();
    }
    sandbox
}

const FOLDERS: [&str; 5] = ["", "run", "run/notify", "logs", "state"];

#[track_caller]
fn is_refused(sandbox: &Sandbox, output: Output, words: &[&str]) {
    output.code(69).says(words);
    assert!(sandbox.processes().is_empty(), "something was started: {:#?}", sandbox.processes());
}

#[test]
fn a_folder_of_the_home_that_others_may_write_is_refused() {
    for folder in FOLDERS {
        for mode in [0o770, 0o707, 0o1777] {
            let sandbox = made();
            let path = sandbox.home().join(folder);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            for command in ["list", "apply"] {
                let shown = path.display().to_string();
                let name = shown.trim_end_matches('/');
                is_refused(&sandbox, sandbox.pm(&[command]), &[name, &format!("{mode:04o}"), "chmod go-w"]);
            }
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            sandbox.pm(&["list"]).ok();
        }
    }
}

#[test]
fn a_home_that_somebody_could_swap_for_another_one_is_refused() {
    let sandbox = made();
    let above = sandbox.home().parent().unwrap().to_owned();
    fs::set_permissions(&above, Permissions::from_mode(0o777)).unwrap();
    is_refused(&sandbox, sandbox.pm(&["apply"]), &[above.to_str().unwrap(), "0777"]);
    // As in /tmp: what lies in it can be removed by its owner only.
    fs::set_permissions(&above, Permissions::from_mode(0o1777)).unwrap();
    sandbox.pm(&["apply"]).ok();
}

#[test]
fn root_does_not_use_a_folder_or_link_of_somebody_else() {
    if !is_root() {
        return;
    }
    for folder in FOLDERS {
        let sandbox = made();
        let path = sandbox.home().join(folder);
        chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
        let shown = path.display().to_string();
        for command in ["list", "apply", "daemon"] {
            let args = if command == "daemon" { vec!["daemon", "restart"] } else { vec![command] };
            is_refused(&sandbox, sandbox.pm(&args), &[shown.trim_end_matches('/'), "4711", "--as-root", "sudo -u"]);
        }
        // A link in the folder's place is followed if it is ours.
        chown(&path, Some(0), Some(0)).unwrap();
        let moved = sandbox.path("moved");
        fs::rename(&path, &moved).unwrap();
        let link = PathBuf::from(shown.trim_end_matches('/'));
        symlink(&moved, &link).unwrap();
        lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
        is_refused(&sandbox, sandbox.pm(&["list"]), &[link.to_str().unwrap(), "4711"]);
        lchown(&link, Some(0), Some(0)).unwrap();
        sandbox.pm(&["list"]).ok();
    }
}

#[test]
fn root_uses_a_home_of_somebody_else_if_it_insists() {
    if !is_root() {
        return;
    }
    let sandbox = made();
    for folder in FOLDERS {
        chown(sandbox.home().join(folder), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    is_refused(&sandbox, sandbox.pm(&["apply"]), &["is the home of 4711", "--as-root"]);
    sandbox.pm(&["apply", "--as-root"]).ok();
    sandbox.pm(&["list"]).code(69).says(&["--as-root"]);
    sandbox.pm(&["--as-root", "list"]).ok().says(&["api"]);
    // Insisting is about whose it is, not about who may write there.
    sandbox.pm(&["--as-root", "shutdown"]).ok();
    fs::set_permissions(sandbox.home(), Permissions::from_mode(0o777)).unwrap();
    is_refused(&sandbox, sandbox.pm(&["--as-root", "apply"]), &["0777"]);
}

/// Everything in a folder, with whom it belongs to.
fn owners(folder: impl AsRef<Path>) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        found.push((entry.path(), metadata.uid()));
        if metadata.is_dir() {
            found.extend(owners(entry.path()));
        }
    }
    found
}

/// What `--as-root` has made is the owner's: however it ended, the owner's own daemon begins in the same home, knows what
/// was declared there, and writes on in the same logs.
#[test]
fn the_owner_s_daemon_begins_where_root_s_has_ended() {
    if !is_root() {
        return;
    }
    for is_killed in [false, true] {
        let sandbox = Sandbox::of_user(STRANGER);
        sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo up; exec sleep 1000'\"\n");
        let as_root = |words: &[&str]| run(&mut sandbox.command_of_tester(&[&["--as-root"], words].concat())).ok();
        as_root(&["apply"]);
        as_root(&["restart", "api"]);
        let roots: Vec<_> = owners(sandbox.home()).into_iter().filter(|(_, owner)| *owner != STRANGER).collect();
        assert!(roots.is_empty(), "not the owner's: {roots:#?}");
        if is_killed {
            kill_both_now(&sandbox);
            for app in sandbox.app_processes() {
                kill(app.pid, libc::SIGKILL);
            }
            wait_until("nothing of root's lives", SOON, || sandbox.processes().is_empty());
        } else {
            as_root(&["shutdown"]);
        }
        sandbox.pm(&["start", "api"]).ok();
        sandbox.pm(&["logs", "api"]).ok().says(&["up"]);
        sandbox.pm(&["shutdown"]).ok();
    }
}

#[test]
fn a_user_does_not_use_the_home_of_somebody_else() {
    if !is_root() {
        return;
    }
    for owner in [STRANGER + 1, 0] {
        let sandbox = made();
        for folder in FOLDERS {
            chown(sandbox.home().join(folder), Some(owner), Some(owner)).unwrap();
        }
        // The way to it is open, so that it is the home that speaks against it.
        let above = sandbox.home().parent().unwrap().to_owned();
        fs::set_permissions(&above, Permissions::from_mode(0o755)).unwrap();
        let output = run(as_stranger(&mut sandbox.command(&["list"])));
        is_refused(&sandbox, output, &[sandbox.home().to_str().unwrap(), "PM_HOME to a folder of your own"]);
    }
}

fn as_stranger(command: &mut Command) -> &mut Command {
    // The binary may lie where only root can go: it is executed before the user changes.
    command.uid(STRANGER).gid(STRANGER)
}

#[test]
fn nothing_is_sent_to_a_stranger_behind_the_socket() {
    if !is_root() {
        return;
    }
    let sandbox = made();
    let path = sandbox.home().join("run/pm.sock");
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child changes its user, listens, and writes down what it is sent; it allocates, which glibc allows.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(reader);
        listen_as_stranger(&path, writer);
    }
    drop(writer);
    let mut reader = reader;
    let mut ready = [0; 1];
    reader.read_exact(&mut ready).unwrap();
    for command in [&["list"][..], &["apply"], &["start", "x.sh"], &["shutdown"]] {
        sandbox.pm(command).code(69).says(&["runs as 4711", "nothing was sent"]);
    }
    kill(u32::try_from(child).unwrap(), libc::SIGTERM);
    // SAFETY: a child of ours.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let mut sent = Vec::new();
    reader.read_to_end(&mut sent).unwrap();
    assert!(sent.is_empty(), "the stranger was sent {}", String::from_utf8_lossy(&sent));
}

/// Listens at `path` as somebody else, and passes on every byte that arrives.
fn listen_as_stranger(path: &Path, mut writer: std::io::PipeWriter) -> ! {
    use std::io::Write as _;
    // Bound by root (the folder is root's), listened at by the stranger: the kernel remembers the latter.
    let mut serve = || -> std::io::Result<()> {
        let listener = UnixListener::bind(path)?;
        // SAFETY: plain system calls of a process of one thread; `listen` again takes the credentials of now.
        unsafe {
            libc::setresgid(STRANGER, STRANGER, STRANGER);
            libc::setresuid(STRANGER, STRANGER, STRANGER);
            libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 16);
        }
        writer.write_all(b"!")?;
        loop {
            let (mut stream, _) = listener.accept()?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            writer.write_all(&bytes)?;
        }
    };
    let _ended = serve();
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(1) }
}

#[test]
fn the_version_of_a_daemon_is_not_told_where_nobody_can_know_it() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["version"]).ok().says(&["daemon not running"]);
    let mut relative = sandbox.command(&["version"]);
    let told = relative.env("PM_HOME", "here").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(!told.status.success() && !stdout.contains("not running"), "{stdout}{stderr}");
    assert!(stdout.starts_with("pm ") && stderr.contains("not an absolute path"), "{stdout}{stderr}");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_named_at_once() {
    for file in ["state/desired.journal", "logs/daemon.log"] {
        let sandbox = Sandbox::new();
        sandbox.pm(&["list"]).ok();
        sandbox.pm(&["shutdown"]).ok();
        let path = sandbox.home().join(file);
        fs::remove_file(&path).unwrap_or_default();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let began = std::time::Instant::now();
        let told = sandbox.pm(&["list"]);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{file}: {told}");
        assert!(told.status != 0 && told.stderr.contains("not a regular file"), "{file}: {told}");
        fs::remove_file(&path).unwrap();
        sandbox.pm(&["shutdown"]);
    }
}
