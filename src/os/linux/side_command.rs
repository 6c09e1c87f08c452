//! A short command that `pm` runs beside an app, as a child of its own: its end can be awaited, what it prints is kept as
//! far as somebody wants it, and it cannot outlive its limit.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pidfd::PidFd;
use super::reaper::reap_exit;
use super::spawn::{ExecPlan, Mailbox, Parent, SpawnFailed, spawn};
use super::tree::descendants;
use crate::model::{Exit, Millis, SpawnStage};
use crate::os::errno::checked;

/// Blocks that are taken of the output before others have their turn: who prints without end must not keep them waiting.
const BLOCKS_MAX: usize = 16;
/// How soon SIGKILL is repeated: a fork storm may outrun the first one.
const KILL_EVERY: Duration = Duration::from_millis(10);
/// Looks for what a command has left: what is killed may have started more.
const LOOKS_MAX: usize = 50;
/// Between two of them.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long a thread that may block waits for the end of what it has killed.
const DEATH_MAX: Millis = Millis(1000);

/// A child of this process in a session of its own. Dropped before its end it is killed with everything that it has
/// started.
#[derive(Debug)]
pub struct Helper {
    process: PidFd,
    printed: Option<Printed>,
    /// `None`: it ends with its command.
    gate: Option<HelperGate>,
    is_reaped: bool,
}

/// Our end of the socket on which the shell of a helper says that its command has ended, and waits to be let go: until then
/// it is the parent of whatever the command has left, however that has hidden itself.
#[derive(Debug)]
pub struct HelperGate(UnixStream);

impl HelperGate {
    /// The gate, and the end for [`ExecPlan::behind_gate`].
    ///
    /// # Errors
    /// No descriptors left.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        Ok((Self(own), other.into()))
    }
}

/// What a helper prints on both outputs: the end of it is kept.
#[derive(Debug)]
pub struct Printed {
    /// `None`: it has closed them.
    reader: Option<io::PipeReader>,
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Printed {
    /// A pipe, and its ends for a plan. The newest `bytes_max` bytes are kept.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn open(bytes_max: usize) -> io::Result<(Self, [OwnedFd; 2])> {
        let (reader, writer) = io::pipe()?;
        // SAFETY: no pointers are passed.
        checked(unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
        let this = Self { reader: Some(reader), bytes: Vec::new(), bytes_max };
        Ok((this, [writer.try_clone()?.into(), writer.into()]))
    }

    fn watched(&self) -> io::Result<Option<AsyncFd<OwnedFd>>> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let fd = reader.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is valid and belongs to the registration.
        Ok(Some(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? }))
    }

    /// Takes what is there, up to a limit; true: that was all.
    fn take(&mut self) -> bool {
        let mut block = [0; 4096];
        for _ in 0..BLOCKS_MAX {
            let Some(reader) = &mut self.reader else { return true };
            match reader.read(&mut block) {
                Ok(0) => self.reader = None,
                Ok(length) => self.keep(&block[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    }

    fn keep(&mut self, block: &[u8]) {
        self.bytes.extend_from_slice(block);
        if self.bytes.len() > 2 * self.bytes_max {
            self.bytes.drain(..self.bytes.len() - self.bytes_max);
        }
    }

    fn newest(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.bytes_max)..]
    }
}

impl Helper {
    /// Starts the program of `plan`. With `printed` its outputs are the ends that came with it. Blocks until it is
    /// executed: for threads that may wait, and that live on: it is killed when the thread ends.
    ///
    /// # Errors
    /// The step that failed; nothing is left then.
    pub fn start(plan: ExecPlan, printed: Option<Printed>) -> Result<Self, SpawnFailed> {
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
                Ok(Self { process, printed, gate: None, is_reaped: false })
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

    /// The helper whose plan has the other end of this gate.
    #[must_use]
    pub fn behind(mut self, gate: HelperGate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Waits for its end; `None` if that does not come within `limit`. Whatever it left in its group is killed; behind a gate
    /// everything that it left.
    ///
    /// # Errors
    /// No runtime, no descriptors left.
    pub async fn end(&mut self, limit: Duration) -> io::Result<Option<Exit>> {
        let ended = watched(&self.process)?;
        let output = self.printed.as_ref().map(Printed::watched).transpose()?.flatten();
        let mut gate = self.gate.as_ref().map(|gate| watched(&gate.0)).transpose()?;
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        loop {
            let is_open = self.printed.as_ref().is_some_and(|printed| printed.reader.is_some());
            tokio::select! {
                ready = ended.readable() => {
                    drop(ready?);
                    break;
                }
                ready = async { match &output { Some(output) => output.readable().await, None => std::future::pending().await } },
                    if is_open =>
                {
                    let mut ready = ready?;
                    if self.printed.as_mut().is_none_or(Printed::take) {
                        ready.clear_ready();
                    } else {
                        tokio::task::yield_now().await;
                    }
                }
                ready = async { match &gate { Some(gate) => gate.readable().await.map(drop), None => std::future::pending().await } } => {
                    ready?;
                    end_below(&self.process).await;
                    // Now it may go.
                    (gate, self.gate) = (None, None);
                }
                () = &mut deadline => return Ok(None),
            }
        }
        if let Some(printed) = &mut self.printed {
            // What it has left in the pipe; who holds that open may print on and on.
            printed.take();
        }
        let _ = self.process.signal_group(libc::SIGKILL);
        self.is_reaped = true;
        Ok(Some(reap_exit(self.process.pid(), false)?.unwrap_or(Exit::Unknown)))
    }

    /// Kills it with everything that it has started, and waits until it is gone.
    pub async fn kill(mut self) {
        if !std::mem::replace(&mut self.is_reaped, true)
            && let Ok(process) = self.process.try_clone()
        {
            // A task of its own: to be called off does not keep it from its end.
            let _ = tokio::spawn(put_to_death(process)).await;
        }
    }

    /// The newest of what it printed.
    pub fn printed(&self) -> &[u8] {
        self.printed.as_ref().map_or(&[], Printed::newest)
    }

    /// The last line that it printed.
    pub fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.printed());
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if self.gate.is_some() {
            // While it lives, what loses its parent comes to it.
            for _ in 0..2 {
                kill_below(&self.process);
            }
        }
        kill_tree(&self.process);
        let Ok(process) = self.process.try_clone() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Ending takes the kernel a moment, and nobody here may wait for it.
            runtime.spawn(put_to_death(process));
        } else {
            process.exits_within(DEATH_MAX);
            let _ = reap_exit(process.pid(), false);
        }
    }
}

