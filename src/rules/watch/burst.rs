//! When a burst of changes is over.

use std::path::{Path, PathBuf};

use crate::model::{Millis, Moment};

/// A burst that does not end is cut after this, or after ten quiet periods if that is longer.
const BURST_MAX: Millis = Millis::seconds(10);
/// One save is over after this share of the quiet period, 30 ms of 200 ms, but not before the editor can be done.
const SAVE_QUIET: (u64, u64) = (3, 20);
const SAVE_QUIET_MIN: u64 = 30;
/// What an editor touches to save one file.
const SAVE_PATHS: u32 = 3;
/// While events keep coming, so much more quiet is needed for each millisecond that they have been coming.
const QUIET_GROWTH: u64 = 4;
/// A burst that begins so many quiet periods after the last one, or earlier, may be its continuation. A file that is
/// being written is waited for as long.
const CONTINUATION: u64 = 5;
/// Folders that are remembered for what begins in them.
const SLOW_FOLDERS_MAX: usize = 32;

/// What the changes so far look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BurstState {
    /// Every file that was touched is there and closed.
    #[default]
    Complete,
    /// Something is missing that was there before, or folders have come: a build or a checkout rather than a save.
    Partial,
    /// A new file has not been closed yet.
    Writing,
}

/// Changes that belong together: an editor writes three files to save one, a checkout three thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Burst {
    first: Moment,
    last: Moment,
    /// How many paths have changed.
    paths: u32,
    state: BurstState,
    /// Where it began.
    folder: PathBuf,
    /// Whether the whole quiet period is waited for, whatever it looks like.
    is_patient: bool,
    /// The burst that this one would have been a part of, had the whole quiet period been waited for: where it began.
    cut_off_from: Option<PathBuf>,
}

/// The bursts of one app, one after the other.
///
/// A save is answered at once: its few files are all there at one moment. What writes several files with pauses looks the
/// same at its beginning, so it is learned: where changes followed soon after a burst that was taken for a save, the next
/// one that begins in that folder is waited for patiently, until one is a save after all.
#[derive(Clone, Debug, Default)]
pub struct Bursts {
    now: Option<Burst>,
    /// The last one that had changed something: its last change, when it was over, where it began, whether the whole
    /// quiet period was waited for.
    before: Option<(Moment, Moment, PathBuf, bool)>,
    slow: Vec<PathBuf>,
}

impl Bursts {
    /// Whether there is one.
    pub fn is_open(&self) -> bool {
        self.now.is_some()
    }

    /// More changes: of so many paths by now. `folder`: that of the first one.
    pub fn note(&mut self, at: Moment, folder: &Path, paths: u32, state: BurstState, delay: Millis) {
        if self.now.is_none() {
            self.now = Some(self.begin(at, folder, delay));
        }
        if let Some(burst) = &mut self.now {
            burst.last = burst.last.max(at);
            burst.paths = burst.paths.max(paths);
            burst.state = state;
        }
    }

    fn begin(&self, at: Moment, folder: &Path, delay: Millis) -> Burst {
        let before = self.before.as_ref();
        let is_continued =
            before.is_some_and(|(_, over, ..)| at.since(*over).0 <= delay.0.saturating_mul(CONTINUATION));
        let cut_off = before.filter(|(last, .., was_patient)| !was_patient && at.since(*last) <= delay);
        Burst {
            first: at,
            last: at,
            paths: 0,
            state: BurstState::Complete,
            folder: folder.to_owned(),
            is_patient: is_continued || self.slow.iter().any(|slow| slow == folder),
            cut_off_from: cut_off.map(|(_, _, folder, _)| folder.clone()),
        }
    }

    /// When it counts as over: after a quiet period, `delay` at most unless a file is still being written; a burst that
    /// goes on and on is cut, so that endless writing means a restart now and then instead of none at all. `None`: there
    /// is none.
    pub fn ends(&self, delay: Millis) -> Option<Moment> {
        let burst = self.now.as_ref()?;
        let longest = BURST_MAX.0.max(delay.0.saturating_mul(10));
        let quiet_end = burst.last.0.saturating_add(burst.quiet(delay).0);
        Some(Moment(quiet_end.min(burst.first.0.saturating_add(longest))))
    }

