//! What goes on around the apps: probes, changed files, the clock, used memory.
//!
//! In:    Desired and Live, as they change     Out:  observations for the supervisor, triggers for the reconciler
//! Never: a decision (those are `rules`' and `lifecycle`'s), a second way to start or stop anything
//! Walk:  kernel → here → [`crate::supervisor`] (about one process) or [`crate::reconciler`] (about an app)
//!
//! Each sensor is one task that lives as long as the daemon. It keeps nothing that the next daemon could not see
//! again by itself.

use crate::reconciler::Reconciler;
use crate::supervisor::Supervisor;

/// Whom sensors listen to, and whom they tell.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Knows what should be; is told what concerns an app.
    pub reconciler: Reconciler,
    /// Knows what lives; is told what concerns one process.
    pub supervisor: Supervisor,
}

/// Starts all sensors. Must be called inside the runtime.
pub fn start(surroundings: Surroundings) {
    drop(surroundings);
}
