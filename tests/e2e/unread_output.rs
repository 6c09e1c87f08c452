//! What a command does is done whether or not anybody reads what it says about it.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{SOON, Sandbox, Terminal, kill, pause_between_faults, wait_for, wait_until};

const FILE: &str = "[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\nupdate = { min_healthy_time = \"10ms\" }\n[[apps]]\nname = \"b\"\ncommand = \"sleep 1000\"\n";

/// A reader that does not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The descriptor is not open.
    Closed,
    /// A full disk.
    Full,
    /// The other end of the pipe is closed.
    Gone,
    /// The pipe is full and nobody reads.
    NeverReads,
}

const FAULTS: [Fault; 4] = [Fault::Closed, Fault::Full, Fault::Gone, Fault::NeverReads];

/// Words, and what has to be so afterwards.
type Deed<'a> = (&'a [&'a str], &'a dyn Fn() -> bool);

/// What the output of a command is connected with; a full pipe lives as long as this does.
struct Ends(Vec<std::io::PipeReader>);

/// Connects one stream of a command with something faulty.
fn connect(command: &mut Command, fd: i32, fault: Fault, ends: &mut Ends) {
    let set = |command: &mut Command, stdio: Stdio| {
        if fd == 1 {
            command.stdout(stdio)
        } else {
            command.stderr(stdio)
        };
    };
    match fault {
        Fault::Closed => {
            // SAFETY: close(2) is all that happens between fork and exec.
            unsafe {
                command.pre_exec(move || {
                    libc::close(fd);
                    Ok(())
                });
            }
        }
        Fault::Full => set(command, OpenOptions::new().write(true).open("/dev/full").unwrap().into()),
        Fault::Gone => {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            set(command, writer.into());
        }
        Fault::NeverReads => {
            let (reader, writer) = std::io::pipe().unwrap();
            fill(&writer);
            ends.0.push(reader);
            set(command, writer.into());
        }
    }
}

/// Fills a pipe to the brim.
fn fill(writer: &std::io::PipeWriter) {
    use std::os::fd::AsRawFd as _;
    let fd = writer.as_raw_fd();
    // SAFETY: a descriptor of ours and a valid piece of memory; the flag is taken back.
    unsafe {
        libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
        while libc::write(fd, [b'x'; 512].as_ptr().cast(), 512) > 0 {}
        libc::fcntl(fd, libc::F_SETFL, 0);
    }
}

/// Starts a command with faulty standard output, error, or both.
fn start(sandbox: &Sandbox, words: &[&str], fault: Fault, streams: &[i32]) -> (Child, Ends) {
    let mut command = sandbox.command(words);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut ends = Ends(Vec::new());
    for fd in streams {
        connect(&mut command, *fd, fault, &mut ends);
    }
    (command.spawn().unwrap(), ends)
}

/// Waits until a command has ended; one that waits for its reader ends when the reader goes.
fn end(mut child: Child, ends: Ends, what: &str) -> i32 {
    drop(ends);
    wait_for(&format!("{what} ends"), SOON, || child.try_wait().unwrap()).code().unwrap_or(-1)
}

const STREAMS: [&[i32]; 3] = [&[1], &[2], &[1, 2]];

