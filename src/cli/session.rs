//! What every command needs: the screen, the home, a client, the current folder.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::fail::{Code, CommandError, Ending};
use super::host::Pipes;
use super::output::{Screen, harmless};
use super::remote_caller::remote_caller;
use crate::client::{Client, ClientError};
use crate::model::WallTime;
use crate::os::{self, Home};
use crate::wire;

/// `--as-root`, which any command may have.
static IS_INSISTED: AtomicBool = AtomicBool::new(false);

/// From now on root may use a home that belongs to another user.
pub(super) fn insist() {
    IS_INSISTED.store(true, Relaxed);
}

/// Whether root may.
pub(super) fn is_insisted() -> bool {
    IS_INSISTED.load(Relaxed)
}

/// One run of the program.
pub(super) struct Session {
    /// The only way to the terminal.
    pub screen: Screen,
    /// What was read from pipes.
    pub pipes: Pipes,
    /// When the command was called.
    pub began: WallTime,
}

impl Session {
    pub(super) fn new() -> Self {
        Self { screen: Screen::new(), pipes: Pipes::default(), began: os::wall() }
    }

    /// The home of this user's daemon.
    ///
    /// # Errors
    /// Nothing says where.
    pub(super) fn home() -> Result<Home, CommandError> {
        let home = match remote_caller().and_then(|caller| caller.home.as_ref()) {
            Some(root) => Home::at(root),
            None => Home::from_env()?,
        };
        Ok(home.insisted(IS_INSISTED.load(Relaxed)))
    }

    /// A connection; the daemon is started if none runs.
    ///
    /// # Errors
    /// It cannot be started or reached.
    pub(super) fn client() -> Result<Client, CommandError> {
        Ok(Client::connect_or_start(&Self::home()?)?)
    }

    /// A connection to a daemon that runs already; `None` if none does.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(super) fn client_if_running() -> Result<Option<Client>, CommandError> {
        Self::if_running(Client::connect(&Self::home()?))
    }

    /// The same; but one is started if the last one was killed and may have left processes.
    ///
    /// # Errors
    /// It cannot be started or reached.
    pub(super) fn client_if_needed() -> Result<Option<Client>, CommandError> {
        Self::if_running(Client::connect_or_look(&Self::home()?))
    }

    fn if_running(connected: Result<Client, ClientError>) -> Result<Option<Client>, CommandError> {
        match connected {
            Ok(client) => Ok(Some(client)),
            Err(ClientError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says so if the daemon is of another version.
    pub(super) fn compare_versions(&mut self, client: &Client) {
        if let Some(daemon) = client.other_version() {
            let ours = wire::VERSION;
            self.screen.note(&format!(
                "warning: the daemon is version {daemon}, this is {ours}; `pm daemon restart` updates it and keeps the apps running"
            ));
        }
    }

    /// What the daemon found when it started; reported once, with any command.
    pub(super) fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            self.screen.note(&format!("warning: {}", harmless(warning)));
        }
    }

    /// Writes what is left to write and says how the process ends: as the action did, and else as its text.
    pub(super) fn end(mut self, ending: Ending) -> u8 {
        let mut exit_code = match ending {
            Ok(code) => code as u8,
            Err(error) => {
                self.screen.fail(&error);
                error.exit_code
            }
        };
        if let Some(error) = self.screen.end()
            && exit_code == Code::Ok as u8
        {
            self.screen.is_json = false; // it cannot be written either
            let error = CommandError::system("cannot write the output", &error);
            self.screen.fail(&error);
            exit_code = error.exit_code;
            let _ = self.screen.end();
        }
        exit_code
    }
}

/// The current folder, as typed: symlinks are kept if the shell's `PWD` is correct. That of the caller at another machine
/// is a path like any other here: it says which project is meant, and need not exist.
pub(super) fn folder() -> Result<PathBuf, CommandError> {
    if let Some(caller) = remote_caller() {
        return Ok(caller.folder.clone());
    }
    let real = os::current_folder().map_err(|error| {
        CommandError::system("cannot determine the current folder", &error).hint("`cd` to another folder")
    })?;
    let typed = os::environment().get("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(typed.filter(|path| os::canonicalize(path).is_ok_and(|path| path == real)).unwrap_or(real))
}
