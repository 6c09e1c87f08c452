//! Typed calls over the socket: synchronous, no threads, one connection per command.
//!
//! In:    shapes of [`crate::wire`]         Out:  the daemon's answers, or a [`ClientError`]
//! Never: an async runtime; a decision; text on the terminal
//! Walk:  [`crate::cli`] → here → [`crate::api`]

mod calls;
mod connection;
mod http;
mod sources;
mod sse;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::anchor;
use crate::os::{self, Home, HomeError};
use crate::wire::Problem;

pub use calls::DaemonEnd;
pub use connection::understood;
pub use sse::Messages;

use connection::Connection;

/// A daemon that does not answer a question within this is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The daemon of another user is asked a question by the way; what it does not answer within this is not waited for.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens on the socket.
    #[error("no daemon is running for `{home}`")]
    NotRunning {
        /// `PM_HOME`.
        home: PathBuf,
    },
    /// The daemon could not be started.
    #[error("cannot start the daemon of `{home}`")]
    NotStarted {
        /// `PM_HOME`.
        home: PathBuf,
        /// What to do about it.
        hint: Option<String>,
        /// What failed while it was started.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The home belongs to another user.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Another user's process listens on the socket; nothing was sent to it.
    #[error("the daemon at `{}` runs as {}, not as {}; nothing was sent to it", socket.display(), os::user_name(*owner), os::user_name(os::user_id()))]
    OtherOwner {
        /// Its path.
        socket: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The socket is there and does not let us in.
    #[error("cannot connect to the daemon at `{socket}`")]
    NotConnected {
        /// Its path.
        socket: PathBuf,
        /// The answer of `connect(2)`.
        source: io::Error,
    },
    /// The daemon fails again and again before it can answer; the anchor says so in its place.
    #[error("the daemon cannot start")]
    CannotBegin {
        /// What the daemon said.
        reason: String,
        /// The anchor was asked to end: it stops the apps, and leaves.
        is_ending: bool,
    },
    /// The connection broke before the answer began, or in the middle of a short one.
    #[error("the daemon closed the connection before it answered")]
    Lost {
        /// What was seen.
        source: io::Error,
    },
    /// The connection broke in the middle of an answer: what was asked for is accepted.
    #[error("the daemon closed the connection in the middle of its answer")]
    CutOff {
        /// What was seen.
        source: io::Error,
    },
    /// The time given for waiting is over.
    #[error("the daemon did not answer in time")]
    TimedOut,
    /// The request holds something that cannot be sent: a path that is not UTF-8.
    #[error("cannot send this to the daemon: {problem}")]
    Unsendable {
        /// What it is.
        problem: String,
    },
    /// The answer is not what this version understands.
    #[error("cannot understand the daemon's answer: {problem}")]
    NotUnderstood {
        /// What is wrong with it.
        problem: String,
    },
    /// The daemon speaks another protocol.
    #[error("the daemon (version {daemon}) and this command (version {client}) use different protocols")]
    OtherProtocol {
        /// The daemon's version.
        daemon: String,
        /// Protocol of this command line.
        client: &'static str,
    },
    /// The daemon's own answer: no.
    #[error(transparent)]
    Problem(#[from] Problem),
}

/// A connection to the daemon of one home.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

/// This process becomes the anchor and, with its daemon, stays in the foreground. Comes back only to say why not.
pub fn run_in_foreground(home: &Home) -> ClientError {
    let failed =
        |error: io::Error| ClientError::NotStarted { home: home.root.clone(), hint: None, source: error.into() };
    if let Err(error) = home.check_owner() {
        return error.into();
    }
    match os::current_exe() {
        Ok(exe) => failed(anchor::become_anchor(home, &exe, os::variable("NOTIFY_SOCKET").map(OsString::from))),
        Err(error) => failed(error),
    }
}

/// Starts anchor and daemon, unless they are running already.
fn start(home: &Home) -> Result<(), ClientError> {
    let failed = |hint, source| ClientError::NotStarted { home: home.root.clone(), hint, source };
    let exe = os::current_exe().map_err(|error| failed(None, error.into()))?;
    anchor::start(home, &exe).map_err(|error| failed(error.hint(), error.into()))
}

impl Client {
    /// Connects to a daemon that runs.
    ///
    /// # Errors
    /// No daemon is running, it refused the connection, or it belongs to another user.
    pub fn connect(home: &Home) -> Result<Self, ClientError> {
        home.check_owner()?;
        Self::connect_to(home, os::user_id(), ANSWER_TIMEOUT)
    }

    /// Connects to the daemon of another user, to ask something that is no secret.
    ///
    /// # Errors
    /// No daemon is running, it refused the connection, or it is not that user's.
    pub fn look_at(home: &Home, owner: u32) -> Result<Self, ClientError> {
        Self::connect_to(home, owner, LOOK_TIMEOUT)
    }

    fn connect_to(home: &Home, owner: u32, timeout: Duration) -> Result<Self, ClientError> {
        let socket = home.socket();
        match os::connect(&socket) {
            Ok(stream) => Ok(Self { connection: Connection::new(socket, stream, owner, timeout)? }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Err(ClientError::NotRunning { home: home.root.clone() })
            }
            Err(source) => Err(ClientError::NotConnected { socket, source }),
        }
    }

    /// Connects; starts anchor and daemon first if none is running.
    ///
    /// # Errors
    /// They cannot be started, or let us not in.
    pub fn connect_or_start(home: &Home) -> Result<Self, ClientError> {
        let connected = match Self::connect(home) {
            Err(ClientError::NotRunning { .. }) => {
                start(home)?;
                Self::connect(home)
            }
            other => other,
        };
        connected.map(|client| Self { connection: client.connection.starting_in(home) })
    }

    /// Connects to a daemon that runs. If none does and the last one was killed, one is started: it finds what the other
    /// has left.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`Self::connect_or_start`].
    pub fn connect_or_look(home: &Home) -> Result<Self, ClientError> {
        match Self::connect(home) {
            Err(ClientError::NotRunning { .. }) if anchor::may_have_left_processes(home) => {
                Self::connect_or_start(home)
            }
            other => other,
        }
    }

    /// The daemon's version, if it differs from this one; known after the first answer.
    pub fn other_version(&self) -> Option<&str> {
        self.connection.other_version()
    }
}
