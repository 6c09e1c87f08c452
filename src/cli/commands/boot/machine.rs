//! The machine that `pm boot` works on: whose apps, where the unit is, and what systemd says of it.

use std::path::{Path, PathBuf};

use super::BootTarget;
use crate::cli::boot::{BootService, InitSystem, UnitScope};
use crate::cli::fail::{Code, CommandError};
use crate::cli::session::Session;
use crate::client::Client;
use crate::os::{self, Home, ToolAnswer, User};
use crate::wire::DaemonAnswer;

/// Longest unit that is read.
const UNIT_BYTES_MAX: u64 = 1 << 20;
const LINGER: &str = "/var/lib/systemd/linger";

/// One machine, running or as the files of an image.
pub(super) struct BootMachine {
    pub init: InitSystem,
    pub service: BootService,
    root: Option<PathBuf>,
    /// The folder of units.
    folder: PathBuf,
    uid: u32,
}

/// What systemd says of the unit at this moment.
#[derive(Default)]
pub(super) struct UnitState {
    pub is_active: bool,
    pub main_pid: u32,
}

impl BootMachine {
    /// Finds everything out; nothing is changed.
    ///
    /// # Errors
    /// No init system, no such user, no home.
    pub(super) fn find(target: &BootTarget, exe: PathBuf) -> Result<Self, CommandError> {
        let init = match (target.init, &target.root) {
            (Some(init), _) => init,
            (None, Some(_)) => InitSystem::Systemd,
            (None, None) => of_this_machine()?,
        };
        let us = os::user_id();
        let scope = if us == 0 || target.root.is_some() { UnitScope::System } else { UnitScope::User };
        let user = user(target, scope)?;
        let default_home = Home::default_of(user.uid, &user.home).root;
        let home = match (os::variable("PM_HOME").filter(|home| !home.is_empty()), scope) {
            (None, UnitScope::System) => default_home.clone(),
            (_, UnitScope::User) | (Some(_), UnitScope::System) => Session::home()?.root,
        };
        let runs_as = (user.uid != 0 && scope == UnitScope::System).then(|| user.name.clone());
        let name = if runs_as.is_some() { format!("pm-{}", user.name) } else { "pm".to_owned() };
        let folder = match scope {
            UnitScope::System => below(target.root.as_deref(), "etc/systemd/system"),
            UnitScope::User => user_folder(&user),
        };
        let (uid, root) = (user.uid, target.root.clone());
        let service = BootService { scope, name, user: user.name, runs_as, exe, home, default_home };
        Ok(Self { init, service, root, folder, uid })
    }

