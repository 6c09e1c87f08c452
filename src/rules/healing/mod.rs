//! `self_heal`: what is put right about an app, and when. Damped: an app is never put right more than five times in an hour.

use std::path::PathBuf;

use crate::model::{
    App, AppName, ChangedFiles, Declared, DesiredState, Digest, Heal, HealAim, HealCount, HealWhen, Kind, Millis,
    Project, Rollout, SelfHeal, WallTime,
};

/// How long a file must have had the same contents: who copies several files is not interrupted by it.
const UNCHANGED_FOR: Millis = Millis::seconds(10);
/// Between the first time and the second; every further wait is twice as long.
const FIRST_WAIT: Millis = Millis::seconds(60);
/// After so many times in a row there is a pause.
pub(crate) const HEALS_MAX: u32 = 5;
/// The pause, and how long nothing must have been put right before the count begins anew.
pub(crate) const PAUSE: Millis = Millis::seconds(3600);

/// What is put right about an app by itself, with the time of each. Nothing is about an app that a user stopped, that is
/// deleted, or whose rollout goes on; nor about the contents of one that a rollback has changed.
pub fn heals(project: &Project, app: &AppName, files: &ChangedFiles, wall: WallTime) -> Vec<Heal> {
    let policy = project.origin.heal;
    if policy.mode == SelfHeal::Off {
        return Vec::new();
    }
    let Some(declared) = project.apps.get(app) else { return Vec::new() };
    let rollout = project.rollouts.get(app);
    if declared.desired_state != DesiredState::Up
        || declared.is_leaving
        || declared.spec.is_spec_lost()
        || rollout.is_some_and(Rollout::is_open)
    {
        return Vec::new();
    }
    let (count, mut found) = (recent(declared.heals, wall), Vec::new());
    if let Some((aim, since)) = contents(declared, files) {
        let rejected = rollout.and_then(|rollout| rollout.rejected.as_ref()).map(|rejected| rejected.digest);
        let tried = declared.heals.and_then(|heals| heals.spec);
        let wanted = || Some(Digest::of_content(&healed(&declared.spec, files)));
        let has_failed = (rejected.is_some() || tried.is_some()) && [rejected, tried].contains(&wanted());
        let when = if has_failed { HealWhen::Failed } else { when(count, later(since, UNCHANGED_FOR), wall) };
        found.push(Heal { aim, when });
    }
    if let (Some(from), Some(to), SelfHeal::Full) = (declared.scaled, declared.spec.instances, policy.mode)
        && from != to
    {
        // One that an earlier version has kept has no time: it is old.
        let at = declared.scaled_at.map_or(WallTime(0), |at| later(at, policy.override_grace));
        found.push(Heal { aim: HealAim::Scale { from, to }, when: when(count, at, wall) });
    }
    found
}

/// The spec with the contents of its files as they are now.
pub fn healed(spec: &App, files: &ChangedFiles) -> App {
    let mut healed = spec.clone();
    for (path, digest) in &mut healed.run.restart_on {
        if let Some(file) = files.get(path) {
            *digest = file.digest;
        }
    }
    healed
}

/// The count after one more time. `spec`: what is declared for new contents, if that is what was done.
pub fn counted(before: Option<HealCount>, spec: Option<Digest>, wall: WallTime) -> HealCount {
    HealCount {
        count: recent(before, wall).map_or(0, |before| before.count).saturating_add(1),
        last: wall,
        spec: spec.or(before.and_then(|before| before.spec)),
    }
}

/// What is different in the files of an app, and since when. A task is not run again for it: only services are.
fn contents(declared: &Declared, files: &ChangedFiles) -> Option<(HealAim, WallTime)> {
    if files.is_empty() || declared.pin.is_some() || declared.spec.kind != Kind::Service {
        return None;
    }
    let now = |path: &PathBuf, then: &Digest| files.get(path).filter(|file| file.digest != *then);
    let changed = || declared.spec.run.restart_on.iter().filter_map(|(path, then)| Some((path, now(path, then)?)));
    let (path, _) = changed().next()?;
    let since = changed().map(|(_, file)| file.since).max()?;
    let others = u32::try_from(changed().count() - 1).unwrap_or(u32::MAX);
    Some((HealAim::Contents { path: path.clone(), others, since }, since))
}

/// What counts of earlier times: nothing after a pause, nor after the clock was set back by more than one.
fn recent(count: Option<HealCount>, wall: WallTime) -> Option<HealCount> {
    count.filter(|count| wall < later(count.last, PAUSE) && count.last <= later(wall, PAUSE))
}

