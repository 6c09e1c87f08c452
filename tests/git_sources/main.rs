//! The room `git` against real repositories, made by the real git: local, by ssh, hostile, signed, and killed at each stage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at the first surprise")]

mod fetches;
mod hostile;
mod killed;
mod origin;
mod releases;
mod servers;
mod signatures;
mod ssh;
