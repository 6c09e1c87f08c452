//! `PM_ID`: a variable of every process of an app that identifies the start and the instance it comes from.

use std::fmt;
use std::str::FromStr;

use crate::model::{Digest, Moment};

/// One start. With it a process is found again, and its instance restored, when the process table is lost.
///
/// As text: `HOME.ROW.INCARNATION.START.SLOT.REQUESTS.SPEC.BASE`, with `+` after the slot of a successor and `.helper` at
/// the end of a command that runs beside the app. What follows a `~` tells several runs of such a command apart, and is no part
/// of the mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartMark {
    /// Names the home.
    pub home: u64,
    /// The row of the process table.
    pub row: u32,
    /// The number of the process.
    pub incarnation: u32,
    /// When the start was announced: no two starts of a row are the same in this.
    pub start: Moment,
    /// The slot among the copies of the app.
    pub slot: u32,
    /// It was started to take the slot over.
    pub is_successor: bool,
    /// The restart counter that it was started under.
    pub restart_requests: u64,
    /// The spec that it was started with.
    pub digest: Digest,
    /// The base environment that it was started with.
    pub base_digest: Digest,
    /// A hook or a probe, not the app itself.
    pub is_helper: bool,
}

const HELPER: &str = ".helper";

impl StartMark {
    /// How the marks of all processes of a home begin.
    pub fn prefix(home: u64) -> String {
        format!("{home:016x}.")
    }
}

impl fmt::Display for StartMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let successor = if self.is_successor { "+" } else { "" };
        let helper = if self.is_helper { HELPER } else { "" };
        let Self { home, row, incarnation, start, slot, restart_requests, digest, base_digest, .. } = self;
        write!(
            f,
            "{home:016x}.{row}.{incarnation}.{}.{slot}{successor}.{restart_requests}.{digest}.{base_digest}{helper}",
            start.0
        )
    }
}

impl FromStr for StartMark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.split_once('~').map_or(text, |(text, _run)| text);
        let (text, is_helper) = text.strip_suffix(HELPER).map_or((text, false), |rest| (rest, true));
        let parts: Vec<&str> = text.split('.').collect();
        let [home, row, incarnation, start, slot, restart_requests, digest, base_digest] = parts.as_slice() else {
            return Err(());
        };
        let (slot, is_successor) = slot.strip_suffix('+').map_or((*slot, false), |slot| (slot, true));
        let named = |text: &str| Digest::try_from(text.to_owned()).map_err(drop);
        Ok(Self {
            home: u64::from_str_radix(home, 16).map_err(drop)?,
            row: row.parse().map_err(drop)?,
            incarnation: incarnation.parse().map_err(drop)?,
            start: Moment(start.parse().map_err(drop)?),
            slot: slot.parse().map_err(drop)?,
            is_successor,
            restart_requests: restart_requests.parse().map_err(drop)?,
            digest: named(digest)?,
            base_digest: named(base_digest)?,
            is_helper,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> StartMark {
        StartMark {
            home: 0xAB,
            row: 3,
            incarnation: 17,
            start: Moment(123_456),
            slot: 2,
            is_successor: false,
            restart_requests: 5,
            digest: Digest::of(b"spec"),
            base_digest: Digest::of(b"base"),
            is_helper: false,
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for (is_successor, is_helper) in [(false, false), (true, false), (false, true), (true, true)] {
            let mark = StartMark { is_successor, is_helper, ..mark() };
            assert_eq!(format!("{mark}~7.1").parse(), Ok(mark));
            let text = mark.to_string();
            assert_eq!(text.parse(), Ok(mark), "{text}");
            assert!(text.starts_with(&StartMark::prefix(0xAB)));
        }
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        let good = mark().to_string();
        let cases = [
            "",
            ".",
            "x",
            "00000000000000ab.3.17",
            "00000000000000ab.3.17.1.2.3.4.5",
            &good[1..],
            &good[..good.len() - 1],
        ];
        for text in cases {
            let is_other = text.parse::<StartMark>().is_ok_and(|found| found == mark());
            assert!(text == &good[1..] || text.parse::<StartMark>().is_err() && !is_other, "{text}");
        }
        assert!(format!("{good}.x").parse::<StartMark>().is_err());
        assert!(good.replace(".17.", ".4294967296.").parse::<StartMark>().is_err());
    }
}
