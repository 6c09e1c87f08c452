//! One instance as a state machine: the only place that decides to spawn or to signal.
//!
//! In:    (state, input, now)              Out:  (state, effects)
//! Never: I/O, clocks, knowledge of other instances or of the plan
//! Walk:  [`crate::supervisor`] → here → effects → `supervisor/perform`
//!
//! The machine is total: every state answers every input. What does not belong to the state (an exit
//! of an older incarnation, an alarm that is over) changes nothing. Time comes in with the input;
//! [`Machine::alarm`] says when it wants to be asked again, so that a deadline survives the daemon:
//! the next one recovers the state and asks at the same moment.
//!
//! A hook that stands before a start or a stop is a state of its own (Preparing, Leaving): it ends by
//! [`Input::HookEnded`], by its alarm, or (before a start) by any order that wants something else. A worker of a cluster is
//! Draining before it is asked to end; [`Input::Drained`] or the alarm ends that.
//!
//! | state ╲ input | start | restart | stop | delete | spawned | spawn failed | exited | swept | probed, extended, over memory | alarm |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | Unknown | – | – | – | – | – | – | – | – | – | – |
//! | Resting | Starting | Starting | Resting(stopped) | *gone* | – | – | – | – | – | – |
//! | Preparing | Preparing | Preparing | Resting(stopped) | *gone* | – | – | – | – | – | Resting(errored) or Waiting |
//! | Starting | Starting | +again | +rest | +gone | Running, or Stopping if +something | Resting(errored) or Waiting | – | – | – | – |
//! | Running | Running | Stopping(again) | Stopping(rest) | Stopping(gone) | – | – | Stopping(verdict) | – | ready, failing, or Stopping(verdict) | not ready in time: Stopping(verdict) |
//! | Leaving | (again) | (again) | (rest) | (gone) | – | – | sweep | – | – | Stopping |
//! | Draining | (again) | (again) | (rest) | (gone) | – | – | sweep | – | – | Stopping |
//! | Stopping | (again) | (again) | (rest) | (gone) | – | – | sweep | nothing left: Starting, Resting, Waiting or *gone* | – | kill |
//! | Waiting | Starting | Starting | Resting(stopped) | *gone* | – | – | – | – | – | Starting |
//!
//! `Unknown` is the state of a row that the last daemon left; [`Machine::recover`] is its only way out.
//! A process that ended is not over until a sweep found nothing of its tree: only then is a successor
//! started, so that there are never two copies of one instance.

mod health;
mod hooks;
mod machine;
mod recover;
#[cfg(test)]
pub(crate) mod samples;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use machine::{Effect, Input, Machine};
pub use recover::{Found, SavedState};
pub use state::{End, Rest, State, Then};