    /// It is over, and some file holds something else than before, or none does.
    pub fn end(&mut self, at: Moment, has_changed: bool, delay: Millis) {
        let Some(burst) = self.now.take().filter(|_| has_changed) else { return };
        let was_patient = burst.quiet(delay) >= delay;
        if burst.is_one_save() && burst.cut_off_from.is_none() {
            self.slow.retain(|slow| *slow != burst.folder);
        }
        if let Some(folder) = burst.cut_off_from {
            self.slow.retain(|slow| *slow != folder);
            if self.slow.len() >= SLOW_FOLDERS_MAX {
                self.slow.remove(0);
            }
            self.slow.push(folder);
        }
        self.before = Some((burst.last, at, burst.folder, was_patient));
    }
}

impl Burst {
    /// How long nothing may change. One save is known by its few paths at one moment; the longer the changes go on, the
    /// longer the pauses between them may be.
    fn quiet(&self, delay: Millis) -> Millis {
        match self.state {
            BurstState::Writing => return Millis(delay.0.saturating_mul(CONTINUATION)),
            BurstState::Partial => return delay,
            BurstState::Complete if self.is_patient || self.paths > SAVE_PATHS => return delay,
            BurstState::Complete => {}
        }
        let shortest = (delay.0.saturating_mul(SAVE_QUIET.0) / SAVE_QUIET.1).max(SAVE_QUIET_MIN);
        let grown = self.last.since(self.first).0.saturating_mul(QUIET_GROWTH);
        Millis(shortest.saturating_add(grown).min(delay.0))
    }

