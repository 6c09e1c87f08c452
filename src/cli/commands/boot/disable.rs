//! `pm boot disable`: takes back what `pm boot enable` has written, and nothing else.

use std::path::PathBuf;

use serde::Serialize;

use super::Disable;
use super::enable::edited;
use super::machine::BootMachine;
use crate::cli::boot::{self, FileState, InitSystem};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::wire::FORMAT;

/// What was done, for `--json`.
#[derive(Serialize)]
struct Disabled<'a> {
    format: u32,
    unit: String,
    path: PathBuf,
    done: &'a [String],
}

pub(super) fn run(session: &mut Session, disable: &Disable) -> Ending {
    session.screen.is_json = disable.json.json;
    let machine = BootMachine::find(&disable.target, PathBuf::new())?;
    if machine.init != InitSystem::Systemd {
        let (path, _) = machine.service.by_hand(machine.init);
        return Err(CommandError::new(Code::Error, format!("`pm` writes nothing for {}", machine.init.as_str()))
            .hint(format!("remove `{path}` as it was put there")));
    }
    let mut done = Vec::new();
    let found = machine.found()?;
    let is_edited = boot::compare(found.as_deref(), "") == FileState::Edited;
    if is_edited && !disable.edited.force {
        return Err(edited(&machine.path()));
    }
    if machine.is_enabled()? {
        done.push(machine.must(&["disable", &machine.service.unit()])?);
    }
    if let Some(text) = &found {
        if is_edited {
            done.push(format!("kept the unit as `{}`", machine.back_up(text)?.display()));
        }
        machine.remove()?;
        done.push(format!("removed `{}`", machine.path().display()));
        if machine.is_running() {
            done.push(machine.must(&["daemon-reload"])?);
        }
    }
    report(session, disable, &machine, &done)
}

fn report(session: &mut Session, disable: &Disable, machine: &BootMachine, done: &[String]) -> Ending {
    if disable.json.json {
        let (unit, path) = (machine.service.unit(), machine.path());
        session.screen.json(&Disabled { format: FORMAT, unit, path, done })?;
        return Ok(Code::Ok);
    }
    if done.is_empty() {
        session.screen.note(&format!("nothing to do: there is no `{}`", machine.path().display()));
        return Ok(Code::Ok);
    }
    for line in done {
        session.screen.note(line);
    }
    if let Some(daemon) = machine.daemon() {
        session
            .screen
            .note(&format!("the daemon (pid {}) and its apps go on until the machine is shut down", daemon.pid));
    }
    if machine.has_linger() == Some(true) {
        session
            .screen
            .note("linger stays on, since other services may need it: `loginctl disable-linger` turns it off");
    }
    Ok(Code::Ok)
}
