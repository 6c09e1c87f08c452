//! The process that outlives the daemon: the parent of every app; it holds what must not be lost.
//!
//! In:    exits of children, held descriptors      Out:  exit statuses in the table, a running daemon
//! Never: a decision about an app, parsing, an async runtime, allocation once it runs
//! Walk:  [`crate::client`] → `start` → `run` → the daemon → `link` → [`crate::supervisor`]
//!
//! | who | writes |
//! | --- | --- |
//! | kernel | a row's pid, before the child can run |
//! | anchor | a row's exit status and time, then its state `Exited`, then it reaps; the held descriptors |
//! | daemon | everything else of a row |
//!
//! So a row in state `Spawning` or `Running` with a pid means that this pid has not been reaped, and an exit
//! status is in the table before the kernel forgets it.

mod arguments;
mod ending;
mod environment;
mod failure;
mod foreground;
mod held;
mod last_end;
mod layout;
mod link;
mod mirror;
#[cfg(test)]
mod process_tests;
mod protocol;
mod row;
mod run;
mod serve;
mod start;
mod succession;
mod table;
#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use failure::{ANSWER_ENDING, ANSWER_FAILED, ANSWER_HEADER, BootReport};
pub use foreground::become_anchor;
pub use held::{
    HELD_CHANNEL, HELD_ERRORS, HELD_LISTENER, HELD_NOTIFY, HELD_OUTPUT, HELD_SOCKET_FILE, HELD_VAULT, Held,
};
pub use last_end::may_have_left_processes;
pub use link::{AnchorLink, AnchorWord, HeldFd, Inherited};
pub use mirror::{Damage, Mirror};
pub use protocol::HoldRefusal;
pub use row::{EntryState, Record, RestoredProcess, Row, RowState, WrongState};
pub use run::{ALREADY_RUNNING, run};
pub use start::{StartError, start};
pub use table::{ROWS, Table};
