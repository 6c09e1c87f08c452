//! `pm boot enable`: writes the unit and enables it. What is already so is left alone.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Enable;
use super::machine::BootMachine;
use crate::cli::boot::{self, FileState, InitSystem, Unfit, UnitScope};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::cli::sudo;
use crate::os;
use crate::wire::FORMAT;

#[derive(Serialize)]
struct PrintedUnit<'a> {
    format: u32,
    init: &'static str,
    path: String,
    text: &'a str,
}

/// What was done, for `--json`.
#[derive(Serialize)]
struct Enabled<'a> {
    format: u32,
    unit: String,
    path: PathBuf,
    /// Commands and writes, in order; none: nothing was to do.
    done: &'a [String],
    /// What is left to do, by whom; and what becomes of the daemon that runs now.
    left: Vec<String>,
}

pub(super) fn run(session: &mut Session, enable: &Enable) -> Ending {
    session.screen.is_json = enable.json.json;
    let machine = BootMachine::find(&enable.target, program(enable)?)?;
    check_program(session, enable, &machine)?;
    let text = machine.service.text(machine.init).map_err(refused)?;
    if enable.print {
        return print(session, enable, &machine, &text);
    }
    if machine.init != InitSystem::Systemd {
        let (path, command) = machine.service.by_hand(machine.init);
        let init = machine.init.as_str();
        return Err(CommandError::new(
            Code::Error,
            format!("`pm` only shows the file for {init}, since that was not tried yet"),
        )
        .hint(format!("`pm boot enable --init {init} --print > {path}`, read it, then `{command}`")));
    }
    let mut done = Vec::new();
    let is_new = write(&machine, &text, enable.edited.force, &mut done)?;
    // It starts the user's service manager where none is running, which the next steps need.
    let mut left: Vec<String> = linger(&machine, &mut done).into_iter().collect();
    if is_new && machine.is_running() {
        done.push(machine.must(&["daemon-reload"])?);
    }
    if !machine.is_enabled()? {
        done.push(machine.must(&["enable", &machine.service.unit()])?);
    }
    let about_daemon = hand_over(&machine, enable.now, &mut done)?;
    let is_whole = left.is_empty() && about_daemon.is_done;
    left.extend(about_daemon.sentence);
    if enable.json.json {
        let (unit, path) = (machine.service.unit(), machine.path());
        session.screen.json(&Enabled { format: FORMAT, unit, path, done: &done, left })?;
    } else {
        for line in &done {
            session.screen.note(line);
        }
        if done.is_empty() && is_whole {
            session.screen.note(&format!("nothing to do: `{}` is enabled", machine.path().display()));
        }
        for sentence in &left {
            session.screen.note(sentence);
        }
        for_somebody_else(session, enable, &machine);
    }
    Ok(if is_whole { Code::Ok } else { Code::Partly })
}

/// The program that is to be started: by its real path, since a link may lead elsewhere at boot.
fn program(enable: &Enable) -> Result<PathBuf, CommandError> {
    let Some(exe) = &enable.exe else {
        return os::current_exe().map_err(|error| CommandError::system("cannot tell where this `pm` is", &error));
    };
    let wrong = |why: &str| CommandError::new(Code::Usage, format!("`--exe {}`: {why}", exe.display()));
    if !exe.is_absolute() {
        return Err(wrong("the path has to be absolute"));
    }
    // In an image it may be a link that leads somewhere only there.
    match &enable.target.root {
        Some(root) if os::is_executable(&root.join(exe.strip_prefix("/").unwrap_or(exe))) => Ok(exe.clone()),
        Some(_) => Err(wrong("there is no such program in the image")),
        None if os::is_executable(exe) => os::canonicalize(exe).map_err(|error| wrong(&error.to_string())),
        None => Err(wrong("there is no such program")),
    }
}

/// Refuses a path that will not last; one that was named, or is only shown, is warned about.
fn check_program(session: &mut Session, enable: &Enable, machine: &BootMachine) -> Result<(), CommandError> {
    let exe = &machine.service.exe;
    if let Some(unfit) = boot::unfit(exe) {
        if enable.exe.is_none() && !enable.print {
            return Err(refused(unfit));
        }
        session.screen.note(&format!("warning: {}", unfit.message));
    }
    if machine.is_running()
        && let Some(owner) = os::owner_of_file(exe).filter(|owner| is_of_another(*owner, machine))
    {
        let (exe, owner, user) = (exe.display(), os::user_name(owner), &machine.service.user);
        session
            .screen
            .note(&format!("warning: `{exe}` belongs to {owner}, who thereby decides what runs as {user} at boot"));
    } else if machine.is_running() && os::is_writable_by_others(exe) {
        session.screen.note(&format!("warning: other users may write to `{}`, which runs at boot", exe.display()));
    }
    Ok(())
}

