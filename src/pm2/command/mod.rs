//! PM2's command line, as values: what was typed, which processes it means, what a script becomes.
//!
//! In:    words; the processes that exist     Out:  a call; chosen processes; an app as a file of PM2 declares it
//! Never: doing anything; text for users beyond what is wrong with a call
//! Walk:  the words → `grammar` (`options`) → `select` or `script` → [`super::translate`] → `inherited`

mod grammar;
mod inherited;
mod numbers;
mod options;
mod script;
mod select;

pub use grammar::{DoorCall, DoorVerb, read_words};
pub use inherited::as_through_the_door;
pub use numbers::ProcessNumbers;
pub use options::{DoorOptions, Misuse};
pub use script::app_of;
pub use select::{KnownProcess, Selector, choose};