    /// Where the unit is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(self.service.unit())
    }

    /// Whether it runs, and is no image of another machine.
    pub(super) fn is_running(&self) -> bool {
        self.root.is_none()
    }

    /// The text of the unit; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn found(&self) -> Result<Option<String>, CommandError> {
        let path = self.path();
        match os::read_limited(&path, UNIT_BYTES_MAX) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::system(format!("cannot read `{}`", path.display()), &error)),
        }
    }

    /// Puts the unit in its place.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn write(&self, text: &str) -> Result<(), CommandError> {
        let path = self.path();
        let written =
            os::create_open_folder(&self.folder).and_then(|()| os::write_atomically(&path, text.as_bytes(), 0o644));
        written.map_err(|error| CommandError::system(format!("cannot write `{}`", path.display()), &error))
    }

    /// Keeps the present unit under another name; returns that name.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn back_up(&self, text: &str) -> Result<PathBuf, CommandError> {
        let path = self.folder.join(format!("{}.bak", self.service.unit()));
        os::write_atomically(&path, text.as_bytes(), 0o644)
            .map_err(|error| CommandError::system(format!("cannot write `{}`", path.display()), &error))?;
        Ok(path)
    }

    /// Takes the unit away.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn remove(&self) -> Result<(), CommandError> {
        let path = self.path();
        os::remove_if_there(&path)
            .map_err(|error| CommandError::system(format!("cannot remove `{}`", path.display()), &error))
    }

    /// `systemctl` with what leads it to this machine.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(root) = &self.root {
            all.push(format!("--root={}", root.display()));
        } else if self.service.scope == UnitScope::User {
            all.push("--user".to_owned());
        }
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    }

    /// The command as a user would type it.
    pub(super) fn line(&self, words: &[&str]) -> String {
        format!("systemctl {}", self.words(words).join(" "))
    }

    fn systemctl(&self, words: &[&str]) -> Result<ToolAnswer, CommandError> {
        let mut variables = Vec::new();
        // A shell of `su` or a job of cron lacks it.
        if self.service.scope == UnitScope::User && os::variable("XDG_RUNTIME_DIR").is_none() {
            variables.push(("XDG_RUNTIME_DIR".to_owned(), format!("/run/user/{}", self.uid)));
        }
        os::run_init_tool("systemctl", &self.words(words), &variables)
            .map_err(|error| CommandError::system(format!("cannot run `{}`", self.line(words)), &error))
    }

    /// Runs `systemctl`, which has to succeed; returns the command for the report.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn must(&self, words: &[&str]) -> Result<String, CommandError> {
        let answer = self.systemctl(words)?;
        let line = self.line(words);
        if answer.exit_code == Some(0) {
            return Ok(line);
        }
        let error = failed(&line, &answer);
        Err(if self.service.scope == UnitScope::User && answer.complaint.contains("Failed to connect to bus") {
            let name = &self.service.user;
            error.hint(format!("the service manager of {name} is not running: log in as {name}, or run `loginctl enable-linger {name}` as root, and try again"))
        } else {
            error
        })
    }

    /// Whether the unit is started at boot (at login, for a user).
    ///
    /// # Errors
    /// `systemctl` cannot be run.
    pub(super) fn is_enabled(&self) -> Result<bool, CommandError> {
        Ok(self.systemctl(&["is-enabled", &self.service.unit()])?.output.trim() == "enabled")
    }

    /// What the unit does now. Nothing, for an image.
    ///
    /// # Errors
    /// `systemctl` cannot be run.
    pub(super) fn state(&self) -> Result<UnitState, CommandError> {
        if !self.is_running() {
            return Ok(UnitState::default());
        }
        let answer = self.systemctl(&["show", &self.service.unit(), "--property=ActiveState,MainPID"])?;
        let value = |name: &str| answer.output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(UnitState {
            is_active: matches!(value("ActiveState"), Some("active" | "activating" | "reloading")),
            main_pid: value("MainPID").and_then(|pid| pid.trim().parse().ok()).unwrap_or(0),
        })
    }

    /// The daemon that runs for this home; none, for an image.
    pub(super) fn daemon(&self) -> Option<DaemonAnswer> {
        if !self.is_running() {
            return None;
        }
        Client::look_at(&Home::at(&self.service.home), self.uid).and_then(|mut client| client.daemon()).ok()
    }

    /// Whether the services of the user run without a login; `None` where that does not matter.
    pub(super) fn has_linger(&self) -> Option<bool> {
        (self.service.scope == UnitScope::User).then(|| os::exists(&Path::new(LINGER).join(&self.service.user)))
    }

    /// Turns that on; what is to be done instead, if it is not permitted.
    pub(super) fn enable_linger() -> Result<String, CommandError> {
        let words = ["enable-linger".to_owned()];
        let line = "loginctl enable-linger";
        let error = match os::run_init_tool("loginctl", &words, &[]) {
            Ok(answer) if answer.exit_code == Some(0) => return Ok(line.to_owned()),
            Ok(answer) => failed(line, &answer),
            Err(error) => CommandError::system(format!("cannot run `{line}`"), &error),
        };
        Err(error)
    }
}

fn failed(line: &str, answer: &ToolAnswer) -> CommandError {
    let how =
        answer.exit_code.map_or("was ended by a signal".to_owned(), |code| format!("failed with exit code {code}"));
    let said = answer.complaint.lines().chain(answer.output.lines()).map(str::to_owned);
    CommandError {
        causes: said.filter(|line| !line.is_empty()).take(5).collect(),
        ..CommandError::new(Code::Error, format!("`{line}` {how}"))
    }
}

fn of_this_machine() -> Result<InitSystem, CommandError> {
    InitSystem::of_machine(|path| os::exists(Path::new(path)), &os::first_process()).ok_or_else(|| {
        let message = format!(
            "no init system that `pm` knows runs this machine (process 1 is `{}`)",
            os::first_process()
        );
        CommandError::new(Code::Error, message).hint(
            "`pm boot enable --init systemd --print` shows the unit; in a container make `pm daemon run` the first process",
        )
    })
}

/// Whose apps it is about.
fn user(target: &BootTarget, scope: UnitScope) -> Result<User, CommandError> {
    let unreadable = |error: std::io::Error| CommandError::system("cannot read the users", &error);
    if let Some(name) = &target.user_name {
        if scope == UnitScope::User {
            let message = "only root can write a unit for another user";
            return Err(CommandError::new(Code::Usage, message).hint("omit `--user-name`, or use `sudo`"));
        }
        let user =
            os::user_named(name).map_err(unreadable)?.filter(|user| user.name == *name && name.parse::<u32>().is_err());
        return user.ok_or_else(|| CommandError::new(Code::Usage, format!("no user is named `{name}`")));
    }
    let uid = if scope == UnitScope::System { 0 } else { os::user_id() };
    let found = os::user_by_id(uid).map_err(unreadable)?;
    let home = os::variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Ok(found.unwrap_or_else(|| User { name: os::user_name(uid), uid, gid: uid, home, shell: "/bin/sh".into() }))
}

/// `$XDG_CONFIG_HOME/systemd/user`.
fn user_folder(user: &User) -> PathBuf {
    let config = os::variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    config.unwrap_or_else(|| user.home.join(".config")).join("systemd/user")
}

fn below(root: Option<&Path>, path: &str) -> PathBuf {
    root.unwrap_or_else(|| Path::new("/")).join(path)
}
