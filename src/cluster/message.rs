//! Lines of Node's channel ↔ messages of a cluster. Only the envelope is read; what an app says stays as it was written.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::address::AskedAddress;

/// What prom-client calls its answer to a primary.
const METRICS_ANSWER: &str = "prom-client:getMetricsRes";

/// Stands before Bun's internal messages.
const BUN_MARK: u8 = 2;

/// One line that a worker has said.
#[derive(Debug)]
pub(super) enum WorkerMessage<'a> {
    /// It asks for a socket.
    QueryServer { seq: u64, asked: Box<AskedAddress>, data: Option<&'a str>, index: u64 },
    /// A server of it is up.
    Listening,
    /// A server of it was closed.
    Close { key: Cow<'a, str> },
    /// It leaves on its own wish, and waits for an answer.
    Leaving { seq: u64 },
    /// The answer to a connection that was offered.
    Answer { ack: u64, is_accepted: bool },
    /// A descriptor has arrived.
    Arrived,
    /// A descriptor has not arrived: the worker has none left.
    NotArrived,
    /// A message with a descriptor, which waits for an answer.
    WithHandle(Option<&'a str>),
    /// The metrics of the worker, or why it has none: the whole line.
    Metrics { request: u64, line: &'a str },
    /// Something that the app says.
    Said(&'a str),
    /// Nothing that means anything here.
    Other,
}

/// What all internal messages have in common.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    cmd: Cow<'a, str>,
    #[serde(borrow, default)]
    act: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    ack: Option<u64>,
    #[serde(default)]
    accepted: Option<bool>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
}

/// What an answer of prom-client has besides the metrics.
#[derive(Deserialize)]
struct MetricsEnvelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(rename = "requestId")]
    request: u64,
}

/// What only a request for a socket has besides the address.
#[derive(Deserialize)]
struct QueryRest<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    index: Option<u64>,
}

impl<'a> WorkerMessage<'a> {
    /// Reads one line. What is no JSON, or what nobody knows, is [`WorkerMessage::Other`]: a channel is never given up for it.
    pub(super) fn read(line: &'a [u8]) -> Self {
        // Bun marks its own messages so.
        let (line, is_marked) = line.strip_prefix(&[BUN_MARK]).map_or((line, false), |rest| (rest, true));
        let Ok(text) = std::str::from_utf8(line) else { return Self::Other };
        let text = text.trim();
        // Cheaper than an envelope, and true of every internal message.
        if text.contains("\"NODE_")
            && let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text)
            && is_internal(&envelope.cmd)
        {
            return Self::internal(text, envelope);
        }
        if is_marked {
            return Self::Other;
        }
        if text.contains(METRICS_ANSWER)
            && let Ok(MetricsEnvelope { kind, request }) = serde_json::from_str(text)
            && kind == METRICS_ANSWER
        {
            return Self::Metrics { request, line: text };
        }
        if serde_json::from_str::<&RawValue>(text).is_ok() { Self::Said(text) } else { Self::Other }
    }

    fn internal(text: &'a str, envelope: Envelope<'a>) -> Self {
        match &*envelope.cmd {
            "NODE_HANDLE" => Self::WithHandle(envelope.msg.map(RawValue::get)),
            "NODE_HANDLE_ACK" => Self::Arrived,
            "NODE_HANDLE_NACK" => Self::NotArrived,
            "NODE_CLUSTER" => Self::of_cluster(text, envelope),
            _ => Self::Other,
        }
    }

    fn of_cluster(text: &'a str, envelope: Envelope<'a>) -> Self {
        match (envelope.act.as_deref(), envelope.seq, envelope.ack) {
            (None, _, Some(ack)) => Self::Answer { ack, is_accepted: envelope.accepted.unwrap_or(false) },
            (Some("queryServer"), Some(seq), _) => Self::query(text, seq),
            (Some("listening"), ..) => Self::Listening,
            (Some("close"), ..) => envelope.key.map_or(Self::Other, |key| Self::Close { key }),
            (Some("exitedAfterDisconnect"), Some(seq), _) => Self::Leaving { seq },
            _ => Self::Other,
        }
    }

    fn query(text: &'a str, seq: u64) -> Self {
        // One after the other: `serde(flatten)` reads by way of a copy, which a raw value does not survive.
        let (Ok(asked), Ok(rest)) = (serde_json::from_str(text), serde_json::from_str::<QueryRest<'a>>(text)) else {
            return Self::Other;
        };
        let data = rest.data.map(RawValue::get).filter(|data| *data != "null");
        Self::QueryServer { seq, asked, data, index: rest.index.unwrap_or(0) }
    }
}

