//! A short command that `pm` runs besides an app: its end can be awaited, and it cannot outlive its limit.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pidfd::PidFd;
use super::reaper::reap_exit;
use super::spawn::{ExecPlan, Mailbox, Parent, SpawnFailed, spawn};
use crate::model::{Exit, SpawnStage};
use crate::os::errno::checked;

/// What is kept of the output: its end.
const OUTPUT_BYTES_MAX: usize = 4096;

/// A child of this process in a session of its own. Dropped before its end it is killed with its group.
#[derive(Debug)]
pub struct Helper {
    process: PidFd,
    output: Option<io::PipeReader>,
    printed: Vec<u8>,
    is_reaped: bool,
}

/// The pipe for both outputs of a helper.
///
/// # Errors
/// No descriptors left.
pub fn helper_output() -> io::Result<(io::PipeReader, [OwnedFd; 2])> {
    let (reader, writer) = io::pipe()?;
    // SAFETY: no pointers are passed.
    checked(unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((reader, [writer.try_clone()?.into(), writer.into()]))
}

impl Helper {
    /// Starts the program of `plan`, whose outputs are those of [`helper_output`]. Blocks until it is executed.
    ///
    /// # Errors
    /// The step that failed; nothing is left then.
    pub fn start(plan: ExecPlan, output: io::PipeReader) -> Result<Self, SpawnFailed> {
        let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
        let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
        let started = spawn(&plan, &mailbox, Parent::Caller);
        drop(plan); // with our copies of the writing ends
        let pid = pid.into_inner().cast_unsigned();
        match started {
            Ok(_) => {
                let process = PidFd::open(pid).map_err(|error| SpawnFailed {
                    stage: SpawnStage::Clone,
                    errno: error.raw_os_error().unwrap_or(libc::EIO),
                })?;
                Ok(Self { process, output: Some(output), printed: Vec::new(), is_reaped: false })
            }
            Err(failed) => {
                if pid != 0 {
                    // It lives for a few more instructions: wait for these.
                    let _ = reap_exit(pid, true);
                }
                Err(failed)
            }
        }
    }

    /// Waits for its end; `None` if that does not come within `limit`. Whatever it left in its group is killed.
    ///
    /// # Errors
    /// No runtime, no descriptors left.
    pub async fn end(&mut self, limit: Duration) -> io::Result<Option<Exit>> {
        let watched = self.process.try_clone()?;
        // SAFETY (both): the descriptors are valid and stay open for as long as the registration.
        let ended =
            unsafe { AsyncFd::register_with_interest(watched.as_fd().try_clone_to_owned()?, Interest::READABLE)? };
        let reader = self.output.as_ref().map(|output| output.as_fd().try_clone_to_owned()).transpose()?;
        let reader = match reader {
            Some(reader) => Some(unsafe { AsyncFd::register_with_interest(reader, Interest::READABLE)? }),
            None => None,
        };
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ready = ended.readable() => {
                    drop(ready?);
                    break;
                }
                ready = async { match &reader { Some(reader) => reader.readable().await, None => std::future::pending().await } },
                    if self.output.is_some() =>
                {
                    let mut ready = ready?;
                    self.drain();
                    ready.clear_ready();
                }
                () = &mut deadline => return Ok(None),
            }
        }
        self.drain();
        let _ = self.process.signal_group(libc::SIGKILL);
        self.is_reaped = true;
        Ok(Some(reap_exit(self.process.pid(), false)?.unwrap_or(Exit::Unknown)))
    }

    /// The last line that it printed.
    pub fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.printed);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// Takes what was printed, so that it never waits for a reader; keeps the end of it.
    fn drain(&mut self) {
        let Some(output) = &mut self.output else { return };
        let mut block = [0; 4096];
        loop {
            match output.read(&mut block) {
                Ok(0) => {
                    self.output = None;
                    return;
                }
                Ok(length) => {
                    self.printed.extend_from_slice(&block[..length]);
                    let surplus = self.printed.len().saturating_sub(OUTPUT_BYTES_MAX);
                    self.printed.drain(..surplus);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        let _ = self.process.signal_group(libc::SIGKILL);
        let _ = self.process.signal(libc::SIGKILL);
        let (Ok(process), Ok(runtime)) = (self.process.try_clone(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        // Ending takes the kernel a moment, and nobody here may wait for it.
        runtime.spawn(async move {
            let Ok(fd) = process.as_fd().try_clone_to_owned() else { return };
            // SAFETY: the descriptor is valid and belongs to the registration.
            let Ok(ended) = (unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }) else { return };
            if ended.readable().await.is_ok() {
                let _ = reap_exit(process.pid(), false);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::spawn::Output;
    use super::*;
    use crate::model::Limits;
    use crate::os::linux::proc_stat;

    fn start(script: &str) -> Helper {
        let (reader, [stdout, stderr]) = helper_output().unwrap();
        let plan = ExecPlan {
            program: c"/bin/sh".to_owned(),
            argv: ["sh", "-c", script].map(|word| std::ffi::CString::new(word).unwrap()).to_vec(),
            envp: vec![c"PATH=/usr/bin:/bin".to_owned()],
            cwd: c"/".to_owned(),
            identity: None,
            umask: 0o022,
            output: Output::Opened([stdout, stderr]),
            handed: Vec::new(),
            is_told_its_pid: false,
            limits: Limits::default(),
            group: None,
            dies_with_caller: true,
        };
        Helper::start(plan, reader).unwrap()
    }

    #[tokio::test]
    async fn its_end_and_its_last_words_are_known_even_after_a_flood() {
        let mut helper = start(
            "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo no database >&2; exit 3",
        );
        assert_eq!(helper.end(Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(3)));
        assert_eq!(helper.last_line().as_deref(), Some("no database"));
        assert!(helper.printed.len() <= OUTPUT_BYTES_MAX);
    }

    #[tokio::test]
    async fn at_its_time_limit_it_goes_with_everything_that_it_started() {
        let mut helper = start("sleep 1000 & echo $!; wait");
        assert_eq!(helper.end(Duration::from_millis(200)).await.unwrap(), None);
        let child: u32 = helper.last_line().unwrap().parse().unwrap();
        let main = helper.process.pid();
        drop(helper);
        let is_gone = |pid| proc_stat(pid).map_or(true, |stat| stat.is_zombie);
        let is_reaped = |pid| proc_stat(pid).map_or(true, |stat| stat.ppid != std::process::id());
        while !(is_gone(child) && is_reaped(main)) {
            tokio::task::yield_now().await;
        }
    }
}
