//! A command line of a user, run to its end within bounds of time and output.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use super::linux::{ExecPlan, Mailbox, Output, Parent, PidFd, reap_exit, spawn, wait_readable};
use crate::model::{ExecContext, Exit, Millis};

/// How often it is looked whether the caller has lost interest, or the command has ended and left its output open.
const LOOK_EVERY: Millis = Millis(20);
/// Bytes of output that are kept; the newest.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A command line for `sh -c`.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The text.
    pub text: String,
    /// The context in which it runs.
    pub context: ExecContext,
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
    let outputs = Output::Opened([input.try_clone()?.into(), input.into()]);
    let plan = ExecPlan::in_context(&line.context, &line.text, outputs)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let child = Running::start(&plan)?;
    drop(plan); // and with it our copies of the pipe's writing end
    let deadline = Instant::now().checked_add(line.timeout.duration());
    let (mut kept, mut buffer, mut is_open) = (VecDeque::new(), [0_u8; 8192], true);
    let end = loop {
        let is_readable = is_open && wait_readable([Some(output.as_fd()), None], Some(LOOK_EVERY))?[0];
        if is_readable {
            let count = output.read(&mut buffer)?;
            is_open = count > 0;
            kept.extend(&buffer[..count]);
            kept.drain(..kept.len().saturating_sub(OUTPUT_BYTES_MAX));
        } else if child.process.has_exited() {
            break CommandEnd::Ended(child.end());
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
    Ok((end, kept.into()))
}

/// A child that leads a group of its own; dropped, it is killed with what is left of the group.
struct Running {
    process: PidFd,
    is_reaped: std::cell::Cell<bool>,
}

impl Running {
    fn start(plan: &ExecPlan) -> io::Result<Self> {
        let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
        let started = spawn(plan, &Mailbox { pid: &pid, errno: &errno, stage: &stage }, Parent::Caller);
        let child = pid.into_inner().cast_unsigned();
        match started {
            Ok(pid) => Ok(Self { process: PidFd::open(pid)?, is_reaped: false.into() }),
            Err(failed) => {
                if child != 0 {
                    let _ends_at_once = reap_exit(child, true);
                }
                Err(io::Error::other(failed))
            }
        }
    }

    /// Kills what is left of the group while its number is still that of our child, then takes the child's status.
    fn end(&self) -> Exit {
        if self.is_reaped.replace(true) {
            return Exit::Unknown;
        }
        let _ = self.process.signal_group(libc::SIGKILL);
        reap_exit(self.process.pid(), true).ok().flatten().unwrap_or(Exit::Unknown)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Environment, Limits};

    fn line(text: &str, timeout: u64) -> CommandLine {
        let env = Environment::from([("PATH".into(), "/usr/bin:/bin".into()), ("WORD".into(), "hello".into())]);
        let limits = Limits { nice: Some(3), ..Limits::default() };
        let context = ExecContext { env, cwd: "/".into(), identity: None, umask: 0o071, limits };
        CommandLine { text: text.to_owned(), context, timeout: Millis(timeout) }
    }

    #[test]
    fn a_command_gives_its_end_and_its_last_words() {
        let never = AtomicBool::new(false);
        for (text, end, output) in [
            ("echo $WORD; echo oh >&2; exit 3", Exit::Code(3), "hello\noh\n"),
            ("kill -9 $$", Exit::Signal(9), ""),
            ("umask; nice; pwd", Exit::Code(0), "0071\n3\n/\n"),
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
