//! The clock: triggers apps at the times of their schedules.
//!
//! What is promised: a time of a schedule triggers at most once, whatever dies. The next daemon waits for the first
//! time after its own start; times that came while none lived, or that were still on their way into the reconciler
//! when it died, are left out and not made up for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SensorDeps;
use crate::model::{AppId, Cause, CronPolicy, Desired, DesiredState, Fact, Moment, RunSkip, Subject, WallTime};
use crate::os;
use crate::rules::{Cron, Ring, Timer};

/// The wall clock is compared with the one that is never set at least so often, while there is any schedule.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// All schedules that are awake.
#[derive(Default)]
struct Clock {
    schedules: BTreeMap<AppId, Schedule>,
}

struct Schedule {
    policy: CronPolicy,
    /// `None` = it cannot be followed, which was said.
    timer: Option<Timer>,
}

/// Lives as long as the reconciler.
pub(super) async fn run(deps: SensorDeps) {
    let mut desired = deps.reconciler.desired_changes();
    let mut clock = Clock::default();
    loop {
        let troubles = clock.follow(&desired.borrow_and_update(), os::wall(), os::now());
        for (app, message) in troubles {
            deps.events.emit(Subject::App(app.project, app.name), Fact::Trouble { message });
        }
        for (app, ring) in clock.look(os::wall(), os::now()) {
            match ring {
                Ring::Due(due) => drop(deps.reconciler.trigger(app, Cause::Cron { due }).await),
                Ring::Missed(due) => {
                    let fact = Fact::CronSkipped { due, why: RunSkip::ClockSet };
                    deps.events.emit(Subject::App(app.project, app.name), fact);
                }
            }
        }
        let patience = clock.patience(os::wall());
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {}
        }
    }
}

impl Clock {
    /// Takes over what is declared: new and changed schedules begin now, stopped ones sleep, the others continue.
    fn follow(&mut self, desired: &Desired, wall: WallTime, now: Moment) -> Vec<(AppId, String)> {
        let mut before = std::mem::take(&mut self.schedules);
        let mut troubles = Vec::new();
        if desired.is_shut_down {
            return troubles;
        }
        let apps = desired.projects.iter().flat_map(|(name, project)| {
            project.apps.iter().map(move |(app, declared)| (AppId::new(name.clone(), app.clone()), declared))
        });
        for (app, declared) in apps.filter(|(_, declared)| declared.desired_state == DesiredState::Up) {
            let policy = &declared.spec.schedule;
            let Some(pattern) = &policy.cron_restart else { continue };
            let known = before.remove(&app).filter(|known| known.policy == *policy);
            let schedule = known.unwrap_or_else(|| {
                let timer = timer(pattern, policy.cron_timezone.as_deref(), wall, now);
                troubles.extend(timer.as_ref().err().map(|message| (app.clone(), message.clone())));
                Schedule { policy: policy.clone(), timer: timer.ok() }
            });
            self.schedules.insert(app, schedule);
        }
        troubles
    }

    fn look(&mut self, wall: WallTime, now: Moment) -> Vec<(AppId, Ring)> {
        let timers = self.schedules.iter_mut().filter_map(|(app, schedule)| Some((app, schedule.timer.as_mut()?)));
        timers.filter_map(|(app, timer)| Some((app.clone(), timer.look(wall, now)?))).collect()
    }

    /// How long nothing is due; `None` without any schedule.
    fn patience(&self, wall: WallTime) -> Option<Duration> {
        let timers = self.schedules.values().filter_map(|schedule| schedule.timer.as_ref());
        let until = |timer: &Timer| {
            let due = timer.due().map(|due| Duration::from_millis(due.0.saturating_sub(wall.0)));
            due.map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY))
        };
        timers.map(until).min()
    }
}

/// What was checked when the file was read, unless another version or machine did.
fn timer(pattern: &str, zone: Option<&str>, wall: WallTime, now: Moment) -> Result<Timer, String> {
    let cron = Cron::parse(pattern).map_err(|error| format!("its schedule is invalid: {error}"))?;
    let zone = match zone {
        Some(name) => os::zone_named(name).ok_or_else(|| {
            format!("this machine has no time zone `{name}`; install `tzdata`, or change `cron_timezone`")
        })?,
        None => os::local_zone(),
    };
    Ok(Timer::new(cron, zone, wall, now))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::samples::app;
    use crate::model::{Change, Declared, Environment};

    /// A Sunday, 12:00:00 UTC.
    const NOON: WallTime = WallTime(1_795_348_800_000);

    fn desired(pattern: &str, desired_state: DesiredState) -> Desired {
        let mut spec = app();
        spec.schedule.cron_restart = Some(pattern.to_owned());
        spec.schedule.cron_timezone = Some("UTC".to_owned());
        let mut desired = Desired::default();
        let (project, name) = (spec.project.clone(), spec.name.clone());
        let declared = Box::new(Declared::new(Arc::new(spec), Arc::new(Environment::new()), desired_state));
        desired.accept(Change::App { project, name, declared });
        desired
    }

    fn rings(clock: &mut Clock, seconds: u64) -> Vec<Ring> {
        let (wall, now) = (WallTime(NOON.0 + seconds * 1000), Moment(seconds * 1000));
        clock.look(wall, now).into_iter().map(|(_, ring)| ring).collect()
    }

    #[test]
    fn a_schedule_rings_sleeps_and_is_forgotten_as_its_app_is() {
        let mut clock = Clock::default();
        assert_eq!(clock.patience(NOON), None);
        let up = desired("* * * * *", DesiredState::Up);
        assert_eq!(clock.follow(&up, NOON, Moment(0)), []);
        assert_eq!(clock.patience(WallTime(NOON.0 + 59_000)), Some(Duration::from_secs(1)));
        assert_eq!(rings(&mut clock, 59), []);
        // What is declared again unchanged continues waiting.
        clock.follow(&up, WallTime(NOON.0 + 59_500), Moment(59_500));
        assert_eq!(rings(&mut clock, 60), [Ring::Due(WallTime(NOON.0 + 60_000))]);
        assert_eq!(rings(&mut clock, 61), []);
        let stopped = DesiredState::Stopped { by: "alice".into(), at: NOON, is_held: false };
        clock.follow(&desired("* * * * *", stopped), NOON, Moment(0));
        assert_eq!((rings(&mut clock, 3600), clock.patience(NOON)), (Vec::new(), None));
        clock.follow(&up, NOON, Moment(0));
        clock.follow(&Desired { is_shut_down: true, ..up }, NOON, Moment(0));
        assert_eq!(clock.patience(NOON), None);
    }

    #[test]
    fn what_cannot_be_followed_is_said_once() {
        let mut clock = Clock::default();
        let wrong = desired("* * * *", DesiredState::Up);
        assert_eq!(clock.follow(&wrong, NOON, Moment(0)).len(), 1);
        assert_eq!(clock.follow(&wrong, NOON, Moment(0)).len(), 0);
        assert_eq!(rings(&mut clock, 100_000), []);
    }
}