fn every_command_does_what_it_has_to_do(fault: Fault) {
    let is_up = |sandbox: &Sandbox, id: &str| sandbox.instance(id).is_some_and(|it| it.phase == "running");
    for streams in STREAMS {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(FILE);
        sandbox.file("warns.toml", "project = \"warns\"\n[[apps]]\nname = \"w\"\ncommand = \"sleep 1000\"\nport = 1\n");
        let all = |ids: &[&str]| ids.iter().all(|id| is_up(&sandbox, id));
        let pid = || sandbox.instance("a/0").and_then(|it| it.pid);
        let before = std::cell::Cell::new(None);
        let deeds: [Deed; 11] = [
            (&["apply"], &|| all(&["a/0", "b/0"])),
            (&["restart", "all"], &|| all(&["a/0", "b/0"]) && pid() != before.get()),
            (&["reload", "a"], &|| all(&["a/0"]) && pid() != before.get()),
            (&["scale", "a", "2", "--json"], &|| all(&["a/0", "a/1"])),
            (&["stop", "a"], &|| !is_up(&sandbox, "a/0") && !is_up(&sandbox, "a/1")),
            (&["start", "a", "--json"], &|| all(&["a/0", "a/1"])),
            (&["start", "warns.toml"], &|| sandbox.list().iter().any(|it| it.id == "warns:w/0" || it.id == "w/0")),
            (&["start", "/bin/sleep", "-n", "s", "--", "1000"], &|| {
                sandbox.list().iter().any(|it| it.id.ends_with("s/0"))
            }),
            (&["delete", "b", "--json"], &|| sandbox.instance("b/0").is_none()),
            (&["down", "-p", "shop"], &|| sandbox.instance("a/0").is_none()),
            (&["apply", "--detach"], &|| all(&["a/0", "b/0"])),
        ];
        for (words, is_done) in deeds {
            before.set(pid());
            let (child, ends) = start(&sandbox, words, fault, streams);
            let what = format!("{words:?} with {streams:?} {fault:?}");
            wait_until(&format!("{what} has done it"), SOON, is_done);
            let code = end(child, ends, &what);
            let is_json_lost = words.contains(&"--json") && streams.contains(&1);
            let is_error = is_json_lost && matches!(fault, Fault::Full | Fault::Closed);
            assert_eq!(code, i32::from(is_error), "{what}");
        }
        let (child, ends) = start(&sandbox, &["shutdown"], fault, streams);
        wait_until("nothing lives", SOON, || sandbox.app_processes().is_empty());
        assert_eq!(end(child, ends, "shutdown"), 0);
    }
}

#[test]
fn every_command_does_its_work_without_output() {
    every_command_does_what_it_has_to_do(Fault::Closed);
}

#[test]
fn every_command_does_its_work_on_a_full_disk() {
    every_command_does_what_it_has_to_do(Fault::Full);
}

#[test]
fn every_command_does_its_work_without_a_reader() {
    every_command_does_what_it_has_to_do(Fault::Gone);
}

#[test]
fn every_command_does_its_work_with_a_reader_that_never_reads() {
    every_command_does_what_it_has_to_do(Fault::NeverReads);
}

