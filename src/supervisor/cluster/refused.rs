//! Why a worker cannot listen, in words: the error of the kernel, and who has the address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::cluster::WantedSocket;
use crate::os::ListenerLookup;

/// What is told of an address that a worker does not get.
pub(in crate::supervisor) fn wanted_words(wanted: &WantedSocket, errno: i32) -> String {
    let error = io::Error::from_raw_os_error(errno);
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => tcp_address(wanted).and_then(holder),
        io::ErrorKind::PermissionDenied if tcp_address(wanted).is_some() => Some(
            "its user may not listen there; use a port from 1024 on, or declare the address in `listen`".to_owned(),
        ),
        _ => None,
    };
    let place = place(wanted);
    match why {
        Some(why) => format!("cannot listen at {place}: {error}: {why}"),
        None => format!("cannot listen at {place}: {error}"),
    }
}

fn place(wanted: &WantedSocket) -> String {
    match wanted {
        WantedSocket::Tcp { address: None, port, .. } => format!("port {port}"),
        WantedSocket::Tcp { address: Some(ip), port, .. } => SocketAddr::new(*ip, *port).to_string(),
        WantedSocket::Udp { address: None, port, .. } => format!("UDP port {port}"),
        WantedSocket::Udp { address: Some(ip), port, .. } => format!("UDP {}", SocketAddr::new(*ip, *port)),
        WantedSocket::Unix { path, .. } => format!("`{}`", path.replace('\0', "@")),
        WantedSocket::Inherited { fd } => format!("descriptor {fd}"),
    }
}

fn tcp_address(wanted: &WantedSocket) -> Option<SocketAddr> {
    match wanted {
        WantedSocket::Tcp { address, port, .. } => {
            Some(SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), *port))
        }
        _ => None,
    }
}

/// Who has it: a socket on one address keeps that on all of them from being opened, too.
fn holder(address: SocketAddr) -> Option<String> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    let (pid, name) = ListenerLookup::new().holders_at(&[address, here]).into_iter().flatten().next()?;
    Some(format!("{name} (process {pid}) listens there"))
}
