//! What this command line remembers between two calls: the numbers of processes, and how scripts were started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::fail::CommandError;
use super::super::session::Session;
use crate::model::{Millis, WallTime};
use crate::os::{self, Lock};
use crate::pm2::ProcessNumbers;

/// In the folder of the home.
const NAME: &str = "pm2-door.json";
const LOCK: &str = "pm2-door.lock";
const BYTES_MAX: u64 = 16 << 20;
/// Another call writes for a moment; whoever has waited this long goes on without.
const TRIES: u32 = 200;
const LOOK_EVERY: Millis = Millis(5);

/// A script that was started here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct StartedScript {
    /// Where it was typed.
    pub folder: PathBuf,
    /// The app as a file would declare it, without the caller's environment.
    pub app: Value,
}

/// A `reset`: what is counted from when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct CountedFrom {
    /// Starts of the process before.
    pub starts: u32,
    /// When that was.
    pub at: WallTime,
}

/// The whole file. One that is lost costs numbers and `--update-env`, no app.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DoorMemory {
    pub numbers: ProcessNumbers,
    pub scripts: BTreeMap<String, StartedScript>,
    /// Files that were applied from here, with what is given to their apps here.
    pub files: BTreeSet<PathBuf>,
    /// Processes whose restarts were reset.
    pub counted_from: BTreeMap<String, CountedFrom>,
    /// `set KEY VALUE`.
    pub settings: BTreeMap<String, String>,
}

/// Changes what is kept, and gives it back.
///
/// # Errors
/// There is no home.
pub(super) fn update(change: impl Fn(&mut DoorMemory)) -> Result<DoorMemory, CommandError> {
    let folder = Session::home()?.root;
    let path = folder.join(NAME);
    let before = read(&path);
    let mut kept = before.clone();
    change(&mut kept);
    if kept == before {
        return Ok(kept);
    }
    let lock = locked(&folder.join(LOCK));
    let mut kept = read(&path);
    change(&mut kept);
    // On a disk that is full or read-only the numbers hold for this call.
    if let (Some(_), Ok(text)) = (&lock, serde_json::to_vec(&kept)) {
        let _ = os::write_whole(&path, &text, 0o600);
    }
    Ok(kept)
}

fn read(path: &Path) -> DoorMemory {
    let text = os::read_limited(path, BYTES_MAX).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn locked(path: &Path) -> Option<Lock> {
    for _ in 0..TRIES {
        match Lock::try_exclusive(path) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) => os::pause(LOOK_EVERY),
            Err(_) => return None,
        }
    }
    None
}
