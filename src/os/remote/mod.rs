//! Two ends of a command that runs on another machine: here a program that carries bytes there and back, there a copy of
//! this process whose standard streams are pipes.

use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin, stdout};

use super::errno::{checked, poll_one, uninterrupted};
use super::linux::PidFd;
use super::worker::start_thread;

/// How much of its standard error is kept.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;
/// The standard error of a program that has ended may be held open by what it has left running.
const COMPLAINT_PATIENCE: Duration = Duration::from_millis(500);

/// A program of the user that carries our bytes to another machine and the answer back. Ctrl-C does not end it: the
/// other machine is told of that, and has the last word.
#[derive(Debug)]
pub struct Carrier {
    child: Child,
    complaint: Receiver<Vec<u8>>,
}

/// How such a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CarrierEnd {
    /// `None`: a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed on standard error.
    pub complaint: String,
}

impl Carrier {
    /// Starts it. What is written into the first pipe goes there, what comes back is read from the second one.
    ///
    /// # Errors
    /// `NotFound`: there is no such program on the PATH. No descriptors or threads left.
    pub fn start(program: &str, args: &[String]) -> io::Result<(Self, PipeWriter, PipeReader)> {
        let (input_reader, input) = io::pipe()?;
        let (output, output_writer) = io::pipe()?;
        let (mut errors, errors_writer) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(args).stdin(input_reader).stdout(output_writer).stderr(errors_writer);
        // SAFETY: a plain setting, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                Ok(())
            });
        }
        let child = command.spawn()?;
        drop(command); // with our copies of its ends
        let (kept, complaint) = channel();
        start_thread("complaint", move || {
            let mut block = [0; 4096];
            let mut bytes = 0;
            while let Ok(length @ 1..) = uninterrupted(|| errors.read(&mut block)) {
                let wanted = length.min(COMPLAINT_BYTES_MAX - bytes);
                bytes += wanted;
                if kept.send(block[..wanted].to_vec()).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self { child, complaint }, input, output))
    }

    /// What ends it, for another thread.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn ender(&self) -> io::Result<CarrierEnder> {
        PidFd::open(self.child.id()).map(CarrierEnder)
    }

    /// Waits for its end, which is near: it has closed its output. One that takes longer is ended.
    ///
    /// # Errors
    /// As `waitpid(2)`; no descriptors left.
    pub fn wait(mut self, patience: Duration) -> io::Result<CarrierEnd> {
        let ender = self.ender()?;
        if uninterrupted(|| poll_one(&ender.0, PollFlags::IN, Some(patience)))?.is_empty() {
            ender.end();
        }
        let exit_code = self.child.wait()?.code();
        let mut bytes = Vec::new();
        while let Ok(more) = self.complaint.recv_timeout(COMPLAINT_PATIENCE) {
            bytes.extend(more);
        }
        Ok(CarrierEnd { exit_code, complaint: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// Ends a carrier, wherever it is held.
#[derive(Debug)]
pub struct CarrierEnder(PidFd);

impl CarrierEnder {
    /// Asks it to end: it leaves the terminal as it has found it. One that has ended is not touched.
    pub fn end(&self) {
        let _it_may_have_ended = self.0.signal(libc::SIGTERM);
    }
}

/// Standard input and standard output, without the buffers that others use.
///
/// # Errors
/// No descriptors left.
pub fn bare_streams() -> io::Result<(PipeReader, PipeWriter)> {
    Ok((copy(stdin())?.into(), copy(stdout())?.into()))
}

fn copy(fd: impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// One half of this process after [`split_process`].
#[derive(Debug)]
pub enum Half {
    /// The new one: its standard streams are pipes, and it ends with the other half.
    Inner,
    /// The one that was there before.
    Outer {
        /// The new one.
        inner: InnerHalf,
        /// Its standard input.
        input: PipeWriter,
        /// Its standard output.
        output: PipeReader,
        /// Its standard error.
        errors: PipeReader,
    },
}

/// The new half of a process that was split, as the other one sees it: its child.
#[derive(Debug)]
pub struct InnerHalf(libc::pid_t);

/// Makes a second process of this one, which must not have other threads.
///
/// # Errors
/// The kernel refuses a process, or descriptors.
pub fn split_process() -> io::Result<Half> {
    let (input_reader, input) = io::pipe()?;
    let (output, output_writer) = io::pipe()?;
    let (errors, errors_writer) = io::pipe()?;
    let outer = rustix::process::getpid();
    // SAFETY: there is one thread (the caller's promise), so that the copy has everything that it needs to go on.
    let pid = checked(unsafe { libc::fork() })?;
    if pid > 0 {
        return Ok(Half::Outer { inner: InnerHalf(pid), input, output, errors });
    }
    set_parent_process_death_signal(Some(Signal::HUP))?;
    if rustix::process::getppid() != Some(outer) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    dup2_stdin(&input_reader)?;
    dup2_stdout(&output_writer)?;
    dup2_stderr(&errors_writer)?;
    Ok(Half::Inner)
}

impl InnerHalf {
    /// Sends Ctrl-C to it, unless it has ended.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn interrupter(&self) -> io::Result<impl Fn() + Send + 'static> {
        let process = PidFd::open(u32::try_from(self.0).unwrap_or(0))?;
        Ok(move || drop(process.signal(libc::SIGINT)))
    }

    /// Waits for its end; its exit code, as shells count it.
    ///
    /// # Errors
    /// As `waitpid(2)`.
    pub fn wait(self) -> io::Result<u8> {
        let mut status = 0;
        // SAFETY: `status` is valid for writing.
        uninterrupted(|| checked(unsafe { libc::waitpid(self.0, &raw mut status, 0) }))?;
        let code = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
        Ok(u8::try_from(code).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_carrier_takes_bytes_there_and_back_and_its_complaint_is_kept() {
        let script = "cat; echo no key >&2; exit 255".to_owned();
        let (carrier, mut input, mut output) = Carrier::start("sh", &["-c".to_owned(), script]).unwrap();
        input.write_all(b"there and back").unwrap();
        drop(input);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        let end = carrier.wait(Duration::from_secs(20)).unwrap();
        assert_eq!((text.as_str(), end.exit_code, end.complaint.as_str()), ("there and back", Some(255), "no key\n"));
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_others() {
        let error = Carrier::start("no-such-carrier", &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_carrier_that_hangs_can_be_ended_and_ignores_ctrl_c() {
        let (carrier, _input, _output) = Carrier::start("sleep", &["1000".to_owned()]).unwrap();
        let ender = carrier.ender().unwrap();
        ender.0.signal(libc::SIGINT).unwrap();
        ender.end();
        assert_eq!(carrier.wait(Duration::from_secs(20)).unwrap().exit_code, None);
    }
}