fn is_of_another(owner: u32, machine: &BootMachine) -> bool {
    owner != 0 && os::user_name(owner) != machine.service.user
}

fn refused(unfit: Unfit) -> CommandError {
    CommandError { hint: unfit.hint, ..CommandError::new(Code::Refused, unfit.message) }
}

fn print(session: &mut Session, enable: &Enable, machine: &BootMachine, text: &str) -> Ending {
    let is_systemd = machine.init == InitSystem::Systemd;
    let path = if is_systemd { machine.path().display().to_string() } else { machine.service.by_hand(machine.init).0 };
    if enable.json.json {
        session.screen.json(&PrintedUnit { format: FORMAT, init: machine.init.as_str(), path, text })?;
        return Ok(Code::Ok);
    }
    session.screen.data(text.as_bytes());
    if !is_systemd {
        let command = machine.service.by_hand(machine.init).1;
        session.screen.note(&format!("not tried yet on such a machine; it belongs into `{path}`, then: `{command}`"));
    }
    Ok(Code::Ok)
}

/// Turns linger on for a unit of a user; returns what is left to do.
fn linger(machine: &BootMachine, done: &mut Vec<String>) -> Option<String> {
    if machine.has_linger() != Some(false) {
        return None;
    }
    match BootMachine::enable_linger() {
        Ok(line) => {
            done.push(line);
            None
        }
        Err(error) => {
            let name = &machine.service.user;
            let why = std::iter::once(error.message).chain(error.causes).collect::<Vec<_>>().join(": ");
            Some(format!(
                "your services start when you log in and end when you log out; for a start at boot root has to run `loginctl enable-linger {name}` ({why})"
            ))
        }
    }
}

/// Puts the unit in its place; false: it was there already.
fn write(machine: &BootMachine, text: &str, is_forced: bool, done: &mut Vec<String>) -> Result<bool, CommandError> {
    let (found, path) = (machine.found()?, machine.path());
    match boot::compare(found.as_deref(), text) {
        FileState::Current => return Ok(false),
        FileState::Edited if !is_forced => return Err(edited(&path)),
        FileState::Edited => {
            let kept = machine.back_up(found.as_deref().unwrap_or_default())?;
            done.push(format!("kept the unit as `{}`", kept.display()));
        }
        FileState::Absent | FileState::Outdated => {}
    }
    machine.write(text)?;
    done.push(format!("wrote `{}`", path.display()));
    Ok(true)
}

/// A unit that is not (only) ours.
pub(super) fn edited(path: &Path) -> CommandError {
    CommandError::new(Code::Refused, format!("`{}` was written or changed by hand", path.display())).hint(
        "`--force` does it anyway and keeps the unit as `….service.bak`; `systemctl edit` keeps changes in a file of their own",
    )
}

/// What is to be said of the daemon that runs now, and whether everything that was asked for is done.
struct AboutDaemon {
    sentence: Option<String>,
    is_done: bool,
}

/// Starts the unit if it is to be started, and a daemon would not be in its way.
fn hand_over(machine: &BootMachine, now: bool, done: &mut Vec<String>) -> Result<AboutDaemon, CommandError> {
    let start = machine.line(&["start", &machine.service.unit()]);
    let nothing = AboutDaemon { sentence: None, is_done: true };
    if !machine.is_running() {
        return Ok(nothing);
    }
    Ok(match machine.daemon() {
        Some(daemon) if machine.state()?.main_pid == daemon.anchor_pid => nothing,
        Some(daemon) => AboutDaemon {
            sentence: Some(format!(
                "systemd takes over at the next boot; until then the present daemon and its apps go on untouched. At once, with a restart of all apps that should run: `kill {} && {start}`",
                daemon.anchor_pid
            )),
            is_done: !now,
        },
        None if now => {
            done.push(machine.must(&["start", &machine.service.unit()])?);
            nothing
        }
        None => AboutDaemon {
            sentence: Some(format!("no daemon is running; it starts at the next boot, or now: `{start}`")),
            is_done: true,
        },
    })
}

/// `sudo pm boot enable` of a user whose apps are not root's.
fn for_somebody_else(session: &mut Session, enable: &Enable, machine: &BootMachine) {
    let is_for_root = machine.service.scope == UnitScope::System && machine.service.runs_as.is_none();
    if is_for_root
        && enable.target.root.is_none()
        && let Some(caller) = sudo::caller()
    {
        let name = caller.name;
        session.screen.note(&format!("this is for the apps of root; for those of {name}: `pm boot enable` without `sudo`, or `sudo pm boot enable --user-name {name}`"));
    }
}
