//! `pm boot status`: whether the apps start at boot, and by whom the present daemon was started.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::StatusArgs;
use super::machine::BootMachine;
use crate::cli::boot::{self, FileState, InitSystem, UnitScope};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::os;
use crate::wire::FORMAT;

/// The answer of `pm boot status --json`.
#[derive(Serialize)]
struct BootStatus {
    format: u32,
    /// `not_installed`, `not_enabled`, `enabled`, `enabled_but_not_in_use`, `running`.
    state: &'static str,
    init: &'static str,
    /// `system` or `user`.
    scope: &'static str,
    unit: String,
    path: PathBuf,
    home: PathBuf,
    /// `absent`, `written`, `edited`.
    file: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    linger: Option<bool>,
    /// The daemon that runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon_pid: Option<u32>,
    /// What keeps the apps from starting at boot.
    problems: Vec<String>,
}

pub(super) fn run(session: &mut Session, status: &StatusArgs) -> Ending {
    session.screen.is_json = status.json.json;
    let machine = BootMachine::find(&status.target, PathBuf::new())?;
    if machine.init != InitSystem::Systemd {
        let message = format!("`pm` cannot tell for {}: it writes nothing there", machine.init.as_str());
        return Err(CommandError::new(Code::Error, message));
    }
    let status_of_it = look(&machine)?;
    if status.json.json {
        session.screen.json(&status_of_it)?;
    } else {
        show(session, &status_of_it);
    }
    let starts = !matches!(status_of_it.state, "not_installed" | "not_enabled") && status_of_it.problems.is_empty();
    Ok(if starts { Code::Ok } else { Code::Error })
}

fn look(machine: &BootMachine) -> Result<BootStatus, CommandError> {
    let found = machine.found()?;
    let file = match boot::compare(found.as_deref(), "") {
        FileState::Absent => "absent",
        FileState::Edited => "edited",
        FileState::Current | FileState::Outdated => "written",
    };
    let mut problems = Vec::new();
    let is_enabled = found.is_some() && machine.is_enabled()?;
    let daemon = machine.daemon();
    let unit = machine.state()?;
    let state = match (&found, &daemon) {
        (None, _) => "not_installed",
        _ if !is_enabled => "not_enabled",
        (_, Some(daemon)) if unit.main_pid == daemon.anchor_pid => "running",
        (_, Some(_)) => "enabled_but_not_in_use",
        (_, None) => "enabled",
    };
    let linger = machine.has_linger();
    if is_enabled && linger == Some(false) {
        let name = &machine.service.user;
        problems
            .push(format!("linger is off, so it starts at login and ends at logout: `loginctl enable-linger {name}`"));
    }
    if let Some(exe) =
        found.as_deref().and_then(program_of).filter(|exe| machine.is_running() && !os::is_executable(Path::new(exe)))
    {
        problems.push(format!("the unit starts `{exe}`, which is no program: `pm boot enable` writes it again"));
    }
    if daemon.is_none() && unit.is_active && unit.main_pid != 0 {
        problems.push("the unit is active, but its daemon does not answer for this home".to_owned());
    }
    Ok(BootStatus {
        format: FORMAT,
        state,
        init: machine.init.as_str(),
        scope: if machine.service.scope == UnitScope::System { "system" } else { "user" },
        unit: machine.service.unit(),
        path: machine.path(),
        home: machine.service.home.clone(),
        file,
        linger,
        daemon_pid: daemon.map(|daemon| daemon.pid),
        problems,
    })
}

/// The program that a unit of ours starts.
fn program_of(unit: &str) -> Option<String> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    let exe = line.strip_suffix(" daemon run")?;
    let plain = exe.strip_prefix('"').and_then(|exe| exe.strip_suffix('"'));
    Some(plain.map_or_else(|| exe.to_owned(), |exe| exe.replace("%%", "%")))
}

fn show(session: &mut Session, status: &BootStatus) {
    let path = status.path.display();
    let sentence = match status.state {
        "not_installed" => "not installed: nothing starts at boot; `pm boot enable` changes that".to_owned(),
        "not_enabled" => format!("`{path}` is there, but not enabled: `pm boot enable` enables it"),
        "running" => "enabled, and the daemon that runs now was started by it".to_owned(),
        "enabled_but_not_in_use" => {
            "enabled; the daemon that runs now was not started by it: systemd takes over at the next boot".to_owned()
        }
        _ => "enabled; no daemon is running now".to_owned(),
    };
    let file = match status.file {
        "edited" => format!("{path} (changed by hand)"),
        "absent" => "none".to_owned(),
        _ => path.to_string(),
    };
    session.screen.line(&format!("boot     {sentence}"));
    session.screen.line(&format!("unit     {file}"));
    session.screen.line(&format!("home     {}", status.home.display()));
    for problem in &status.problems {
        session.screen.line(&format!("problem  {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_unit_is_read_back_as_it_was_written() {
        for exe in ["/usr/local/bin/pm", "/opt/my pm/pm", "/a%b c"] {
            let service = boot::BootService { exe: exe.into(), ..boot::sample() };
            assert_eq!(program_of(&service.text(InitSystem::Systemd).unwrap()).as_deref(), Some(exe));
        }
        assert_eq!(program_of("[Service]\nExecStart=/bin/true\n"), None);
    }
}
