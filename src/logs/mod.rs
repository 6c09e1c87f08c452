//! Bytes from children → files, readers, followers.
//!
//! In:    pipes of instances                Out:  log files, a side index of times, [`Line`]s
//! Never: a second writer per file; a byte in user memory between pipe and file
//! Walk:  children → `pump` → files → `reader`, `follower` → [`crate::api`]
//!
//! From a log further files may be written, for other programs: `export`.
//!
//! A log is a row of files, read as one text: `NAME.1`, `NAME.2`, …, `NAME`. The pump appends to the
//! last one only and renames it to the next number when it is full, so a line may begin in one file
//! and end in the next. Beside each file stands `.NAME.idx`: which byte came when. Losing an index
//! costs precision of times, nothing else.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{
    AppId, AppName, InstanceId, LogForm, LogPolicy, OnLogFull, ProjectName, Rotation, Run, Stream, WallTime,
};
use crate::os;

mod deleted;
mod export;
mod extent;
mod file;
mod flow;
mod follower;
mod index;
mod lines;
mod pace;
mod pump;
mod reader;
mod search;
mod segments;
mod sys;
mod worker;

#[cfg(test)]
mod pump_tests;
#[cfg(test)]
mod reader_tests;

pub use deleted::{DeletedLogs, deleted, remove_deleted};
pub use export::ExportJournal;
pub use follower::Follower;
pub use pump::{Before, Begun, Pump};
pub use reader::{follow, read};
pub use search::{FilterError, LineFilter, LineLevel, LineWords, Sieve, search, search_and_follow};

/// One output of one table row: what the pump is told about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey {
    /// The row of the process table.
    pub row: u32,
    /// Which output.
    pub stream: Stream,
}

/// Where a log is, and with whose rights it is written and read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Location {
    /// The current file; its numbered segments and its index stand beside it.
    pub path: PathBuf,
    /// Whom the files belong to; `None` = the daemon's user. Where that user can change the folder, everything is done
    /// with that user's rights ([`crate::os::Folder`]).
    pub account: Option<Account>,
}

/// A user by name or number.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Name or number.
    pub user: String,
    /// Name or number; `None` = the user's own.
    pub group: Option<String>,
}

impl Location {
    /// The log at `path` of one output of an app. A file that was named belongs to the app's user; the default ones
    /// stand in a folder that only the daemon's user can enter.
    pub fn of(path: PathBuf, stream: Stream, logs: &LogPolicy, run: &Run) -> Self {
        match logs.direct_file(stream) {
            Some(_) => Self::named(path, run),
            None => Self { path, account: None },
        }
    }

    /// A file that was named.
    pub fn named(path: PathBuf, run: &Run) -> Self {
        let account = run.user.clone().map(|user| Account { user, group: run.group.clone() });
        Self { path, account }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self { path, account: None }
    }
}

/// Where the bytes of a stream go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Whose output it is (for events and prefixes).
    pub instance: InstanceId,
    /// The file. Several streams may share one.
    pub location: Location,
    /// The files that are written from that log for other programs. Several logs may share one.
    pub exports: Vec<ExportFile>,
    /// When it is cut; a size of 0 means never. The same holds for the files that are written from it.
    pub rotation: Rotation,
    /// What happens when the disk is full.
    pub on_full: OnLogFull,
}

/// A file that is written from logs: whole lines, in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// The file.
    pub location: Location,
    /// What a line becomes.
    pub form: LogForm,
}

/// Messages of the pump for users. Sent on the pump's own thread: the listener must not block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Output was thrown away because its log could not be written. The log itself holds only what
    /// the process wrote (and the end of the line in which the gap begins); this is the one record of the gap.
    Dropped {
        /// The instance that wrote it.
        instance: InstanceId,
        /// Which output.
        stream: Stream,
        /// How much since the last such notice.
        bytes: u64,
    },
    /// The disk of a log is full; the process waits as soon as its pipe is full too.
    DiskFull {
        /// The instance that wrote it.
        instance: InstanceId,
        /// Which output.
        stream: Stream,
        /// The log.
        path: PathBuf,
        /// The error of the kernel.
        message: String,
    },
    /// A log cannot be written for another reason; treated like a full disk.
    Trouble {
        /// The instance that wrote it.
        instance: InstanceId,
        /// Which output.
        stream: Stream,
        /// The log.
        path: PathBuf,
        /// What was tried and what the kernel said.
        message: String,
    },
}

/// A file to read lines from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The instance whose log it is.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// Where it is.
    pub location: Location,
}

/// Which lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many of the newest of each app, all its sources together.
    pub lines: usize,
    /// None older than this.
    pub since: Option<WallTime>,
    /// None from this on: what comes then is of another process.
    pub until: Option<WallTime>,
    /// Of each log only what the process before the newest one has written.
    pub is_previous: bool,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// In time order.
    pub lines: Vec<Line>,
    /// Which files could not be read, and why: one whose folder its user has changed must not hide all others.
    pub unread: Vec<String>,
    /// What was left out that was asked for, or would have been if more lines had been.
    pub older: Older,
    /// A process before was asked for, and none of the logs has anything of one.
    pub is_of_no_process: bool,
}

/// Whether there are older lines than those that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Older {
    /// These are all.
    #[default]
    None,
    /// There are more than the wanted number.
    More,
    /// The wanted ones are more than one answer can hold.
    Bounded,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the daemon received it (of its batch).
    pub at: WallTime,
    /// The instance that wrote it.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// The bytes as the process wrote them, without the line feed; long lines come in pieces of 64 KiB.
    pub text: Vec<u8>,
}

/// The default path of a log: `LOGS/PROJECT/APP-out-SLOT.log`.
///
/// An app that is renamed leaves its old files where they are; new lines go under the new name.
pub fn default_path(logs: &Path, project: &ProjectName, app: &AppName, slot: u32, stream: Stream) -> PathBuf {
    let stream = match stream {
        Stream::Stdout => "out",
        Stream::Stderr => "error",
    };
    logs.join(project.as_str()).join(format!("{app}-{stream}-{slot}.log"))
}

/// The default logs of an app that is not declared any more, with or without its project, and of one copy or all.
/// Blocks on the disk.
pub fn left_behind(logs: &Path, project: Option<&ProjectName>, app: &AppName, slot: Option<u32>) -> Vec<Source> {
    let named = os::list_folder(logs).into_iter().filter_map(|(folder, _)| ProjectName::new(&folder).ok());
    let mut sources = Vec::new();
    for project in named.filter(|name| project.is_none_or(|wanted| wanted == name)) {
        let mut found: Vec<(u32, Stream)> = Vec::new();
        for (file, _) in os::list_folder(&logs.join(project.as_str())) {
            for (stream, word) in [(Stream::Stdout, "out"), (Stream::Stderr, "error")] {
                let number = file.strip_prefix(&format!("{app}-{word}-")).and_then(|rest| rest.strip_suffix(".log"));
                let number = number.and_then(|number| number.parse().ok());
                found
                    .extend(number.filter(|number| slot.is_none_or(|slot| slot == *number)).map(|slot| (slot, stream)));
            }
        }
        found.sort_by_key(|(slot, stream)| (*slot, *stream == Stream::Stderr));
        sources.extend(found.into_iter().map(|(slot, stream)| {
            let location = Location::from(default_path(logs, &project, app, slot, stream));
            let instance = AppId::new(project.clone(), app.clone()).instance(slot);
            Source { instance, stream, location }
        }));
    }
    sources
}
