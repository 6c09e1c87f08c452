//! A file that a person names may be a pipe, a device or a socket: its whole contents count, or the command fails.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::support::{Sandbox, run, wait_until};

const READER: &str =
    "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo \\\"$TOKEN-$LAST\\\" >> seen; exec sleep 1000'\"\n";

fn fifo(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a C string that lives across the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

/// Serves one reader: waits until it opens the pipe, writes in two parts, and leaves.
fn serve_once(pipe: &Path, secrets: &'static str) -> thread::JoinHandle<()> {
    let pipe = pipe.to_owned();
    thread::spawn(move || {
        let mut writer = fs::OpenOptions::new().write(true).open(pipe).unwrap();
        let (first, second) = secrets.split_at(secrets.len() / 2);
        writer.write_all(first.as_bytes()).unwrap();
        crate::support::pause_between_faults(std::time::Duration::from_millis(100));
        writer.write_all(second.as_bytes()).unwrap();
    })
}

const SECRETS: &str = "TOKEN=first\n# as slow as a password manager\nLAST=last\n";

#[test]
fn secrets_from_a_pipe_arrive_whole_and_the_pipe_is_read_once() {
    let sandbox = Sandbox::new();
    let pipe = fifo(&sandbox, "secrets");
    sandbox.ecosystem(&format!(
        "{READER}env_file = \"secrets\"\n{}",
        READER.replace("api", "web") + "env_file = \"secrets\"\n"
    ));
    for round in 1..=3 {
        let writer = serve_once(&pipe, SECRETS);
        sandbox.pm(&["apply"]).ok();
        writer.join().unwrap();
        if round == 1 {
            wait_until("both apps have their secrets", crate::support::SOON, || {
                sandbox.read("seen") == "first-last\nfirst-last\n"
            });
        }
    }
    assert_eq!(sandbox.starts_of("api/0"), 1, "the same secrets are no change");
}

/// The profile is remembered by the daemon, so the file is understood twice by one command.
#[test]
fn a_remembered_profile_reads_a_pipe_once() {
    let sandbox = Sandbox::new();
    let pipe = fifo(&sandbox, "secrets");
    sandbox.ecosystem(&format!("{READER}env_file = \"secrets\"\nenv_production = {{ MODE = \"p\" }}\n"));
    for args in [&["apply", "--profile", "production"][..], &["apply"], &["plan"]] {
        let writer = serve_once(&pipe, SECRETS);
        sandbox.pm(args).ok();
        writer.join().unwrap();
    }
}

#[test]
fn a_pipe_without_a_writer_is_an_error_and_nothing_starts() {
    let sandbox = Sandbox::new();
    fifo(&sandbox, "secrets");
    fifo(&sandbox, "more");
    sandbox.ecosystem(&format!("{READER}env_file = [\"secrets\", \"more\"]\n"));
    let began = std::time::Instant::now();
    sandbox.pm(&["apply"]).code(65).says(&["secrets", "more", "pipe"]);
    assert!(began.elapsed().as_secs() < 40, "the time limit is one for the whole command");
    assert_eq!(sandbox.processes(), []);
}

#[test]
fn an_ecosystem_file_may_be_a_pipe() {
    let sandbox = Sandbox::new();
    let pipe = fifo(&sandbox, "generated.toml");
    let writer = serve_once(&pipe, "project = \"shop\"\n[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["apply", "generated.toml"]).ok();
    writer.join().unwrap();
    sandbox.pid("api/0");
}

#[test]
fn an_env_file_by_process_substitution_is_read_whole() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&format!("{READER}env_file = \"${{SECRETS}}\"\n"));
    let mut producer = Command::new("sh")
        .args(["-c", "printf 'TOKEN=a\\n'; sleep 0.1; printf 'LAST=z\\n'"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = producer.stdout.take().unwrap();
    // SAFETY: the descriptor is open; the child needs it open too.
    unsafe { libc::fcntl(output.as_raw_fd(), libc::F_SETFD, 0) };
    run(sandbox.command(&["apply"]).env("SECRETS", format!("/dev/fd/{}", output.as_raw_fd()))).ok();
    producer.wait().unwrap();
    wait_until("the app has both values", crate::support::SOON, || sandbox.read("seen") == "a-z\n");
}

#[test]
fn devices_folders_and_sockets_are_bounded_or_refused() {
    let sandbox = Sandbox::new();
    let _listener = UnixListener::bind(sandbox.path("socket")).unwrap();
    fs::create_dir(sandbox.path("folder")).unwrap();
    let cases = [("/dev/zero", "too large"), ("folder", "folder"), ("socket", "socket")];
    for (file, words) in cases {
        sandbox.ecosystem(&format!("{READER}env_file = \"{file}\"\n"));
        sandbox.pm(&["check"]).code(65).says(&[file, words]);
        sandbox.pm(&["check", &sandbox.path(file).display().to_string()]).code(65).says(&[file, words]);
    }
    // A pipe without a name has no format, and no folder that paths could be relative to.
    let writer = serve_once(&fifo(&sandbox, "nameless"), "project = \"shop\"\n");
    sandbox.pm(&["apply", "nameless"]).code(65).says(&["nameless", "format"]);
    writer.join().unwrap();
    // The usual way to say "no file".
    sandbox.ecosystem(&format!("{READER}env_file = \"/dev/null\"\n"));
    sandbox.pm(&["check"]).ok();
    // What is compared by its contents is a file; a pipe beside it is not opened.
    fifo(&sandbox, "folder/pipe");
    sandbox.file("folder/built", "1");
    sandbox.ecosystem(&format!("{READER}restart_on = [\"folder\"]\n"));
    sandbox.pm(&["check"]).ok();
    sandbox.ecosystem(&format!("{READER}restart_on = [\"folder/pipe\"]\n"));
    sandbox.pm(&["check"]).code(65).says(&["folder/pipe", "not a file"]);
}
