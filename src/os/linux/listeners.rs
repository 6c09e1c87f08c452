//! Which socket listens at an address, and which process holds it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::proc::{children_of, cookie_of, pids, proc_stat};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Request and answer of `inet_diag`, in bytes, with the heading of 16.
const REQUEST_BYTES: usize = 72;
const HEADING_BYTES: usize = 16;
/// Where the inode number stands in an answer.
const INODE_AT: usize = HEADING_BYTES + 68;
/// Processes that one search looks at.
const TREE_MAX: usize = 10_000;

/// Asks the kernel which socket listens at an address. One question costs two system calls.
#[derive(Debug)]
pub struct ListenerLookup {
    /// `None`: this kernel does not answer there; the tables of `/proc/net` are read instead.
    netlink: Option<OwnedFd>,
}

impl ListenerLookup {
    /// Never fails: without netlink it is slower.
    pub fn new() -> Self {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let netlink = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG));
        Self { netlink: netlink.ok() }
    }

    /// The inode of the TCP socket that takes connections to `address`; `None` if the kernel does not say.
    pub fn inode_at(&self, address: SocketAddr) -> Option<u64> {
        match self.ask(address) {
            Ok(inode) => inode,
            Err(_) => listener_inodes(address.port()).first().copied(),
        }
    }

    /// The processes that take connections to these addresses, by number and name; `None` where nobody does, or nobody
    /// that may be looked at. Walks over all processes, once, if any of them is taken.
    pub fn holders_at(&self, addresses: &[SocketAddr]) -> Vec<Option<(u32, String)>> {
        let inodes: Vec<Option<u64>> = addresses.iter().map(|address| self.inode_at(*address)).collect();
        let wanted: Vec<u64> = inodes.iter().flatten().copied().collect();
        let held = if wanted.is_empty() { BTreeMap::new() } else { holders_of(&wanted) };
        let named = |inode| held.get(&inode).map(|pid| (*pid, process_name(*pid)));
        inodes.into_iter().map(|inode| inode.and_then(named)).collect()
    }

    fn ask(&self, address: SocketAddr) -> io::Result<Option<u64>> {
        let socket = self.netlink.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        send(socket, &request(address), SendFlags::empty())?;
        let mut answer = [0_u8; 512];
        let (length, _) = recv(socket, &mut answer, RecvFlags::empty())?;
        let answer = &answer[..length];
        let kind = answer.get(4..6).map_or(0, |bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        if kind != SOCK_DIAG_BY_FAMILY {
            let errno = number_at(answer, HEADING_BYTES).unwrap_or(0).cast_signed();
            return if errno == -libc::ENOENT { Ok(None) } else { Err(io::Error::from_raw_os_error(-errno)) };
        }
        Ok(number_at(answer, INODE_AT).map(u64::from).filter(|inode| *inode != 0))
    }
}

