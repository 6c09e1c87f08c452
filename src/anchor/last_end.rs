//! How the last anchor of this home ended: whether there can be processes that no row of the table lists.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use crate::os::{self, Home};

const RUNNING: &str = "running";
const ENDED: &str = "ended";
const NOTE_BYTES_MAX: u64 = 64;

/// Notes that an anchor runs. Returns whether there may be processes of an earlier one: it has not noted that it ended,
/// and left nothing, in this boot. Of a folder that was new just now there are none.
pub(super) fn begin(home: &Home, is_new: bool) -> bool {
    let is_possible = !is_new && !has_ended(home);
    if write(home, RUNNING).is_err() {
        // A full disk: no note says as much.
        let _ = os::remove_if_there(&home.last_end());
    }
    is_possible
}

/// Whether processes of a home may be running although nobody is in charge of it: its last anchor was killed.
pub fn may_have_left_processes(home: &Home) -> bool {
    os::exists(&home.root) && !has_ended(home)
}

fn has_ended(home: &Home) -> bool {
    let note = os::read_limited(&home.last_end(), NOTE_BYTES_MAX).unwrap_or_default();
    let note = String::from_utf8_lossy(&note);
    note.split_once(' ').is_some_and(|(boot, end)| boot != boot_name() || end.trim_end() == ENDED)
}

/// Notes that nothing is left, if that is so.
pub(super) fn end(home: &Home) {
    if os::children_of(os::own_pid()).is_empty() {
        // Without the note the next one looks for what is not there.
        let _ = write(home, ENDED);
    }
}

/// In place and always of the same length: what is there needs no room on the disk, and a kill cannot tear it.
fn write(home: &Home, end: &str) -> io::Result<()> {
    let file = os::open_own(&home.last_end(), OpenOptions::new().write(true).create(true).truncate(false).mode(0o600))?;
    let note = format!("{} {end:LENGTH$}\n", boot_name(), LENGTH = RUNNING.len());
    file.write_all_at(note.as_bytes(), 0)
}

fn boot_name() -> String {
    format!("{:032x}", u128::from_be_bytes(os::boot_id()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_look_is_needed_unless_the_last_one_has_ended_or_the_machine_was_started_since() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir(&home.run).unwrap();
        let boot = boot_name();
        let cases = [
            (None, true),
            (Some(String::new()), true),
            (Some("garbage".to_owned()), true),
            (Some(format!("{boot} running")), true),
            (Some(format!("{boot} ended")), false),
            (Some(format!("{boot} endet")), true),
            (Some(format!("{} running", "0".repeat(32))), false),
        ];
        for (note, is_needed) in cases {
            let _ = fs::remove_file(home.last_end());
            if let Some(note) = &note {
                fs::write(home.last_end(), note).unwrap();
            }
            assert_eq!(may_have_left_processes(&home), is_needed, "{note:?}");
            assert_eq!(begin(&home, false), is_needed, "{note:?}");
            assert!(begin(&home, false), "whoever dies now leaves the note that it ran");
        }
        fs::remove_file(home.last_end()).unwrap();
        assert!(!begin(&home, true), "nothing was ever started from a new folder");
    }
}