/// Not in the past: what is due is due now.
fn when(count: Option<HealCount>, at: WallTime, wall: WallTime) -> HealWhen {
    let at = at.max(wall);
    match count {
        None => HealWhen::At { at },
        Some(HealCount { count, last, .. }) if count >= HEALS_MAX => {
            HealWhen::Paused { until: later(last, PAUSE), count }
        }
        Some(HealCount { count, last, .. }) => {
            let wait = FIRST_WAIT.0 << count.saturating_sub(1).min(HEALS_MAX);
            HealWhen::At { at: at.max(later(last, Millis(wait))) }
        }
    }
}

fn later(at: WallTime, by: Millis) -> WallTime {
    WallTime(at.0.saturating_add(by.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::samples::app;
    use crate::model::{ChangedFile, Environment, HealPolicy, Pin, Rejected, Rejection, Revision};

    const FILE: &str = "/srv/shop/app.conf";
    const NOW: WallTime = WallTime(100_000_000);
    const MINUTE: u64 = 60_000;

    fn ago(minutes: u64) -> WallTime {
        WallTime(NOW.0 - minutes * MINUTE)
    }

    /// A project in which a file was changed a minute ago, and the app was scaled from 1 to 3 five minutes ago.
    fn project(mode: SelfHeal, change: impl FnOnce(&mut Project, &mut Declared)) -> Project {
        let mut spec = app();
        spec.instances = Some(1);
        spec.run.restart_on.insert(FILE.into(), Digest::of(b"old"));
        let mut declared = Declared::new(Arc::new(spec), Arc::new(Environment::new()), DesiredState::Up);
        (declared.scaled, declared.scaled_at) = (Some(3), Some(ago(5)));
        let mut project = Project::default();
        project.origin.heal = HealPolicy { mode, ..HealPolicy::default() };
        change(&mut project, &mut declared);
        project.apps.insert(app().name, declared);
        project
    }

    fn files() -> ChangedFiles {
        [(FILE.into(), ChangedFile { digest: Digest::of(b"new"), since: ago(1) })].into()
    }

    /// `contents in 0s`: each with the time until it is due.
    fn told(project: &Project) -> Vec<String> {
        let seconds = |at: WallTime| (i128::from(at.0) - i128::from(NOW.0)) / 1000;
        let line = |heal: Heal| {
            let aim = match heal.aim {
                HealAim::Contents { .. } => "contents",
                HealAim::Scale { .. } => "scale",
            };
            match heal.when {
                HealWhen::At { at } => format!("{aim} in {}s", seconds(at)),
                HealWhen::Paused { until, count } => format!("{aim} paused for {}s after {count}", seconds(until)),
                HealWhen::Failed => format!("{aim} failed"),
            }
        };
        heals(project, &app().name, &files(), NOW).into_iter().map(line).collect()
    }

    #[test]
    fn each_mode_puts_right_what_its_word_says() {
        for (mode, expected) in [
            (SelfHeal::Off, &[][..]),
            (SelfHeal::Config, &["contents in 0s"]),
            (SelfHeal::Full, &["contents in 0s", "scale in 300s"]),
        ] {
            assert_eq!(told(&project(mode, |_, _| {})), expected, "{mode:?}");
        }
    }

    #[test]
    fn what_users_decided_stays_in_every_mode() {
        let none: &[&str] = &[];
        let stopped = |is_held| DesiredState::Stopped { by: "alice".into(), at: NOW, is_held };
        let open = |is_paused| {
            let from = Some(Revision {
                digest: Digest([1; 16]),
                ..Declared::new(Arc::new(app()), Arc::default(), DesiredState::Up).revision()
            });
            Rollout { from, is_paused, ..Rollout::default() }
        };
        for is_it in [false, true] {
            assert_eq!(told(&project(SelfHeal::Full, |_, app| app.desired_state = stopped(is_it))), none);
            assert_eq!(
                told(&project(SelfHeal::Full, |all, _| drop(all.rollouts.insert(app().name, open(is_it))))),
                none
            );
        }
        assert_eq!(told(&project(SelfHeal::Full, |_, app| app.desired_state = DesiredState::NotStarted)), none);
        assert_eq!(told(&project(SelfHeal::Full, |_, app| app.is_leaving = true)), none);
        // A rollback is about what the app is, not about how many there are.
        let pinned = project(SelfHeal::Full, |_, app| app.pin = Some(Pin { generation: 3, from: None }));
        assert_eq!(told(&pinned), ["scale in 300s"]);
        // Where the file has no opinion, there is nothing to be restored.
        let silent = project(SelfHeal::Full, |_, app| Arc::make_mut(&mut app.spec).instances = None);
        assert_eq!(told(&silent), ["contents in 0s"]);
        let task = project(SelfHeal::Config, |_, app| Arc::make_mut(&mut app.spec).kind = Kind::Task);
        assert_eq!(told(&task), none);
    }

    #[test]
    fn what_has_failed_is_not_tried_again_until_something_changes() {
        let rejected = |digest| {
            let why = Rejection::Failed { instance: app().id().instance(0), failure: None, exit: None };
            Rollout { rejected: Some(Rejected { digest, why }), ..Rollout::default() }
        };
        let known = |digest: fn(&App) -> Digest| {
            project(SelfHeal::Config, |all, declared| {
                all.rollouts.insert(app().name, rejected(digest(&declared.spec)));
            })
        };
        assert_eq!(told(&known(|spec| Digest::of_content(&healed(spec, &files())))), ["contents failed"]);
        // What was declared before it has failed, too: only that is known as rejected.
        let tried = project(SelfHeal::Config, |all, declared| {
            let spec = Some(Digest::of_content(&healed(&declared.spec, &files())));
            declared.heals = Some(HealCount { count: 1, last: ago(900), spec });
            all.rollouts.insert(app().name, rejected(Digest::of_content(&*declared.spec)));
        });
        assert_eq!(told(&tried), ["contents failed"]);
        let (one, none) = (Some(Digest([1; 16])), None);
        let before = Some(HealCount { count: 1, last: ago(900), spec: one });
        assert_eq!(counted(before, none, NOW).spec, one, "what was scaled says nothing about contents");
        // What is declared has failed, but not with the contents of now.
        assert_eq!(told(&known(Digest::of_content)), ["contents in 0s"]);
    }

    #[test]
    fn the_waits_grow_and_then_there_is_a_pause() {
        let after = |count, minutes| {
            let heals = Some(HealCount { count, last: ago(minutes), spec: None });
            told(&project(SelfHeal::Config, |_, app| app.heals = heals))
        };
        assert_eq!(after(1, 0), ["contents in 60s"]);
        assert_eq!(after(2, 0), ["contents in 120s"]);
        assert_eq!(after(4, 0), ["contents in 480s"]);
        assert_eq!(after(4, 59), ["contents in 0s"]);
        assert_eq!(after(HEALS_MAX, 1), ["contents paused for 3540s after 5"]);
        assert_eq!(after(HEALS_MAX, 60), ["contents in 0s"]);
        assert_eq!(after(u32::MAX, 1), ["contents paused for 3540s after 4294967295"]);
        // The clock was set back by days: nobody waits for that.
        let ahead = Some(HealCount { count: 5, last: WallTime(NOW.0 + 5000 * MINUTE), spec: None });
        assert_eq!(told(&project(SelfHeal::Config, |_, app| app.heals = ahead)), ["contents in 0s"]);
        assert_eq!(counted(ahead, None, NOW), HealCount { count: 1, last: NOW, spec: None });
        assert_eq!(counted(Some(HealCount { count: 2, last: ago(3), spec: None }), None, NOW).count, 3);
    }

    /// Whatever changes and however often: no app is put right more than five times in an hour, and in the end it is.
    #[test]
    fn no_app_is_put_right_more_than_five_times_in_an_hour() {
        for seed in 1..=12_u64 {
            let mut project = project(SelfHeal::Full, |_, app| (app.scaled, app.scaled_at) = (None, None));
            let (mut dice, mut wall, mut files, mut done) = (seed, NOW, files(), Vec::<u64>::new());
            let name = app().name;
            for step in 0..2000_u64 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                wall = WallTime(wall.0 + (dice >> 33) % 40_000);
                if step < 1800 && dice >> 61 == 0 {
                    let digest = Digest::of(&dice.to_be_bytes());
                    files.insert(FILE.into(), ChangedFile { digest, since: wall });
                }
                let due = |heal: &Heal| matches!(heal.when, HealWhen::At { at } if at <= wall);
                if heals(&project, &name, &files, wall).iter().any(due) {
                    let declared = project.apps.get_mut(&name).unwrap();
                    declared.spec = Arc::new(healed(&declared.spec, &files));
                    declared.heals = Some(counted(declared.heals, None, wall));
                    done.push(wall.0);
                    let recent = done.iter().filter(|at| **at + PAUSE.0 > wall.0).count();
                    assert!(recent <= 5, "seed {seed}: {recent} times within an hour");
                }
            }
            assert!(done.len() > 5, "seed {seed}: hardly anything happened");
            assert_eq!(heals(&project, &name, &files, WallTime(wall.0)), [], "seed {seed}: it is never put right");
        }
    }
}