impl Default for ListenerLookup {
    fn default() -> Self {
        Self::new()
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: the listener that a connection to `address` would meet.
fn request(address: SocketAddr) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &u32::try_from(REQUEST_BYTES).unwrap_or(0).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &u16::try_from(libc::NLM_F_REQUEST).unwrap_or(1).to_ne_bytes());
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    put(16, &[u8::try_from(family).unwrap_or(0), u8::try_from(libc::IPPROTO_TCP).unwrap_or(6)]);
    put(20, &u32::MAX.to_ne_bytes());
    put(24, &address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => put(28, &ip.octets()),
        IpAddr::V6(ip) => put(28, &ip.octets()),
    }
    put(64, &[0xFF; 8]); // no cookie: any socket
    request
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The inodes of all TCP sockets that listen on a port, from the tables of `/proc/net`.
pub fn listener_inodes(port: u16) -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listening(table, port)).collect()
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`, numbers in hexadecimal; `0A` listens.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let inode_of = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        let is_it = u16::from_str_radix(local, 16) == Ok(port) && fields.get(3) == Some(&"0A");
        if is_it { fields.get(9)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(inode_of).collect()
}

/// The number by which the kernel shows an open socket.
///
/// # Errors
/// As `fstat(2)`.
pub fn socket_inode(socket: &OwnedFd) -> io::Result<u64> {
    Ok(fs::File::from(socket.try_clone()?).metadata()?.ino())
}

/// The inodes of all Unix sockets that were bound to this path, whether it leads to them or not.
pub fn sockets_at_path(path: &Path) -> Vec<u64> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    path.to_str().map_or_else(Vec::new, |path| bound_to(&table, path))
}

/// `Num RefCount Protocol Flags Type St Inode Path`; a flag says that it listens.
fn bound_to(table: &str, path: &str) -> Vec<u64> {
    let inode_of = |line: &str| {
        let (fields, bound) = (line.split_ascii_whitespace().collect::<Vec<_>>(), line.split_once('/')?.1);
        let is_it = path.strip_prefix('/') == Some(bound) && fields.get(3) == Some(&"00010000");
        if is_it { fields.get(6)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(inode_of).collect()
}

/// Whether a process of the tree of `main` has one of these sockets, as far as we may look.
pub fn tree_holds(main: u32, inodes: &[u64]) -> bool {
    let has_one = |pid: u32| inodes.iter().any(|inode| matches!(held_by(pid, *inode), Ok(Some(_))));
    tree(main).into_iter().any(has_one)
}

/// Who holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketHolder {
    /// A process of the tree.
    Tree(HeldAt),
    /// Nobody whose descriptors may be looked at, while the tree has a process that does not let us look.
    Hidden,
    /// Somebody else; `None` = nobody that can be seen.
    Other(Option<(u32, String)>),
}

/// A descriptor of a process. Cheap to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldAt {
    pid: u32,
    fd: u32,
}

impl HeldAt {
    /// Whether this socket is still there.
    pub fn holds(self, inode: u64) -> bool {
        let link = fs::read_link(format!("/proc/{}/fd/{}", self.pid, self.fd));
        link.is_ok_and(|link| link.to_str().is_some_and(|text| text == name_of(inode)))
    }
}

/// Finds out who holds the socket `inode`: the tree of `main`, or who else.
pub fn socket_holder(inode: u64, main: u32) -> SocketHolder {
    let mut is_hidden = false;
    for pid in tree(main) {
        match held_by(pid, inode) {
            Ok(Some(held)) => return SocketHolder::Tree(held),
            Ok(None) => {}
            Err(error) => is_hidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    let mut other = None;
    for pid in pids() {
        let Ok(Some(held)) = held_by(pid, inode) else { continue };
        if is_in_tree(pid, main) {
            return SocketHolder::Tree(held);
        }
        other.get_or_insert_with(|| (pid, process_name(pid)));
    }
    match other {
        None if is_hidden => SocketHolder::Hidden,
        other => SocketHolder::Other(other),
    }
}

/// Whether a living process belongs to the tree of `main`: by descent, by session or by the cookie that both were
/// started with. `None` = it does not live.
pub fn belongs_to_tree(pid: u32, main: u32) -> Option<bool> {
    proc_stat(pid).ok()?;
    Some(is_in_tree(pid, main))
}

/// What a process calls itself.
pub fn process_name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

fn is_in_tree(pid: u32, main: u32) -> bool {
    let mut next = pid;
    for _ in 0..TREE_MAX {
        let Ok(stat) = proc_stat(next) else { break };
        if next == main || stat.session == main {
            return true;
        }
        if stat.ppid <= 1 {
            break;
        }
        next = stat.ppid;
    }
    let cookie = cookie_of(main);
    cookie.is_some() && cookie_of(pid) == cookie
}

/// The process and everything below it.
fn tree(main: u32) -> Vec<u32> {
    let mut found = vec![main];
    let mut at = 0;
    while at < found.len() && found.len() < TREE_MAX {
        let children = children_of(found[at]);
        found.extend(children);
        at += 1;
    }
    found
}

/// One process for each of these sockets that somebody holds.
fn holders_of(inodes: &[u64]) -> BTreeMap<u64, u32> {
    let names: BTreeMap<String, u64> = inodes.iter().map(|inode| (name_of(*inode), *inode)).collect();
    let mut found = BTreeMap::new();
    for pid in pids() {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(entry.path()).ok();
            if let Some(inode) = link.as_deref().and_then(Path::to_str).and_then(|name| names.get(name)) {
                found.entry(*inode).or_insert(pid);
            }
        }
        if found.len() == names.len() {
            break;
        }
    }
    found
}

fn held_by(pid: u32, inode: u64) -> io::Result<Option<HeldAt>> {
    let name = name_of(inode);
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(entry) = entry else { continue };
        let is_it = fs::read_link(entry.path()).is_ok_and(|link| link.to_str() == Some(&name));
        if is_it && let Some(fd) = entry.file_name().to_str().and_then(|fd| fd.parse().ok()) {
            return Ok(Some(HeldAt { pid, fd }));
        }
    }
    Ok(None)
}

fn name_of(inode: u64) -> String {
    format!("socket:[{inode}]")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_and_its_holder_are_found_by_address() {
        for bound in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bound) else { continue }; // no IPv6 here
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let inode = ListenerLookup::new().inode_at(address).unwrap_or_else(|| panic!("nobody at {bound}"));
            assert_eq!(listener_inodes(port), [inode], "{bound}: both ways say the same");
            let SocketHolder::Tree(held) = socket_holder(inode, std::process::id()) else { panic!("{bound}: not us") };
            assert!(held.holds(inode));
            let free = SocketAddr::from(([127, 0, 0, 1], 1));
            let holders = ListenerLookup::new().holders_at(&[free, address]);
            let pids: Vec<_> = holders.into_iter().map(|holder| holder.map(|(pid, _)| pid)).collect();
            assert_eq!(pids, [None, Some(std::process::id())], "{bound}");
            let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            let stranger = socket_holder(inode, other.id());
            let is_named = matches!(&stranger, SocketHolder::Other(Some((pid, _))) if *pid == std::process::id());
            assert!(is_named, "{stranger:?}");
            other.kill().unwrap();
            other.wait().unwrap();
            drop(listener);
            assert!(!held.holds(inode));
        }
    }

    #[test]
    fn a_port_without_a_listener_has_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(ListenerLookup::new().inode_at(address), None);
    }

    #[test]
    fn the_table_of_the_kernel_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1";
        assert_eq!(listening(table, 8080), [4242]);
        assert!(listening(table, 8081).is_empty());
    }

    #[test]
    fn sockets_are_found_by_the_path_that_they_were_bound_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.sock");
        let listen = || OwnedFd::from(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = listen();
        fs::remove_file(&path).unwrap();
        let second = listen();
        let inodes = [&first, &second].map(|socket| socket_inode(socket).unwrap());
        let mut found = sockets_at_path(&path);
        found.sort_unstable();
        let mut expected = inodes.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(tree_holds(std::process::id(), &inodes[..1]));
        drop(first);
        assert!(!tree_holds(std::process::id(), &inodes[..1]));
        assert_eq!(sockets_at_path(&path), inodes[1..]);
    }
}
