//! What comes out of instances, and what is held open for them: pipes for their logs, sockets that they listen at.

mod attach;
mod listeners;
mod pipes;

pub(super) use attach::{Sessions, Writer};
pub use listeners::Listeners;
pub(super) use listeners::NotListening;
pub use pipes::Outputs;
