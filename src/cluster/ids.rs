//! Numbers by which a primary and its surroundings name things.

/// Names a worker: `cluster.worker.id`.
pub type WorkerId = u32;
/// Names a socket of one app, for as long as one daemon lives.
pub type SocketId = u64;
/// Names a connection that was accepted and that no worker has confirmed yet.
pub type ConnectionId = u64;
