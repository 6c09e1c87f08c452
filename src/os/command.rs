//! A command line of a person, run to its end within bounds of time and output.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::RunAs;
use super::linux::{exit_of, wait_readable};
use crate::model::{Environment, Exit, Millis};

/// How often it is looked whether the caller has lost interest, or the command has ended and left its output open.
const LOOK_EVERY: Millis = Millis(20);
/// Bytes of output that are kept; the newest.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A command line for `sh -c`.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The text.
    pub text: String,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: Environment,
    /// Who it runs as.
    pub run_as: RunAs,
    /// When it is killed.
    pub timeout: Millis,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself.
    Ended(Exit),
    /// It took too long and was killed.
    TimedOut,
    /// Nobody wanted it any more, and it was killed.
    Cancelled,
}

/// Runs it and gives the end with the newest bytes of both outputs. Whatever it started and left in its process group
/// is killed. Blocks: for threads that may wait.
///
/// # Errors
/// It cannot be started.
pub fn run_command(line: &CommandLine, is_cancelled: &AtomicBool) -> io::Result<(CommandEnd, Vec<u8>)> {
    let (mut output, input) = io::pipe()?;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&line.text).env_clear().envs(&line.env).current_dir(&line.cwd).process_group(0);
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    if let Some(gid) = line.run_as.gid {
        command.gid(gid);
    }
    if let Some(uid) = line.run_as.uid {
        command.uid(uid);
    }
    let mut child = command.spawn()?;
    drop(command); // and with it our copies of the pipe's writing end
    let deadline = Instant::now().checked_add(line.timeout.duration());
    let (mut kept, mut buffer, mut is_open) = (VecDeque::new(), [0_u8; 8192], true);
    let end = loop {
        let is_readable = is_open && wait_readable([Some(output.as_fd()), None], Some(LOOK_EVERY))?[0];
        if is_readable {
            let count = output.read(&mut buffer)?;
            is_open = count > 0;
            kept.extend(&buffer[..count]);
            kept.drain(..kept.len().saturating_sub(OUTPUT_BYTES_MAX));
        } else if let Some(status) = child.try_wait()? {
            use std::os::unix::process::ExitStatusExt as _;
            break CommandEnd::Ended(exit_of(status.into_raw()));
        } else if !is_open {
            std::thread::sleep(Duration::from_millis(1));
        }
        if is_cancelled.load(Ordering::Relaxed) {
            break CommandEnd::Cancelled;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break CommandEnd::TimedOut;
        }
    };
    end_group(&mut child);
    Ok((end, kept.into()))
}

/// Kills what is left of the group and takes the status of its leader.
fn end_group(child: &mut Child) {
    let group = child.id().cast_signed();
    // SAFETY: two numbers. The group bears the number of a child that we have not reaped, or that led it a moment ago.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, timeout: u64) -> CommandLine {
        let env = Environment::from([("PATH".into(), "/usr/bin:/bin".into()), ("WORD".into(), "hello".into())]);
        let (text, cwd) = (text.to_owned(), "/".into());
        CommandLine { text, cwd, env, run_as: RunAs::default(), timeout: Millis(timeout) }
    }

    #[test]
    fn a_command_gives_its_end_and_its_last_words() {
        let never = AtomicBool::new(false);
        for (text, end, output) in [
            ("echo $WORD; echo oh >&2; exit 3", Exit::Code(3), "hello\noh\n"),
            ("kill -9 $$", Exit::Signal(9), ""),
            ("sleep 1000 & echo left", Exit::Code(0), "left\n"),
        ] {
            let (found, bytes) = run_command(&line(text, 60_000), &never).unwrap();
            assert_eq!((found, String::from_utf8_lossy(&bytes).as_ref()), (CommandEnd::Ended(end), output), "{text}");
        }
        let (_, bytes) = run_command(&line("yes 0123456789 | head -n 20000; echo end", 60_000), &never).unwrap();
        assert!(bytes.len() == OUTPUT_BYTES_MAX && bytes.ends_with(b"\nend\n"));
    }

    #[test]
    fn a_command_that_takes_too_long_or_is_not_wanted_is_killed() {
        let (end, bytes) = run_command(&line("echo a; sleep 1000", 50), &AtomicBool::new(false)).unwrap();
        assert_eq!((end, bytes.as_slice()), (CommandEnd::TimedOut, b"a\n".as_slice()));
        let (end, _) = run_command(&line("sleep 1000", 60_000), &AtomicBool::new(true)).unwrap();
        assert_eq!(end, CommandEnd::Cancelled);
    }
}
