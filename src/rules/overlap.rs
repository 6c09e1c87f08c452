//! What happens to a run that is due, given the last one.

use crate::model::{CronOverlap, RunSkip};

/// What becomes of a run that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It runs.
    Run,
    /// It runs when the last one has ended.
    Wait,
    /// The last one is stopped, then it runs.
    Replace,
    /// It is left out, because of this.
    Skip(RunSkip),
}

/// Decides about a run that is due. `has_one_waiting`: another one waits already for the last run to end.
pub fn overlap(policy: CronOverlap, is_last_going: bool, has_one_waiting: bool) -> Turn {
    match policy {
        CronOverlap::Queue if has_one_waiting => Turn::Skip(RunSkip::Queued),
        CronOverlap::Queue if is_last_going => Turn::Wait,
        CronOverlap::Skip if is_last_going => Turn::Skip(RunSkip::LastRuns),
        CronOverlap::Replace if is_last_going => Turn::Replace,
        CronOverlap::Skip | CronOverlap::Queue | CronOverlap::Replace => Turn::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_meets_the_last_one_does_as_declared() {
        let skipped = |turn| matches!(turn, Turn::Skip(_));
        for policy in [CronOverlap::Skip, CronOverlap::Queue, CronOverlap::Replace] {
            assert_eq!(overlap(policy, false, false), Turn::Run);
        }
        assert!(skipped(overlap(CronOverlap::Skip, true, false)));
        assert_eq!(overlap(CronOverlap::Replace, true, false), Turn::Replace);
        assert_eq!(overlap(CronOverlap::Queue, true, false), Turn::Wait);
        assert!(skipped(overlap(CronOverlap::Queue, true, true)), "never more than one waits");
        assert!(skipped(overlap(CronOverlap::Queue, false, true)), "the one that waits is about to run");
    }
}
