//! Connects to an address, and makes sure that the app's own process answers there.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::{TcpStream, UnixStream};

use super::probe::ProbeSubject;
use crate::os::{self, HeldAt, ListenerLookup, SocketHolder};

/// Answers that are remembered; beyond that all of them are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Who listens where, with what was found out before.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    lookup: ListenerLookup,
    known: Mutex<BTreeMap<(SocketAddr, u32), Known>>,
}

/// What is known about one address and one tree.
#[derive(Clone, Debug)]
struct Known {
    /// The socket that listens there.
    inode: u64,
    holder: Holder,
}

#[derive(Clone, Debug)]
enum Holder {
    Own(HeldAt),
    Stranger(u32, String),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// A process of the app's own tree.
    Own,
    /// Another machine, or one that cannot be looked at.
    Other,
}

/// A probe that only wants to be let in: `8080`, `127.0.0.1:8080`, `unix:/run/app.sock`.
pub(super) async fn ask(listeners: &Listeners, subject: &ProbeSubject, address: &str) -> Result<(), String> {
    match address.strip_prefix("unix:") {
        Some(path) => connect_unix(subject, path).await,
        None => match address.rsplit_once(':') {
            None => connect(listeners, subject, "localhost", port(address)?).await.map(drop),
            Some((host, text)) => connect(listeners, subject, host, port(text)?).await.map(drop),
        },
    }
}

/// A number of a port, which may have come from a variable.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is not a port"))
}

/// A connection to a process of the app's own tree; on another machine, to whoever answers.
pub(super) async fn connect(
    listeners: &Listeners,
    subject: &ProbeSubject,
    host: &str,
    port: u16,
) -> Result<(TcpStream, Peer), String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connected = match host {
        // What a name service says about it is of no interest, and asking costs a thread.
        "localhost" => match TcpStream::connect(("127.0.0.1", port)).await {
            Err(_) => match TcpStream::connect(("::1", port)).await {
                // Where there is no IPv6 at all, that is not the news.
                Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => {
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
                other => other,
            },
            connected => connected,
        },
        _ => TcpStream::connect((host, port)).await,
    };
    let stream = connected.map_err(|error| words(&error))?;
    let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr()) else { return Err("connection lost".into()) };
    // A connection of a machine to itself has one address at both ends.
    let is_here = peer.ip().is_loopback() || peer.ip() == own.ip();
    let peer = if is_here { listeners.check(mapped(peer), subject.pid)? } else { Peer::Other };
    Ok((stream, peer))
}

/// An IPv4 address in IPv6 clothes, undressed.
fn mapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn connect_unix(subject: &ProbeSubject, path: &str) -> Result<(), String> {
    let path = subject.spec.run.cwd.join(path);
    let address = os::UnixAddress::of(&path).map_err(|error| words(&error))?;
    let stream = UnixStream::connect(address.path()).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "the socket does not exist yet".to_owned(),
        _ => words(&error),
    })?;
    // The process that called listen(2); it may be gone, and its children answer.
    let listener = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    match listener.filter(|pid| os::belongs_to_tree(*pid, subject.pid) == Some(false)) {
        Some(pid) => Err(format!("the socket is used by process {pid} ({})", os::process_name(pid))),
        None => Ok(()),
    }
}

impl Listeners {
    /// Who holds the socket behind `address`; an error if it is known not to be the tree of `main`.
    fn check(&self, address: SocketAddr, main: u32) -> Result<Peer, String> {
        let key = (address, main);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // As long as the tree holds the socket, no stranger can have its place, at most share it.
        if let Some(Known { inode, holder: Holder::Own(held) }) = known.get(&key)
            && held.holds(*inode)
        {
            return Ok(Peer::Own);
        }
        // Nothing to be found out is nothing to complain about: another network namespace, a closed /proc.
        let Some(inode) = self.lookup.inode_at(address) else { return Ok(Peer::Other) };
        if let Some(Known { inode: before, holder: Holder::Stranger(pid, name) }) = known.get(&key)
            && *before == inode
            && os::process_name(*pid) == *name
        {
            return Err(belongs(address.port(), Some((*pid, name.as_str()))));
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let mut stranger = match os::socket_holder(inode, main) {
            SocketHolder::Tree(held) => {
                known.insert(key, Known { inode, holder: Holder::Own(held) });
                return Ok(Peer::Own);
            }
            SocketHolder::Hidden => return Ok(Peer::Other),
            SocketHolder::Other(other) => other,
        };
        // Several sockets may share a port (SO_REUSEPORT), and the kernel named one of them. Listing all takes tens of
        // milliseconds, so only now.
        for other in os::listener_inodes(address.port()).into_iter().filter(|other| *other != inode) {
            match os::socket_holder(other, main) {
                // One of several, and not necessarily the one at the other end.
                SocketHolder::Tree(_) | SocketHolder::Hidden => return Ok(Peer::Other),
                SocketHolder::Other(other) => stranger = stranger.or(other),
            }
        }
        if let Some((pid, name)) = &stranger {
            known.insert(key, Known { inode, holder: Holder::Stranger(*pid, name.clone()) });
        }
        Err(belongs(address.port(), stranger.as_ref().map(|(pid, name)| (*pid, name.as_str()))))
    }
}

fn belongs(port: u16, holder: Option<(u32, &str)>) -> String {
    match holder {
        Some((pid, name)) => format!("port {port} is used by process {pid} ({name})"),
        None => format!("port {port} is used by a process outside this app"),
    }
}

/// What went wrong, as a user would say it: `connection refused`.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed without an answer".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
    }
}
