//! When a process is ready or healthy, and how that is probed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Millis, Template};

/// When a new process is ready; dependents and rollouts wait for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The edit.
    #[serde(flatten)]
    pub probe: Probe,
    /// A process that is not ready by then has failed.
    pub timeout: Millis,
    /// Time between two probes; notify, message and log need none.
    pub interval: Millis,
}

impl Ready {
    /// 30 s.
    pub const TIMEOUT: Millis = Millis::seconds(30);
    /// Often enough that waiting for the next probe is not noticeable.
    pub const INTERVAL: Millis = Millis(100);
}

/// Whether a running process is still good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// The edit. `Notify` is systemd's watchdog: `WATCHDOG=1` at least once per `interval`.
    #[serde(flatten)]
    pub probe: Probe,
    /// Time between two probes.
    pub interval: Millis,
    /// How long one probe may take.
    pub timeout: Millis,
    /// Time after readiness in which failures do not count.
    pub start_period: Millis,
    /// Failures in a row that count.
    pub failures: u32,
    /// What happens then.
    pub action: HealthAction,
}

impl Health {
    /// 10 s.
    pub const INTERVAL: Millis = Millis::seconds(10);
    /// 5 s, or the interval if that is shorter.
    pub const TIMEOUT: Millis = Millis::seconds(5);
    /// 3 in a row.
    pub const FAILURES: u32 = 3;
}

/// What follows too many failed health probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAction {
    /// A new process takes its place.
    #[default]
    Restart,
    /// It is only reported.
    None,
}

/// One probe, which succeeds or fails.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// A URL answers.
    Http(HttpProbe),
    /// An address (`host:port`, `unix:/path`) accepts connections.
    Tcp(Template),
    /// A command line, run by `sh -c` in the app's folder, environment and user, ends with 0.
    Exec(Template),
    /// A line that the app prints since its start matches this regular expression.
    Log(String),
    /// The app says `READY=1` on the socket `NOTIFY_SOCKET` (`sd_notify(3)`).
    Notify(bool),
    /// A Node app sends the message `ready` to its parent.
    Message(bool),
    /// A worker of a Node cluster listens at its first address.
    Listening(bool),
}

/// An HTTP probe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpProbe {
    /// `http://127.0.0.1:${PORT}/health`.
    pub url: Template,
    /// Accepted status codes; empty = 200 to 399.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// A regular expression that the first 64 KiB of the answer's body must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Probe {
    /// The word of the file: `http`, `tcp`, …
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Exec(_) => "exec",
            Self::Log(_) => "log",
            Self::Notify(_) => "notify",
            Self::Message(_) => "message",
            Self::Listening(_) => "listening",
        }
    }

    /// Whether the app reports it; otherwise it is probed repeatedly.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Log(_) | Self::Notify(_) | Self::Message(_) | Self::Listening(_))
    }
}
