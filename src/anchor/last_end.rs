//! How the last anchor of this home ended: whether there can be processes that no row of the table lists.

use std::fs;
use std::io;

use super::table::Table;
use crate::os::{self, Home};

const RUNNING: &str = "running";
const ENDED: &str = "ended";
/// More than any note.
const NOTE_BYTES_MAX: u64 = 200;

/// Notes that an anchor runs. Returns whether there may be processes of an earlier one: it has not noted that it ended,
/// and left nothing, in this boot. Of a folder that was new just now there are none.
///
/// # Errors
/// The note cannot be written.
pub(super) fn begin(home: &Home, table: &Table, is_new: bool) -> io::Result<bool> {
    let note = fs::read_to_string(home.last_end()).unwrap_or_default();
    write(home, table, RUNNING)?;
    let boot = boot_of(table);
    let known = note.split_once(' ').filter(|_| note.len() as u64 <= NOTE_BYTES_MAX);
    let has_ended = known.is_some_and(|(of_boot, end)| of_boot != boot || end == ENDED);
    Ok(!is_new && !has_ended)
}

/// Notes that nothing is left, if that is so.
pub(super) fn end(home: &Home, table: &Table) {
    if os::children_of(os::own_pid()).is_empty() {
        // Without the note the next one looks for what is not there.
        let _ = write(home, table, ENDED);
    }
}

fn write(home: &Home, table: &Table, end: &str) -> io::Result<()> {
    fs::write(home.last_end(), format!("{} {end}", boot_of(table)))
}

fn boot_of(table: &Table) -> String {
    table.boot_id().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_needed_unless_the_last_one_has_ended_or_the_machine_was_started_since() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir(&home.run).unwrap();
        let table = Table::create(1).unwrap();
        let boot = boot_of(&table);
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
            assert_eq!(begin(&home, &table, false).unwrap(), is_needed, "{note:?}");
            assert!(begin(&home, &table, false).unwrap(), "whoever dies now leaves the note that it ran");
        }
        fs::remove_file(home.last_end()).unwrap();
        assert!(!begin(&home, &table, true).unwrap(), "nothing was ever started from a new folder");
    }
}
