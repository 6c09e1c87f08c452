//! What a worker asks for: an address as Node names it → what is to be opened.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The length of a queue where the app says nothing, as Node has it.
const BACKLOG: i32 = 511;
/// `UV_TCP_IPV6ONLY` and `UV_UDP_IPV6ONLY`.
const IS_V6_ONLY: u64 = 1;
/// `UV_UDP_REUSEADDR`.
const IS_REUSED: u64 = 4;

/// The fields of a request, whatever stands in them: an app that asks for nonsense gets an error, and not no answer.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AskedAddress {
    address: Value,
    port: Value,
    address_type: Value,
    fd: Value,
    flags: Value,
    /// `false` where the app has given none and a host.
    backlog: Value,
    readable_all: Value,
    writable_all: Value,
}

/// A socket that is to be opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WantedSocket {
    /// Listens on TCP; no address = all of them.
    Tcp {
        /// In numbers.
        address: Option<IpAddr>,
        /// 0 = any that is free.
        port: u16,
        /// No IPv4 on a socket for all of IPv6.
        is_v6_only: bool,
        /// Connections that may wait.
        backlog: i32,
    },
    /// Receives UDP; no address = all of the family.
    Udp {
        /// In numbers.
        address: Option<IpAddr>,
        /// 0 = any that is free.
        port: u16,
        /// Of the family of IPv6.
        is_v6: bool,
        /// No IPv4 there.
        is_v6_only: bool,
        /// Others may bind there, too.
        is_reused: bool,
    },
    /// Listens at a path, or with a leading null byte at an abstract name.
    Unix {
        /// As the worker has made it absolute.
        path: String,
        /// What everybody may do with its file besides its owner: bits of a mode.
        mode: u32,
        /// Connections that may wait.
        backlog: i32,
    },
    /// A socket that the app was given when it was started.
    Inherited {
        /// Its number in the app.
        fd: i32,
    },
}

/// Nothing that can be opened: the error that the app gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Invalid(pub i32);

const EINVAL: Invalid = Invalid(22);

impl AskedAddress {
    /// What is to be opened.
    pub(super) fn wanted(&self) -> Result<WantedSocket, Invalid> {
        if let Some(fd) = number(&self.fd).filter(|fd| *fd >= 0) {
            return Ok(WantedSocket::Inherited { fd: i32::try_from(fd).map_err(|_| EINVAL)? });
        }
        let backlog = number(&self.backlog).and_then(|backlog| i32::try_from(backlog).ok());
        let backlog = backlog.filter(|backlog| *backlog > 0).unwrap_or(BACKLOG);
        let flags = self.flags.as_u64().unwrap_or(0);
        match &self.address_type {
            Value::Number(kind) if kind.as_i64() == Some(-1) => self.unix(backlog),
            Value::Number(_) => Ok(WantedSocket::Tcp {
                address: self.ip()?,
                port: self.port_number()?,
                is_v6_only: flags & IS_V6_ONLY != 0,
                backlog,
            }),
            Value::String(kind) if kind == "udp4" || kind == "udp6" => Ok(WantedSocket::Udp {
                address: self.ip()?,
                port: self.port_number()?,
                is_v6: kind == "udp6",
                is_v6_only: flags & IS_V6_ONLY != 0,
                is_reused: flags & IS_REUSED != 0,
            }),
            _ => Err(EINVAL),
        }
    }

    fn unix(&self, backlog: i32) -> Result<WantedSocket, Invalid> {
        let path = self.address.as_str().filter(|path| !path.is_empty()).ok_or(EINVAL)?;
        let bits = |value: &Value, bits| if is_truthy(value) { bits } else { 0 };
        let mode = bits(&self.readable_all, 0o444) | bits(&self.writable_all, 0o222);
        Ok(WantedSocket::Unix { path: path.to_owned(), mode, backlog })
    }

    fn ip(&self) -> Result<Option<IpAddr>, Invalid> {
        match self.address.as_str().filter(|address| !address.is_empty()) {
            // Without a zone: std has no numbers for one here, and a socket of all zones is not what was asked for.
            Some(address) => address.parse().map(Some).map_err(|_| EINVAL),
            None => Ok(None),
        }
    }

    fn port_number(&self) -> Result<u16, Invalid> {
        match &self.port {
            Value::Null => Ok(0),
            port => number(port).and_then(|port| u16::try_from(port).ok()).ok_or(EINVAL),
        }
    }

    /// What Node calls the socket: workers that ask for the same get the same. `index` counts the servers of a worker that
    /// ask so, which matters only where the kernel chooses the port.
    pub(super) fn key(&self, index: u64) -> String {
        let text = |value: &Value| match value {
            Value::String(word) => word.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let [address, port, kind, fd] = [&self.address, &self.port, &self.address_type, &self.fd].map(text);
        let index = if self.port == 0 { format!(":{index}") } else { String::new() };
        format!("{address}:{port}:{kind}:{fd}{index}")
    }
}

/// A number, or a text that is one: what stands in a variable is often passed on as it is.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

/// What JavaScript takes for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

impl WantedSocket {
    /// Whether connections come in there; datagrams are shared by all who have the socket.
    pub fn is_stream(&self) -> bool {
        !matches!(self, Self::Udp { .. })
    }
}
