//! One connection: sends a request and reads the answer.

use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ClientError;
use super::http::{self, Body, Head};
use crate::os::{self, Home};
use crate::wire::{self, Problem};

/// Answers are read in pieces of this size: a list of hundreds of apps in one.
const READ_BYTES: usize = 64 << 10;

/// How often a question is asked again when the daemon died before it answered: the anchor keeps the socket, and the
/// next daemon is there within milliseconds.
const REPEATS_MAX: usize = 3;

/// Whether a request may be sent again when there was no answer: it may have been carried out already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// Asking twice is as good as asking once.
    Harmless,
    /// The second time would be another restart.
    Never,
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: PathBuf,
    /// Who has to be at the other end, if it is not root.
    owner: u32,
    timeout: Duration,
    from: BufReader<UnixStream>,
    other_version: Option<String>,
    /// The home in which a daemon is to be started if none is left.
    starts_in: Option<Home>,
}

impl Connection {
    /// Nothing is sent to a stranger, not even a question.
    pub(super) fn new(socket: PathBuf, stream: UnixStream, owner: u32, timeout: Duration) -> Result<Self, ClientError> {
        check_peer(&socket, &stream, owner)?;
        let from = with_timeout(stream, timeout).map_err(|source| ClientError::Lost { source })?;
        Ok(Self { socket, owner, timeout, from, other_version: None, starts_in: None })
    }

    /// From now on another daemon is started if none is left.
    pub(super) fn starting_in(mut self, home: &Home) -> Self {
        self.starts_in = Some(home.clone());
        self
    }

    pub(super) fn other_version(&self) -> Option<&str> {
        self.other_version.as_deref()
    }

    /// Asks and reads the whole answer.
    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<T, ClientError> {
        understood(&self.fetch(method, path, body)?)
    }

    /// The same for what must not be done twice.
    pub(super) fn ask_once<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<T, ClientError> {
        let length = self.send(method, path, body, Repeat::Never)?.body;
        understood(&Body::new(&mut self.from, length).read_all().map_err(broken)?)
    }

    /// Asks and gives the text of the answer, for values that borrow from it.
    pub(super) fn fetch(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, ClientError> {
        let length = self.send(method, path, body, Repeat::Harmless)?.body;
        Body::new(&mut self.from, length).read_all().map_err(broken)
    }

    /// Asks for a stream; gives the connection up to it.
    pub(super) fn open(
        mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        repeat: Repeat,
    ) -> Result<Body<BufReader<UnixStream>>, ClientError> {
        let length = self.send(method, path, body, repeat)?.body;
        Ok(Body::new(self.from, length))
    }

    /// Sends a request and reads the head of the answer; a problem is an error.
    fn send(&mut self, method: &str, path: &str, body: Option<&[u8]>, repeat: Repeat) -> Result<Head, ClientError> {
        let mut exchanged = self.exchange(method, path, body);
        for _ in 0..REPEATS_MAX {
            if repeat == Repeat::Never || !matches!(exchanged, Err(ClientError::Lost { .. })) {
                break;
            }
            let stream = self.reconnect()?;
            check_peer(&self.socket, &stream, self.owner)?;
            self.from = with_timeout(stream, self.timeout).map_err(|source| ClientError::Lost { source })?;
            exchanged = self.exchange(method, path, body);
        }
        let head = exchanged?;
        if let Some(is_ending) = head.anchor {
            let reason = Body::new(&mut self.from, head.body).read_all().map_err(broken)?;
            let reason = String::from_utf8_lossy(&reason).into_owned();
            return Err(ClientError::CannotBegin { reason, is_ending });
        }
        self.greet(&head)?;
        if head.status >= 400 {
            let bytes = Body::new(&mut self.from, head.body).read_all().map_err(broken)?;
            return Err(understood::<Problem>(&bytes)?.into());
        }
        Ok(head)
    }

    /// If anchor and daemon are both gone, a client that may start a daemon starts the next one.
    fn reconnect(&self) -> Result<UnixStream, ClientError> {
        let connected = os::connect(&self.socket);
        let is_gone = matches!(
            connected.as_ref().map_err(io::Error::kind),
            Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
        );
        let lost = |source| ClientError::Lost { source };
        match &self.starts_in {
            Some(home) if is_gone => {
                super::start(home)?;
                os::connect(&self.socket).map_err(lost)
            }
            _ => connected.map_err(lost),
        }
    }

    fn exchange(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Head, ClientError> {
        let written = self.from.get_mut().write_all(&http::request(method, path, body));
        match (written, http::read_head(&mut self.from)) {
            // An answer that came before the request was written refuses the request.
            (_, Ok(head)) => Ok(head),
            (Err(error), _) | (Ok(()), Err(error)) => Err(broken(error)),
        }
    }

    fn greet(&mut self, head: &Head) -> Result<(), ClientError> {
        let daemon = head.version.clone().unwrap_or_else(|| "unknown".to_owned());
        if head.protocol != Some(wire::PROTOCOL) {
            return Err(ClientError::OtherProtocol { daemon, client: wire::VERSION });
        }
        if daemon != wire::VERSION {
            self.other_version = Some(daemon);
        }
        Ok(())
    }
}

/// Whose daemon it is, as the kernel knows it since the anchor began to listen.
fn check_peer(socket: &Path, stream: &UnixStream, expected: u32) -> Result<(), ClientError> {
    let owner = os::peer_uid(stream).map_err(|source| ClientError::Lost { source })?;
    if owner == 0 || owner == expected {
        return Ok(());
    }
    Err(ClientError::OtherOwner { socket: socket.to_owned(), owner })
}

fn with_timeout(stream: UnixStream, timeout: Duration) -> io::Result<BufReader<UnixStream>> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(BufReader::with_capacity(READ_BYTES, stream))
}

/// A value as the body of a request.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(|error| ClientError::Unsendable { problem: error.to_string() })
}

/// Reads the text of an answer.
///
/// # Errors
/// It is not what this version understands.
pub fn understood<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::NotUnderstood { problem: error.to_string() })
}

pub(super) fn broken(source: io::Error) -> ClientError {
    match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        io::ErrorKind::InvalidData => ClientError::NotUnderstood { problem: source.to_string() },
        _ => ClientError::Lost { source },
    }
}

impl Body<BufReader<UnixStream>> {
    /// Waits for the next byte no longer than until then; without a time, forever.
    pub(super) fn be_patient(&self, until: Option<Instant>) -> Result<(), ClientError> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ClientError::TimedOut);
        }
        self.source().get_ref().set_read_timeout(left).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::wire::ProblemCode;

    /// The daemon closes the connection of a request that is too large before all of it was written.
    #[test]
    fn an_answer_that_comes_before_the_request_was_written_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let problem = serde_json::to_string(&Problem::new(ProblemCode::TooLarge, "too large")).unwrap();
            let (version, length) = (wire::VERSION, problem.len());
            let head = format!("HTTP/1.1 413 No\r\npm-version: {version}\r\npm-protocol: {}\r\n", wire::PROTOCOL);
            write!(stream, "{head}content-length: {length}\r\n\r\n{problem}").unwrap();
        });
        let stream = UnixStream::connect(&socket).unwrap();
        let mut connection = Connection::new(socket, stream, os::user_id(), Duration::from_secs(20)).unwrap();
        let answer = connection.ask::<serde_json::Value>("POST", "/v1/apply", Some(&vec![b' '; 8 << 20]));
        assert!(matches!(&answer, Err(ClientError::Problem(problem)) if problem.message == "too large"), "{answer:?}");
        daemon.join().unwrap();
    }
}
