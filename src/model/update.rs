//! How processes are replaced, how they share ports, and what a process may use.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Bytes, Millis};

/// How the processes of an app are replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpdatePolicy {
    /// `None` = rolling where two copies of a slot can run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<UpdateStrategy>,
    /// Copies more than `instances` during the rollout.
    pub max_surge: u32,
    /// Copies that may be missing during the rollout.
    pub max_unavailable: u32,
    /// How long a new process must stay healthy before the next slot.
    pub min_healthy_time: Millis,
    /// When a new process that is not healthy has failed; `None` = the timeout of `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_deadline: Option<Millis>,
    /// Roll back to the old revision after a failure.
    pub auto_revert: bool,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            strategy: None,
            max_surge: 1,
            max_unavailable: 1,
            min_healthy_time: Millis::seconds(3),
            healthy_deadline: None,
            auto_revert: true,
        }
    }
}

/// Which process comes first when one replaces another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateStrategy {
    /// The new one is healthy before the old one is stopped.
    Rolling,
    /// The old one is gone before the new one is started.
    Restart,
    /// All old ones are gone before the first new one is started: a new socket cannot be opened while any of them has
    /// the old one. No file asks for it; a plan does.
    Together,
}

/// Whether copies are independent programs, or workers of one cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecMode {
    /// Each copy opens its own ports.
    #[default]
    Fork,
    /// The copies are workers of Node's `cluster` module, and the daemon is their primary: they share ports.
    Cluster,
}

impl ExecMode {
    /// Whether this is the default.
    pub fn is_fork(&self) -> bool {
        *self == Self::Fork
    }
}

/// How a cluster works. Any change needs new processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterPolicy {
    /// `None` = as the variable `NODE_CLUSTER_SCHED_POLICY` of the app says, else round robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,
    /// Preload a few lines by which a worker that is replaced lets go of its keep-alive connections without losing any.
    pub drain_hook: bool,
}

impl ClusterPolicy {
    /// Whether this is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for ClusterPolicy {
    fn default() -> Self {
        Self { scheduling: None, drain_hook: true }
    }
}

/// Who accepts connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduling {
    /// The daemon, which hands them to the workers in turn.
    RoundRobin,
    /// The workers, which share the listening socket.
    Shared,
}

/// What a process may use; absent = as the daemon itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the whole tree, where control groups can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// CPU of the whole tree in percent of one core, where control groups can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Open files (`RLIMIT_NOFILE`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u64>,
    /// Processes of the user (`RLIMIT_NPROC`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nproc: Option<u64>,
    /// Scheduling priority, -20 to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Score of the out-of-memory killer, -1000 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Commands run by `sh -c` at these points of an instance's life, in the app's folder, environment and user.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hooks {
    /// Before every start; its failure is a failed start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_start: Option<String>,
    /// When the process is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_ready: Option<String>,
    /// Before the process is asked to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<String>,
    /// After an end that nobody requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_crash: Option<String>,
    /// When it is not restarted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_give_up: Option<String>,
    /// How long one of them may take; `None` = [`Hooks::TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
}

/// A point of an instance's life at which a command may run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Before a start.
    PreStart,
    /// The process is ready.
    PostReady,
    /// Before the process is asked to end.
    PreStop,
    /// After an end that nobody requested.
    OnCrash,
    /// It is not restarted any more.
    OnGiveUp,
}

impl Hook {
    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreStart => "pre_start",
            Self::PostReady => "post_ready",
            Self::PreStop => "pre_stop",
            Self::OnCrash => "on_crash",
            Self::OnGiveUp => "on_give_up",
        }
    }
}

impl Hooks {
    /// How long a hook may take where the file says nothing.
    pub const TIMEOUT: Millis = Millis::seconds(30);

    /// The command of a point, if there is one.
    pub fn command(&self, hook: Hook) -> Option<&str> {
        match hook {
            Hook::PreStart => &self.pre_start,
            Hook::PostReady => &self.post_ready,
            Hook::PreStop => &self.pre_stop,
            Hook::OnCrash => &self.on_crash,
            Hook::OnGiveUp => &self.on_give_up,
        }
        .as_deref()
    }

    /// How long one of them may take.
    pub fn limit(&self) -> Millis {
        self.timeout.unwrap_or(Self::TIMEOUT)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A socket that `pm` opens, keeps open across restarts, and hands over (`sd_listen_fds(3)`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(std::path::PathBuf),
}

impl ListenAddress {
    /// Whether the kernel refuses to listen at both at once: one means every address of the machine, and so the other
    /// one, too. (`SO_REUSEPORT` would allow it, and leave it to chance who is asked.)
    pub fn excludes(&self, other: &Self) -> bool {
        let (Self::Tcp(one), Self::Tcp(other)) = (self, other) else { return false };
        let covers =
            |wide: &SocketAddr, other: &SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
        one != other && one.port() == other.port() && (covers(one, other) || covers(other, one))
    }
}

impl std::fmt::Display for ListenAddress {
    /// As in the file: `127.0.0.1:8080`, `unix:/run/x.sock`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a process has as its standard input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdinMode {
    /// `/dev/null`: it is at its end at once.
    #[default]
    Null,
    /// A pipe of its own that stays open for as long as the process lives; lines are written into it by request.
    Pipe,
}

impl StdinMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// The sockets of an app: what they are called, and whose the files of the Unix sockets are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ListenAccess {
    /// Names for `LISTEN_FDNAMES`, in the order of the addresses; empty = made from the addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub socket_names: Vec<String>,
    /// Their mode; `None` = 0660.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_mode: Option<u32>,
    /// User name or number that they belong to; `None` = the one that the app runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_user: Option<String>,
    /// Group name or number that they belong to; `None` = the one that the app runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_addresses_exclude_each_other_where_one_means_the_other_too() {
        let at = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        let excludes = |one: &str, other: &str| {
            assert_eq!(at(one).excludes(&at(other)), at(other).excludes(&at(one)), "{one} {other}");
            at(one).excludes(&at(other))
        };
        assert!(excludes("0.0.0.0:80", "127.0.0.1:80"));
        assert!(excludes("[::]:80", "127.0.0.1:80"));
        assert!(excludes("[::]:80", "0.0.0.0:80"));
        assert!(!excludes("0.0.0.0:80", "0.0.0.0:80"), "one socket serves both");
        assert!(!excludes("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!excludes("0.0.0.0:80", "[::1]:80"));
        assert!(!excludes("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!at("0.0.0.0:80").excludes(&ListenAddress::Unix("/run/x.sock".into())));
    }
}
