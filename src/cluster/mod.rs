//! The primary half of Node's `cluster` protocol, without a socket: lines of workers and connections in, lines and
//! descriptors out.
//!
//! In:    lines of workers, connections, time     Out:  [`PrimaryAction`]s: send, open, close, remember, tell
//! Never: a socket, a descriptor, a clock; a word of what an app says that is not passed on as it was
//! Walk:  [`crate::supervisor`] (its thread for clusters) → here → back as [`PrimaryAction`]s
//!
//! Node calls the channel between a primary and its workers internal. What is known of it, and from which versions, stands
//! in `docs/guide/cluster.md`.

mod address;
mod connections;
mod ids;
mod message;
mod primary;
mod socket;
#[cfg(test)]
mod tests;
mod worker;

pub use address::WantedSocket;
pub use ids::{ConnectionId, SocketId, WorkerId};
pub use message::{SocketName, metrics_request};
pub use primary::{Handle, Primary, PrimaryAction, Said};
pub use socket::SocketState;
pub use worker::WorkerState;
