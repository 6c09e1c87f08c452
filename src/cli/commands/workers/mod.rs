//! Commands that talk with processes over their channel.

mod send;

pub(super) use send::Send;
