//! One command on one machine: starts `ssh`, sends the call, passes both outputs on, and Ctrl-C the other way.

use std::io::{self, BufReader, PipeReader, PipeWriter, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure;
use super::frames::{FrameKind, read_frame, read_greeting, write_call, write_frame};
use super::host::RemoteHost;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::remote_caller::RemoteCaller;
use crate::os::{self, Carrier, CarrierEnder, Interrupts, StandardStream};
use crate::wire;

/// The second Ctrl-C, before the other machine had an answer to the first.
const GOES_ON: &str = "\ninterrupted: what the daemon there has accepted goes on\n";
/// `ssh` that has closed its output says within this why.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Exit code of a command that was ended by Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// What a command needs to run on one machine.
pub(super) struct Destination<'a> {
    pub host: &'a RemoteHost,
    pub call: &'a RemoteCaller,
    /// Something may go on there when the connection is lost.
    pub changes: bool,
    /// Standard input goes there.
    pub reads_input: bool,
}

/// Where Ctrl-C goes now.
#[derive(Debug, Default)]
enum Listener {
    /// It is the end of this command.
    #[default]
    Nobody,
    /// `ssh` has not reached the other machine: it is ended.
    Carrier(CarrierEnder),
    /// The command there.
    Command(PipeWriter),
}

/// The way to the machine that is being talked to.
#[derive(Clone, Debug)]
pub(super) struct RemoteLine(Arc<Mutex<Listener>>);

/// What a command prints: where, and what. Whether somebody still reads it.
pub(super) type Sink<'a> = dyn FnMut(StandardStream, &[u8]) -> bool + 'a;

/// How the command there ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RemoteEnd {
    /// With this exit code; it has said why.
    Code(u8),
    /// Nobody reads its output any more.
    Unread,
}

/// The same as the end of this command.
pub(super) fn ending(end: RemoteEnd) -> Ending {
    match end {
        RemoteEnd::Code(0) | RemoteEnd::Unread => Ok(Code::Ok),
        RemoteEnd::Code(code) => Err(CommandError::told(code)),
    }
}

impl RemoteLine {
    /// Has Ctrl-C go to the other machine from now on.
    ///
    /// # Errors
    /// The kernel refuses the handler or a thread.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let this = Self(Arc::default());
        let refused = |error: io::Error| CommandError::system("cannot listen to Ctrl-C", &error);
        let mut interrupts = Interrupts::listen(GOES_ON).map_err(refused)?;
        let line = this.clone();
        let pass_on = move || {
            if interrupts.wait().is_ok() {
                match &mut *line.listener() {
                    Listener::Nobody => os::exit(INTERRUPTED),
                    Listener::Carrier(carrier) => carrier.end(),
                    Listener::Command(there) => drop(write_frame(there, FrameKind::Interrupt, &[])),
                }
            }
        };
        os::start_thread("interrupt", pass_on).map_err(refused)?;
        Ok(this)
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command on one machine.
    ///
    /// # Errors
    /// The machine cannot be reached, its `pm` is none that understands this one, or the connection was lost.
    pub(super) fn run(&self, to: &Destination<'_>, sink: &mut Sink<'_>) -> Result<RemoteEnd, CommandError> {
        let started = Carrier::start("ssh", &to.host.ssh_args());
        let (carrier, there, back) = started.map_err(|error| failure::not_started(&error))?;
        let stopper = || carrier.ender().map_err(|error| failure::not_started(&error));
        *self.listener() = Listener::Carrier(stopper()?);
        let ended = self.talk(to, there, back, sink);
        *self.listener() = Listener::Nobody;
        let is_lost = match ended {
            Ok(Some(end @ RemoteEnd::Code(_))) => return Ok(end),
            Ok(Some(RemoteEnd::Unread)) => {
                stopper()?.end();
                return Ok(RemoteEnd::Unread);
            }
            Err(Broken::Version(version)) => {
                stopper()?.end();
                return Err(failure::other_protocol(to.host, &version));
            }
            Ok(None) => true,
            Err(Broken::Before) => false,
        };
        let cannot_wait = |error: io::Error| CommandError::system("cannot wait for `ssh`", &error);
        let end = carrier.wait(END_PATIENCE).map_err(cannot_wait)?;
        if Interrupts::have_come() {
            return Err(CommandError::told(INTERRUPTED));
        }
        Err(if is_lost { failure::lost(to.host, &end, to.changes) } else { failure::not_reached(to.host, &end) })
    }

    /// `None`: the connection broke after the call.
    fn talk(
        &self,
        to: &Destination<'_>,
        mut there: PipeWriter,
        back: PipeReader,
        sink: &mut Sink<'_>,
    ) -> Result<Option<RemoteEnd>, Broken> {
        let mut back = BufReader::new(back);
        let Ok(Some((version, is_understood))) = read_greeting(&mut back) else { return Err(Broken::Before) };
        if !is_understood {
            return Err(Broken::Version(version));
        }
        if version != wire::VERSION {
            let note = format!("warning: `pm` on `{}` is version {version}, this is {}\n", to.host, wire::VERSION);
            sink(StandardStream::Error, note.as_bytes());
        }
        let call = RemoteCaller { host: to.host.to_string(), home: to.host.home.clone(), ..to.call.clone() };
        // A broken pipe is seen by the reader, too, with what the other end said last.
        let _seen_by_the_reader = write_call(&mut there, &call);
        *self.listener() = Listener::Command(there);
        if to.reads_input {
            self.feed();
        } else {
            self.send_input(&[]);
        }
        while let Ok(Some((kind, bytes))) = read_frame(&mut back) {
            let is_read = match kind {
                FrameKind::Output => sink(StandardStream::Output, &bytes),
                FrameKind::Notes => sink(StandardStream::Error, &bytes),
                FrameKind::End => return Ok(bytes.first().map(|code| RemoteEnd::Code(*code))),
                _ => true,
            };
            if !is_read {
                return Ok(Some(RemoteEnd::Unread));
            }
        }
        Ok(None)
    }

    /// Sends what is typed or piped into this command, to its end.
    fn feed(&self) {
        let line = self.clone();
        let feed = move || {
            let mut piece = vec![0; 32 << 10];
            while let Ok(length) = io::stdin().read(&mut piece) {
                if !line.send_input(&piece[..length]) || length == 0 {
                    return;
                }
            }
            line.send_input(&[]);
        };
        if os::start_thread("input", feed).is_err() {
            self.send_input(&[]);
        }
    }

    /// Whether somebody is there to read it.
    fn send_input(&self, bytes: &[u8]) -> bool {
        match &mut *self.listener() {
            Listener::Command(there) => write_frame(there, FrameKind::Input, bytes).is_ok(),
            _ => false,
        }
    }
}

/// Why there is nobody to talk to.
enum Broken {
    /// There was no greeting.
    Before,
    /// It was that of a `pm` of this version, with another protocol.
    Version(String),
}