/// Node keeps these to itself.
fn is_internal(cmd: &str) -> bool {
    cmd.len() > 5 && cmd.starts_with("NODE_")
}

/// What a socket is called, for `server.address()`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SocketName {
    /// The address in numbers.
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: Cow<'static, str>,
    /// Its number; never 0.
    pub port: u16,
}

/// A line of `NODE_CLUSTER`.
#[derive(Serialize)]
struct Reply<'a> {
    cmd: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockname: Option<&'a SocketName>,
    seq: u64,
}

impl Reply<'_> {
    fn new(seq: u64) -> Self {
        Self { cmd: "NODE_CLUSTER", act: None, errno: None, key: None, ack: None, data: None, sockname: None, seq }
    }

    fn line(&self) -> String {
        // These types have no form that JSON lacks.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The answer to a request for a socket.
pub(super) struct Granted<'a> {
    pub ack: u64,
    pub seq: u64,
    pub key: &'a str,
    pub data: Option<&'a str>,
}

impl Granted<'_> {
    fn reply(&self) -> Reply<'_> {
        let data = self.data.and_then(|data| serde_json::from_str(data).ok());
        Reply { key: Some(self.key), ack: Some(self.ack), data, ..Reply::new(self.seq) }
    }

    /// The worker gets the socket itself, which goes with the line.
    pub(super) fn shared(&self, handle_type: HandleType) -> String {
        let inner = Reply { errno: Some(0), ..self.reply() }.line();
        wrapped(handle_type, inner.trim_end())
    }

    /// The worker gets connections.
    pub(super) fn round_robin(&self, name: Option<&SocketName>) -> String {
        Reply { errno: Some(0), sockname: name, ..self.reply() }.line()
    }

    /// There is no such socket. `errno`: positive, as the kernel counts them.
    pub(super) fn refused(&self, errno: i32) -> String {
        Reply { errno: Some(-errno), ..self.reply() }.line()
    }
}

/// What a descriptor becomes in the worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HandleType {
    /// TCP or a Unix socket.
    Stream,
    /// A socket of UDP.
    Datagram,
}

/// A connection for a worker; its descriptor goes with the line.
pub(super) fn new_connection(key: &str, seq: u64) -> String {
    let inner = Reply { act: Some("newconn"), key: Some(key), ..Reply::new(seq) }.line();
    wrapped(HandleType::Stream, inner.trim_end())
}

/// A question that every worker answers with no: all that was sent before has arrived by then. It offers a connection of a
/// server that does not exist; the worker closes what comes with it.
pub(super) fn barrier(seq: u64) -> String {
    new_connection("none", seq)
}

/// Close your servers, let your connections end, and leave the channel.
pub(super) fn disconnect(seq: u64) -> String {
    Reply { act: Some("disconnect"), ..Reply::new(seq) }.line()
}

/// The answer to [`WorkerMessage::Leaving`].
pub(super) fn may_leave(ack: u64, seq: u64) -> String {
    Reply { ack: Some(ack), ..Reply::new(seq) }.line()
}

/// Tells the preloaded lines, if they are there, that the end is near; Node ignores it.
pub(super) const DRAIN_SOON: &str = "{\"cmd\":\"NODE_PM_DRAIN\"}\n";
/// Asks for the metrics of a worker: the preloaded lines, which pass it on, or prom-client itself.
pub fn metrics_request(request: u64, has_hook: bool) -> String {
    let kind = if has_hook { r#""cmd":"NODE_PM_METRICS""# } else { r#""type":"prom-client:getMetricsReq""# };
    format!("{{{kind},\"requestId\":{request}}}\n")
}

/// The answer to [`WorkerMessage::WithHandle`].
pub(super) const ARRIVED: &str = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";

fn wrapped(handle_type: HandleType, inner: &str) -> String {
    let name = match handle_type {
        HandleType::Stream => "net.Native",
        HandleType::Datagram => "dgram.Native",
    };
    format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"{name}\",\"msg\":{inner}}}\n")
}
