//! Following a Git source: what comes next for it, what is kept of what happened, and how it stands.
//!
//! [`next_step`] is asked again after every step, by whichever worker lives: it sees only what is kept, what the history of
//! the project says, and what the branch names now. So a sync that was killed anywhere goes on where it was.

mod keeping;
mod status;
mod step;
#[cfg(test)]
mod tests;
mod webhook;
mod window;

pub use keeping::changed_source;
pub use status::{after_tick, source_status};
pub use step::{RestReason, SourceFacts, SourceStep, next_step};
pub use webhook::{WebhookCheck, pushed_branch};
pub use window::{WindowError, check_windows, closed_until};
