//! Who calls a command that runs here for somebody at another machine: that one's screen, folder and files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

static CALLER: OnceLock<RemoteCaller> = OnceLock::new();

/// The first message to the other machine. The files follow it, each in a message of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RemoteCaller {
    /// The command line without the name of the program.
    pub args: Vec<String>,
    /// What was typed as the host.
    pub host: String,
    /// The folder in which it was typed; the machine that runs the command need not have it.
    pub folder: PathBuf,
    /// `PM_HOME`, if the host was written with a path.
    pub home: Option<PathBuf>,
    /// The ecosystem files that the command reads.
    pub files: Vec<SentFile>,
    /// The files were found, not named.
    pub is_found: bool,
    /// The commit that is checked out in the folder of the files.
    pub commit: Option<String>,
    /// The linked worktree that this folder is in.
    pub worktree: Option<String>,
    pub terminal: CallerTerminal,
}

/// An ecosystem file of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SentFile {
    pub path: PathBuf,
    /// Its contents were sent; otherwise the machine that runs the command has it.
    pub is_sent: bool,
    #[serde(skip)]
    pub text: Vec<u8>,
}

/// What the text of a command is made for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct CallerTerminal {
    /// The terminal behind standard output, if it is one.
    pub output: Option<TerminalSize>,
    /// The terminal behind standard error, if it is one.
    pub notes: Option<TerminalSize>,
    /// As for `--color`.
    pub colours: String,
    /// It understands no more than text.
    pub is_dumb: bool,
    /// Standard input is a terminal: somebody can be asked.
    pub can_answer: bool,
}

/// As the terminal says it; 0 of what it does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// The caller at the other machine, if this process runs a command of one.
pub(super) fn remote_caller() -> Option<&'static RemoteCaller> {
    CALLER.get()
}

/// From now on this process runs the command of that one.
pub(super) fn serve(caller: RemoteCaller) {
    let _once = CALLER.set(caller);
}

/// The text of a file that was sent along.
pub(super) fn sent(path: &Path) -> Option<Vec<u8>> {
    let file = remote_caller()?.files.iter().find(|file| file.is_sent && file.path == path)?;
    Some(file.text.clone())
}
