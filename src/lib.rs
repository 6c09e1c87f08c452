//! `pm`: a declarative process manager for one machine.
//!
//! A user declares which apps should run; `pm apply` sends that to a daemon, which compares it with
//! what is running, plans the steps, takes them, and keeps it so. The modules below are the stations
//! of that control loop. Each `mod.rs` says what comes in, what goes out and what never happens
//! there; `docs/ARCHITECTURE.md` draws the loop, and `docs/glossary.md` has the words.

// ---- words: data only
pub mod model;

// ---- deciding: pure, no I/O, no clock
pub mod cluster;
pub mod ecosystem;
pub mod import;
pub mod lifecycle;
pub mod metrics;
pub mod plan;
pub mod pm2;
pub mod rules;

// ---- touching: the kernel
pub mod anchor;
pub mod git;
pub mod os;

// ---- running: the daemon
pub mod api;
pub mod daemon;
pub mod events;
pub mod logs;
pub mod reconciler;
pub mod sensors;
pub mod store;
pub mod supervisor;
pub mod wire;

// ---- the user's side
pub mod cli;
pub mod client;
