//! One schedule while it waits: its next time, and the effect of a clock that is set.

use jiff::tz::TimeZone;

use super::Cron;
use crate::model::{Millis, Moment, WallTime};

/// A clock that is corrected by no more than this was not set: what is due then is due.
const CORRECTION_MAX: Millis = Millis::seconds(10);
/// Set back by no more than this, a clock passes times a second time, and they do not come again. Set back further,
/// it was wrong before, and what it said then counts no more.
const SET_BACK_MAX: Millis = Millis::seconds(3 * 60 * 60);

/// The wait for the next time of one pattern. It looks at two clocks: the wall, which may be set, and the one that
/// never is.
#[derive(Clone, Debug)]
pub struct Timer {
    cron: Cron,
    zone: TimeZone,
    due: Option<WallTime>,
    /// Both clocks at the last look.
    seen: (WallTime, Moment),
    /// The latest that the wall has shown: what was due until then has had its turn.
    latest: WallTime,
}

/// What a look at the clocks found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ring {
    /// This time is due.
    Due(WallTime),
    /// The clock was set forward over this time: it never was.
    Missed(WallTime),
}

impl Timer {
    /// Waits for the first time after now: what lies behind is not made up for.
    pub fn new(cron: Cron, zone: TimeZone, wall: WallTime, now: Moment) -> Self {
        let due = cron.next(wall, &zone);
        Self { cron, zone, due, seen: (wall, now), latest: wall }
    }

    /// The next time.
    pub fn due(&self) -> Option<WallTime> {
        self.due
    }

    /// Looks at the clocks. However late the look is (a busy or sleeping machine), a time comes once, and times that
    /// passed meanwhile come together as one.
    pub fn look(&mut self, wall: WallTime, now: Moment) -> Option<Ring> {
        let (seen_wall, seen_now) = std::mem::replace(&mut self.seen, (wall, now));
        let latest = self.latest;
        self.latest = latest.max(wall);
        let expected = WallTime(seen_wall.0.saturating_add(now.since(seen_now).0));
        if expected.0.saturating_sub(wall.0) > SET_BACK_MAX.0 {
            self.due = self.cron.next(wall, &self.zone);
            return None;
        }
        let due = self.due.filter(|due| *due <= wall)?;
        self.due = self.cron.next(wall, &self.zone);
        let is_real = due.0 <= expected.0.saturating_add(CORRECTION_MAX.0);
        if is_real {
            return Some(Ring::Due(due));
        }
        // The clock was set back and forth: only what it has never shown was missed.
        let missed = if due > latest { Some(due) } else { self.cron.next(latest, &self.zone) };
        missed.filter(|missed| *missed <= wall).map(Ring::Missed)
    }
}
