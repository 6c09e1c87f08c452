//! The rows of a project → whether everything in it has ended, and with which status that ends `pm run`.

use crate::model::{DesiredState, Exit, Why};
use crate::wire::{PhaseRow, Row};

/// What shells and `docker` make of a process that a signal ended: this number and the signal.
const SIGNAL_BASE: i32 = 128;

/// How an app ended for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    pub id: String,
    pub is_failure: bool,
    pub code: u8,
}

/// How a row has ended; `None`: it runs, or it may again.
pub(super) fn ended(row: &Row) -> Option<Ended> {
    // Its next time comes, or it is started when somebody says so.
    if row.declared.next_due.is_some() || row.is_shut_down {
        return None;
    }
    let known = |exit: Option<Exit>, is_failure: bool| {
        let code = code_of(exit, is_failure);
        Some(Ended { id: row.id.clone(), is_failure, code })
    };
    match &row.phase {
        PhaseRow::Done { exit } => known(Some(*exit), false),
        PhaseRow::Errored { .. } => known(row.last_exit, true),
        // `autostart = false`: nobody waits for it.
        PhaseRow::Stopped if row.desired_state == Some(DesiredState::NotStarted) => known(Some(Exit::Code(0)), false),
        // What it needs has failed, or it cannot be started at all. Others will start, or were stopped by a user.
        PhaseRow::Stopped
            if row.status.because.iter().any(|why| matches!(why, Why::Blocked { .. } | Why::Refused { .. })) =>
        {
            known(Some(Exit::Code(1)), true)
        }
        _ => None,
    }
}

/// The status of all of them together: of the only one its own, of several that of the one that failed first.
pub(super) fn status(ended: &[Ended]) -> u8 {
    match ended {
        [only] => only.code,
        all => all.iter().find(|one| one.is_failure).map_or(0, |one| one.code),
    }
}

fn code_of(exit: Option<Exit>, is_failure: bool) -> u8 {
    let code = match exit {
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(signal)) => SIGNAL_BASE + signal,
        Some(Exit::Unknown) | None => i32::from(is_failure),
    };
    match u8::try_from(code & 0xFF).unwrap_or(1) {
        // It was given up although its last process ended well: that is no success.
        0 if is_failure => 1,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, is_failure: bool, exit: Option<Exit>) -> Ended {
        Ended { id: id.to_owned(), is_failure, code: code_of(exit, is_failure) }
    }

    #[test]
    fn the_status_is_that_of_the_only_app_or_of_the_first_that_failed() {
        let ok = |id| one(id, false, Some(Exit::Code(0)));
        let cases = [
            (vec![ok("a")], 0),
            (vec![one("a", true, Some(Exit::Code(3)))], 3),
            (vec![one("a", false, Some(Exit::Code(143)))], 143),
            (vec![one("a", true, Some(Exit::Signal(9)))], 137),
            (vec![one("a", true, None)], 1),
            (vec![one("a", true, Some(Exit::Code(0)))], 1),
            (vec![one("a", true, Some(Exit::Unknown))], 1),
            (vec![ok("a"), one("b", false, Some(Exit::Code(143)))], 0),
            (vec![ok("a"), one("b", true, Some(Exit::Code(4))), one("c", true, Some(Exit::Code(5)))], 4),
            (vec![], 0),
        ];
        for (all, expected) in cases {
            assert_eq!(status(&all), expected, "{all:?}");
        }
    }
}
