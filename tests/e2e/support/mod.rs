//! What every end-to-end test stands on: a home of its own, the real binary, and patience with a deadline.

mod processes;
mod sandbox;
mod truth;
mod view;
mod wait;

pub use processes::{Process, children, kill, processes_with, start_time};
pub use sandbox::{Sandbox, finish, fixture, run};
pub use truth::{Counts, Numbered};
pub use view::{AppEvent, InstanceView, has_any};
pub use wait::{pause_between_faults, wait_for, wait_until};

use std::time::Duration;

/// Long enough for a loaded machine, short enough to notice a hang.
pub const SOON: Duration = Duration::from_secs(20);
