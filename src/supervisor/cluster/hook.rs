//! The lines that a worker preloads: `drain.cjs`, laid down where the app can read it.

use std::io;

use super::has_drain_hook;
use crate::model::{App, ExecContext};
use crate::os::{self, Home};

const HOOK: &str = include_str!("drain.cjs");
const HOOK_NAME: &str = "drain.cjs";
/// What Node reads options from.
const NODE_OPTIONS: &str = "NODE_OPTIONS";

/// Has Node preload the hook, if the app wants it.
pub(in crate::supervisor) fn preload_hook(home: &Home, spec: &App, context: &mut ExecContext) -> io::Result<()> {
    if !has_drain_hook(&spec.run) {
        return Ok(());
    }
    let path = if context.identity.is_some() { os::for_all_users(HOOK_NAME)? } else { home.run.join(HOOK_NAME) };
    let mode = if context.identity.is_some() { 0o644 } else { 0o600 };
    let is_there = os::read_limited(&path, HOOK.len() as u64 + 1).is_ok_and(|text| text == HOOK.as_bytes());
    if !is_there {
        os::write_whole(&path, HOOK.as_bytes(), mode)?;
    }
    let path = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let options = context.env.entry(NODE_OPTIONS.to_owned()).or_default();
    let space = if options.is_empty() { "" } else { " " };
    *options = format!("{options}{space}--require \"{path}\"");
    Ok(())
}