#[test]
fn a_command_that_only_shows_fails_if_it_cannot_and_is_quiet_if_its_reader_goes() {
    let sandbox = Sandbox::applied(FILE);
    for words in [
        &["list"][..],
        &["list", "--json"],
        &["describe", "a"],
        &["why", "a"],
        &["env", "a"],
        &["events"],
        &["projects"],
        &["status"],
        &["config"],
        &["plan"],
        &["explain"],
        &["schema"],
        &["version"],
        &["completions", "bash"],
        &["daemon", "status"],
        &["--help"],
        &["logs", "--help"],
    ] {
        for (fault, expected) in [(Fault::Closed, 1), (Fault::Full, 1), (Fault::Gone, 0), (Fault::NeverReads, 0)] {
            let (child, ends) = start(&sandbox, words, fault, &[1]);
            assert_eq!(end(child, ends, &format!("{words:?} {fault:?}")), expected, "{words:?} {fault:?}");
        }
    }
    // The exit code tells of the file, whatever becomes of the text.
    sandbox.ecosystem("x = 1\n");
    for fault in FAULTS {
        for streams in STREAMS {
            let (child, ends) = start(&sandbox, &["check"], fault, streams);
            assert_eq!(end(child, ends, "check"), 65, "{fault:?} {streams:?}");
        }
    }
    // A follower ends with its reader.
    for words in [&["logs", "-f"][..], &["events", "-f"]] {
        let (child, ends) = start(&sandbox, words, Fault::NeverReads, &[1]);
        pause_between_faults(Duration::from_millis(300));
        drop(ends.0);
        sandbox.command(&["restart", "a"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let mut child = child;
        if words[0] == "events" {
            wait_for("it ends", SOON, || child.try_wait().unwrap());
        }
        kill(child.id(), libc::SIGKILL);
        child.wait().unwrap();
    }
}

/// Commands that can be given again and again.
const REPEATABLE: &[&[&str]] = &[
    &["apply"],
    &["apply", "--json"],
    &["plan"],
    &["diff"],
    &["check"],
    &["list"],
    &["list", "--json"],
    &["describe", "a"],
    &["why", "a"],
    &["logs", "a"],
    &["events"],
    &["events", "nobody"],
    &["start", "a"],
    &["stop", "b"],
    &["rollout", "status"],
    &["unhold", "a"],
    &["restart", "a"],
    &["reload", "a"],
    &["scale", "a", "1"],
    &["cron", "list"],
    &["cron", "next", "a"],
    &["projects"],
    &["status"],
    &["config"],
    &["env", "a"],
    &["exec", "a", "--", "true"],
    &["explain"],
    &["explain", "nothing"],
    &["schema"],
    &["daemon", "status"],
    &["save"],
    &["completions", "bash"],
    &["__complete", "pm stop "],
    &["version"],
    &["help"],
    &["help", "apply"],
    &["nonsense"],
];

/// The exit code tells of the deed. Only where the deed is an answer on standard output, it tells of that, too.
#[test]
fn the_exit_code_of_every_command_is_the_same_whatever_becomes_of_its_text() {
    let sandbox = Sandbox::applied(FILE);
    for words in REPEATABLE {
        let expected = sandbox.pm(words).status;
        for fault in FAULTS {
            for streams in STREAMS {
                let (child, ends) = start(&sandbox, words, fault, streams);
                let code = end(child, ends, &format!("{words:?} {streams:?} {fault:?}"));
                let is_answer_lost =
                    expected == 0 && streams.contains(&1) && matches!(fault, Fault::Closed | Fault::Full);
                assert!(
                    code == expected || is_answer_lost && code == 1,
                    "{words:?} {streams:?} {fault:?}: {code} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn dev_clears_away_whatever_becomes_of_its_output() {
    let file = "[[apps]]\nname = \"a\"\ncommand = \"sh -c 'while :; do echo a line of output; sleep 0.01; done'\"\nwatch = false\n";
    for fault in FAULTS {
        for streams in STREAMS {
            let sandbox = Sandbox::new();
            sandbox.ecosystem(file);
            let (child, ends) = start(&sandbox, &["dev"], fault, streams);
            let what = format!("dev with {streams:?} {fault:?}");
            wait_until(&format!("{what}: the app has run"), SOON, || !sandbox.log_text("a", "out", 0).is_empty());
            // A reader that has gone ends it by itself.
            if !(fault == Fault::Gone && streams.contains(&1)) {
                kill(child.id(), libc::SIGINT);
            }
            wait_until(&format!("{what}: nothing lives"), SOON, || sandbox.app_processes().is_empty());
            end(child, ends, &what);
        }
    }
}

#[test]
fn dev_that_is_piped_into_head_ends_with_it() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = \"sh -c 'while :; do echo line; sleep 0.01; done'\"\nwatch = false\n",
    );
    let mut command = sandbox.command(&[]);
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$PM\" dev | head -n 3"])
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = File::create(sandbox.path("said")).unwrap();
    let status = shell.env("PM", program).current_dir(sandbox.path("")).stdout(said).stderr(Stdio::null()).status();
    assert!(status.unwrap().success());
    wait_until("nothing lives", SOON, || sandbox.app_processes().is_empty());
    command.args(["list"]);
}

#[test]
fn dev_whose_terminal_is_closed_clears_away() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(FILE);
    let mut command = sandbox.command(&["dev"]);
    // SAFETY: both calls may be made between fork and exec; the terminal becomes the one of the new session.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let (mut terminal, mut child) = Terminal::start(&mut command, true);
    wait_until("both run", SOON, || sandbox.list().iter().filter(|it| it.phase == "running").count() == 2);
    terminal.hang_up();
    wait_until("nothing lives", SOON, || sandbox.app_processes().is_empty());
    // As shells and service managers do: once more, and with other words.
    for signal in [libc::SIGHUP, libc::SIGHUP] {
        kill(child.id(), signal);
    }
    wait_for("it ends", SOON, || child.try_wait().unwrap());
}
