//! What starts `pm` at boot, as text: files of init systems, and whether a program may be named in them.
//!
//! Everything here is pure; `commands/boot` reads, writes and calls the init system.

mod others;
mod program;
mod systemd;
mod written;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

pub(super) use program::{Unfit, unfit};
pub(super) use written::{FileState, compare, signed};

/// An init system that `pm` knows.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InitSystem {
    Systemd,
    Openrc,
    Runit,
    Launchd,
}

impl InitSystem {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Openrc => "openrc",
            Self::Runit => "runit",
            Self::Launchd => "launchd",
        }
    }

    /// The init system that runs a machine with these files and this first process.
    pub(super) fn of_machine(exists: impl Fn(&str) -> bool, first_process: &str) -> Option<Self> {
        if exists("/run/systemd/system") {
            Some(Self::Systemd)
        } else if exists("/run/openrc") {
            Some(Self::Openrc)
        } else if first_process == "runit" || exists("/run/runit") {
            Some(Self::Runit)
        } else if first_process == "launchd" || exists("/System/Library/LaunchDaemons") {
            Some(Self::Launchd)
        } else {
            None
        }
    }
}

/// Who starts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UnitScope {
    /// The machine.
    System,
    /// The service manager of one user.
    User,
}

/// What is to be started at boot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BootService {
    pub scope: UnitScope,
    /// `pm`, or `pm-NAME` for the apps of another user.
    pub name: String,
    /// Whose apps they are.
    pub user: String,
    /// They are those of another user than root, and the machine starts them.
    pub runs_as: Option<String>,
    /// The `pm` to run.
    pub exe: PathBuf,
    pub home: PathBuf,
    /// Where `PM_HOME` would be without being set.
    pub default_home: PathBuf,
}

impl BootService {
    /// The text for an init system. None of it comes from the environment of the caller.
    ///
    /// # Errors
    /// A path that the file cannot hold.
    pub(super) fn text(&self, init: InitSystem) -> Result<String, Unfit> {
        for path in [&self.exe, &self.home] {
            let text = path.to_str().ok_or_else(|| Unfit::unprintable(path))?;
            if text.chars().any(char::is_control) {
                return Err(Unfit::unprintable(path));
            }
        }
        // systemd takes none of these in the path of a program, however they are quoted.
        if init == InitSystem::Systemd && self.exe.to_string_lossy().contains(['"', '\'', '\\', '$']) {
            return Err(Unfit::unprintable(&self.exe));
        }
        Ok(match init {
            InitSystem::Systemd => signed(&systemd::unit(self)),
            InitSystem::Openrc => others::openrc(self),
            InitSystem::Runit => others::runit(self),
            InitSystem::Launchd => others::launchd(self),
        })
    }

    /// `pm.service`.
    pub(super) fn unit(&self) -> String {
        format!("{}.service", self.name)
    }

    /// Where the file of an init system other than systemd belongs, and what makes that start it.
    pub(super) fn by_hand(&self, init: InitSystem) -> (String, String) {
        others::by_hand(self, init)
    }

    /// `PM_HOME`, if it has to be said.
    fn named_home(&self) -> Option<&Path> {
        (self.home != self.default_home).then_some(self.home.as_path())
    }
}

/// A service as root has it.
#[cfg(test)]
pub(super) fn sample() -> BootService {
    BootService {
        scope: UnitScope::System,
        name: "pm".into(),
        user: "root".into(),
        runs_as: None,
        exe: "/usr/local/bin/pm".into(),
        home: "/var/lib/pm".into(),
        default_home: "/var/lib/pm".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_system_is_known_by_what_it_leaves_in_run() {
        let cases: &[(&[&str], &str, Option<InitSystem>)] = &[
            (&["/run/systemd/system"], "systemd", Some(InitSystem::Systemd)),
            (&["/run/systemd/system", "/run/openrc"], "init", Some(InitSystem::Systemd)),
            (&["/run/openrc"], "init", Some(InitSystem::Openrc)),
            (&[], "runit", Some(InitSystem::Runit)),
            (&["/run/runit"], "init", Some(InitSystem::Runit)),
            (&["/System/Library/LaunchDaemons"], "launchd", Some(InitSystem::Launchd)),
            (&[], "init", None),
            (&[], "pm", None),
            // Installed, but another program is process 1: a container.
            (&["/usr/lib/systemd/systemd"], "sh", None),
        ];
        for (files, first, expected) in cases {
            assert_eq!(InitSystem::of_machine(|path| files.contains(&path), first), *expected, "{files:?} {first}");
        }
    }

    #[test]
    fn a_path_that_no_file_can_hold_is_refused_for_every_init_system() {
        use std::os::unix::ffi::OsStringExt as _;
        let not_text = PathBuf::from(std::ffi::OsString::from_vec(b"/srv/\xff".to_vec()));
        for path in ["/srv/a\nExecStart=/bin/evil".into(), "/srv/\u{1b}[2J".into(), not_text] {
            for init in InitSystem::value_variants() {
                let (mut one, mut other) = (sample(), sample());
                one.exe = path.clone();
                other.home = path.clone();
                assert!(one.text(*init).is_err() && other.text(*init).is_err(), "{path:?} {init:?}");
            }
        }
    }
}
