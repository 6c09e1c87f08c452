//! Other programs that are run for an answer: one alone, or one with everything that it starts.

mod group;
mod tool;

pub use group::{GroupAnswer, GroupCall, run_in_group};
pub use tool::{ToolAnswer, ToolCall, run_tool};
