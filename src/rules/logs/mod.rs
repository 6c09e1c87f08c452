//! What becomes of the output of apps.
//!
//! In:    a policy, lines with their times   Out:  when a file is cut, lines as other programs read them
//! Never: I/O, clocks: sizes, times and the zone are arguments
//! Walk:  `lines` (time stamps, JSON), `rotation`; [`crate::logs`] calls both

mod lines;
pub mod rotation;

pub use lines::{LineOrigin, LineWriter, check_timestamps, timestamp};
