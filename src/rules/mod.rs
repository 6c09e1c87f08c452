//! Small verdicts that several rooms share.
//!
//! In:    a policy and what was seen        Out:  a delay, a command line, an environment, a yes or no
//! Never: I/O, clocks, chance: time, surroundings and seeds are arguments
//! Walk:  [`crate::lifecycle`] and [`crate::supervisor`] ask; nobody is told

mod backoff;
mod dependency;
mod environment;
mod program;
pub mod rotation;

pub use backoff::{Verdict, after_exit, after_trouble};
pub use dependency::{Standpoint, dependency};
pub use environment::{Place, environment};
pub use program::{Argv, argv};