fn watched(file: &impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = file.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor is valid and belongs to the registration.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
}

async fn put_to_death(process: PidFd) {
    let Ok(ended) = watched(&process) else { return kill_tree(&process) };
    loop {
        kill_tree(&process);
        if tokio::time::timeout(KILL_EVERY, ended.readable()).await.is_ok() {
            break;
        }
    }
    let _ = reap_exit(process.pid(), false);
}

/// Kills what a command has left below its shell, until nothing is left or it cannot be killed.
async fn end_below(process: &PidFd) {
    for _ in 0..LOOKS_MAX {
        if !kill_below(process) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Kills everything below; false: there was nothing.
fn kill_below(process: &PidFd) -> bool {
    let below = descendants(0, process.pid());
    for other in &below {
        let _ = other.process.signal(libc::SIGKILL);
    }
    !below.is_empty()
}

/// What is below is listed before it loses its parent.
fn kill_tree(process: &PidFd) {
    let below = descendants(0, process.pid());
    let _ = process.signal_group(libc::SIGKILL);
    let _ = process.signal(libc::SIGKILL);
    for other in below {
        let _ = other.process.signal(libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::super::spawn::Output;
    use super::*;
    use crate::model::{ExecContext, Limits, StdinMode};
    use crate::os::linux::proc_stat;

    const BYTES_MAX: usize = 4096;

    fn start(script: &str) -> Helper {
        let (printed, [stdout, stderr]) = Printed::open(BYTES_MAX).unwrap();
        let plan = ExecPlan {
            program: c"/bin/sh".to_owned(),
            argv: ["sh", "-c", script].map(|word| std::ffi::CString::new(word).unwrap()).to_vec(),
            envp: vec![c"PATH=/usr/bin:/bin".to_owned()],
            cwd: c"/".to_owned(),
            identity: None,
            umask: 0o022,
            stdin: StdinMode::Null,
            output: Output::Opened([stdout, stderr]),
            handed: Vec::new(),
            is_told_its_pid: false,
            limits: Limits::default(),
            group: None,
            dies_with_caller: true,
        };
        Helper::start(plan, Some(printed)).unwrap()
    }

    #[tokio::test]
    async fn its_end_and_its_last_words_are_known_even_after_a_flood() {
        let mut helper = start(
            "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo no database >&2; exit 3",
        );
        assert_eq!(helper.end(Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(3)));
        assert_eq!(helper.last_line().as_deref(), Some("no database"));
        assert!(helper.printed().len() <= BYTES_MAX);
    }

    #[tokio::test]
    async fn an_endless_flood_keeps_nobody_waiting() {
        let mut helper = start("exec yes");
        let end = helper.end(Duration::from_millis(300)).await.unwrap();
        assert_eq!((end, helper.last_line().as_deref()), (None, Some("y")));
        assert!(helper.printed().len() <= BYTES_MAX);
        let process = helper.process.try_clone().unwrap();
        helper.kill().await;
        assert!(process.has_exited());
    }

    #[tokio::test]
    async fn what_it_left_in_its_group_goes_with_it_although_its_output_stays_open() {
        let mut helper = start("sleep 1000 & echo $!");
        assert_eq!(helper.end(Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(0)));
        let child: u32 = helper.last_line().unwrap().parse().unwrap();
        while proc_stat(child).is_ok_and(|stat| !stat.is_zombie) {
            tokio::task::yield_now().await;
        }
    }

    /// The same behind a gate.
    fn start_behind_gate(script: &str) -> Helper {
        let (printed, ends) = Printed::open(BYTES_MAX).unwrap();
        let context = ExecContext {
            env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            cwd: "/".into(),
            identity: None,
            umask: 0o022,
            limits: Limits::default(),
        };
        let (gate, other) = HelperGate::open().unwrap();
        let plan = ExecPlan::behind_gate(&context, script, Output::Opened(ends), other).unwrap();
        Helper::start(plan, Some(printed)).unwrap().behind(gate)
    }

    /// Ways to leave a process that nothing of it names any more, without its output; each prints its number.
    const WAYS_OUT: [&str; 4] = [
        "env -i setsid -f sh -c 'echo $$; exec >/dev/null 2>&1; exec sleep 1000'",
        "env -i setsid sh -c 'sh -c \"echo \\$\\$; exec >/dev/null 2>&1; exec sleep 1000\" & exit 0'",
        "(trap '' HUP TERM INT; echo $(sh -c 'echo $PPID'); exec env -i sleep 1000 >/dev/null 2>&1 &) ; true",
        "env -i setsid -f sh -c 'sleep 1000 & echo $!; exec >/dev/null 2>&1; wait'",
    ];

    fn is_gone(pid: u32) -> bool {
        proc_stat(pid).map_or(true, |stat| stat.is_zombie)
    }

    /// Numbers of which at least one has been printed.
    fn printed_numbers(helper: &Helper) -> Vec<u32> {
        String::from_utf8_lossy(helper.printed()).lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    #[tokio::test]
    async fn behind_a_gate_everything_that_it_left_goes_with_it_however_hidden() {
        for way in WAYS_OUT {
            let mut helper = start_behind_gate(&format!("{way}; sleep 0.2; exit 3"));
            assert_eq!(helper.end(Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(3)), "{way}");
            let left = printed_numbers(&helper);
            assert!(!left.is_empty(), "{way}");
            for pid in left {
                while !is_gone(pid) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    #[tokio::test]
    async fn behind_a_gate_it_goes_with_everything_at_its_time_limit_too() {
        for way in WAYS_OUT {
            let mut helper = start_behind_gate(&format!("{way}; sleep 1000"));
            let mut left = Vec::new();
            while left.is_empty() {
                assert_eq!(helper.end(Duration::from_millis(200)).await.unwrap(), None, "{way}");
                left = printed_numbers(&helper);
            }
            drop(helper);
            for pid in left {
                while !is_gone(pid) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    #[tokio::test]
    async fn behind_a_gate_it_says_how_its_command_ended() {
        for (script, exit) in [("true", 0), ("exit 7", 7), ("exec false", 1), ("echo x >&3", 2), ("kill -9 $$", 137)] {
            let end = start_behind_gate(script).end(Duration::from_secs(20)).await.unwrap();
            assert_eq!(end, Some(Exit::Code(exit)), "{script}");
        }
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