    fn is_one_save(&self) -> bool {
        self.paths <= SAVE_PATHS && self.last.since(self.first).0 <= SAVE_QUIET_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Millis = Millis(200);

    /// One burst with these changes (time, paths so far), all of it complete.
    fn burst(changes: &[(u64, u32)], delay: Millis) -> Bursts {
        let mut bursts = Bursts::default();
        for (at, paths) in changes {
            bursts.note(Moment(*at), Path::new("src"), *paths, BurstState::Complete, delay);
        }
        bursts
    }

    #[test]
    fn the_quiet_period_grows_with_the_burst() {
        for (what, changes, before, quiet) in [
            ("one file", vec![(0, 1)], None, 30),
            ("a file, its copy and its folder at once", vec![(0, 2), (1, 3)], None, 34),
            ("writes that go on for a moment", vec![(0, 1), (10, 1), (20, 1)], None, 110),
            ("many files at once", vec![(0, 4)], None, 200),
            ("one file after another for a second", vec![(0, 1), (1_000, 2)], None, 200),
            ("soon after the last burst", vec![(0, 1)], Some(1_500), 200),
            ("long after the last burst", vec![(0, 1)], Some(500), 30),
        ] {
            let before = before.map(|over| (Moment(0), Moment(over), PathBuf::new(), true));
            let mut bursts = Bursts { before, ..Bursts::default() };
            for (at, paths) in &changes {
                bursts.note(Moment(2_000 + at), Path::new("src"), *paths, BurstState::Complete, DELAY);
            }
            let last = 2_000 + changes.last().unwrap().0;
            assert_eq!(bursts.ends(DELAY), Some(Moment(last + quiet)), "{what}");
        }
        for (delay, quiet) in [(0, 0), (1, 1), (20, 20), (100, 30), (1_000, 150)] {
            let delay = Millis(delay);
            assert_eq!(burst(&[(0, 1)], delay).ends(delay), Some(Moment(quiet)), "in proportion to `watch_delay`");
        }
        assert_eq!(Bursts::default().ends(DELAY), None);
    }

    #[test]
    fn what_is_unfinished_is_waited_for() {
        for (what, states, quiet) in [
            ("all is there", vec![BurstState::Complete], 30),
            ("a file is missing", vec![BurstState::Partial], 200),
            ("a file is missing, and comes", vec![BurstState::Partial, BurstState::Complete], 30),
            ("a file is being written", vec![BurstState::Writing], 1_000),
            ("a file is written", vec![BurstState::Writing, BurstState::Complete], 30),
        ] {
            let mut bursts = Bursts::default();
            for state in states {
                bursts.note(Moment(0), Path::new("src"), 1, state, DELAY);
            }
            assert_eq!(bursts.ends(DELAY), Some(Moment(quiet)), "{what}");
        }
    }

    /// What a tool writes: times at which one more file is done, in its own folder → how many restarts.
    fn restarts(bursts: &mut Bursts, folder: &str, begin: u64, files: &[u64]) -> u32 {
        let mut count = 0;
        for (number, at) in files.iter().enumerate() {
            let at = Moment(begin + at);
            if bursts.ends(DELAY).is_some_and(|over| over <= at) {
                bursts.end(bursts.ends(DELAY).unwrap(), true, DELAY);
                count += 1;
            }
            let paths = if bursts.is_open() { u32::try_from(number).unwrap() + 1 } else { 1 };
            bursts.note(at, Path::new(folder), paths, BurstState::Complete, DELAY);
        }
        let over = bursts.ends(DELAY).unwrap();
        bursts.end(over, true, DELAY);
        count + 1
    }

    /// How long the burst of one save is waited for.
    fn save(bursts: &mut Bursts, folder: &str, at: u64) -> u64 {
        bursts.note(Moment(at), Path::new(folder), 1, BurstState::Complete, DELAY);
        let over = bursts.ends(DELAY).unwrap();
        bursts.end(over, true, DELAY);
        over.0 - at
    }

    #[test]
    fn a_build_with_pauses_is_learned_and_a_save_elsewhere_is_not_slower_for_it() {
        for pause in [31, 60, 120, 199] {
            let mut bursts = Bursts::default();
            let build: Vec<u64> = (0..5).map(|number| number * pause).collect();
            assert_eq!(restarts(&mut bursts, "dist", 0, &build), 2, "{pause}: the first time");
            for round in 1..10 {
                assert_eq!(save(&mut bursts, "src", round * 100_000), 30, "{pause}: one save");
                let count = restarts(&mut bursts, "dist", round * 100_000 + 50_000, &build);
                assert_eq!(count, 1, "{pause}: build {round}");
            }
        }
    }

    #[test]
    fn what_was_learned_is_forgotten_after_one_save() {
        let mut bursts = Bursts::default();
        assert_eq!(restarts(&mut bursts, "src", 0, &[0, 100]), 2);
        assert_eq!(save(&mut bursts, "src", 100_000), 200, "it may be such a build again");
        assert_eq!(save(&mut bursts, "src", 200_000), 30, "it was a save");
        // Two saves of a person are further apart than what a build does.
        assert_eq!(save(&mut bursts, "src", 300_000), 30);
        assert_eq!(save(&mut bursts, "src", 300_700), 200, "soon after the last one");
        assert_eq!(save(&mut bursts, "src", 400_000), 30, "nothing is learned from that");
    }

    #[test]
    fn changes_that_are_none_teach_nothing() {
        let mut bursts = Bursts::default();
        save(&mut bursts, "src", 0);
        bursts.note(Moment(100), Path::new("src"), 1, BurstState::Complete, DELAY);
        bursts.end(Moment(300), false, DELAY);
        assert_eq!(save(&mut bursts, "src", 100_000), 30, "the app wrote the same bytes when it was started");
    }

    #[test]
    fn folders_that_are_remembered_are_bounded() {
        let mut bursts = Bursts::default();
        for number in 0..100 {
            restarts(&mut bursts, &format!("dist{number}"), number * 100_000, &[0, 100]);
        }
        assert_eq!(bursts.slow.len(), SLOW_FOLDERS_MAX);
        assert_eq!(bursts.slow.last().map(PathBuf::as_path), Some(Path::new("dist99")));
    }

    #[test]
    fn whatever_has_short_pauses_is_one_burst() {
        // A pause that is no longer than 30 ms at the beginning, and than 200 ms later, never ends a burst.
        for seed in 0..500_u64 {
            let mut bursts = burst(&[(0, 0)], DELAY);
            let (mut at, mut random) = (0, seed);
            for step in 0..200_u32 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let longest = if at < 50 { 29 } else { 199 };
                at += (random >> 33) % (longest + 1);
                let is_open = bursts.ends(DELAY).is_some_and(|over| Moment(at) < over);
                assert!(is_open || at >= 9_000, "seed {seed}, step {step}");
                bursts.note(Moment(at), Path::new("src"), 1 + step / 10, BurstState::Complete, DELAY);
            }
        }
    }

    #[test]
    fn a_burst_ends_with_quiet_and_an_endless_one_is_cut() {
        let mut bursts = burst(&[(1_000, 1)], DELAY);
        assert_eq!(bursts.ends(DELAY), Some(Moment(1_030)), "one save");
        let mut note = |at: u64| bursts.note(Moment(at), Path::new("src"), 1, BurstState::Complete, DELAY);
        (1_000..3_000).step_by(50).for_each(&mut note);
        assert_eq!(bursts.ends(DELAY), Some(Moment(3_150)), "a checkout of two seconds is one burst");
        bursts.note(Moment(10_990), Path::new("src"), 1, BurstState::Writing, DELAY);
        assert_eq!(bursts.ends(DELAY), Some(Moment(11_000)), "endless writing is cut");
        assert_eq!(bursts.ends(Millis(5_000)), Some(Moment(35_990)), "a long quiet period gets a longer limit");
    }
}
