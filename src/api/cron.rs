//! The schedules of apps: which times come next.

use axum::extract::{RawQuery, State};

use super::Context;
use super::answer::{self, Answer};
use super::rows::{Due, UsedBy};
use super::select::select;
use crate::model::{AppId, Declared, Desired, DesiredState, Live, WallTime};
use crate::os;
use crate::rules::Cron;
use crate::wire::{CronAnswer, FORMAT, Query, Row, ScheduleRow, Selection};

/// More times than anybody reads.
const TIMES_MAX: usize = 1000;

pub(super) async fn schedules(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let selection = Selection::from_query(&query)?;
    let count = query.value("count")?.unwrap_or(1).min(TIMES_MAX);
    let desired = context.reconciler.desired().await?;
    let live = context.supervisor.live().await;
    let now = os::wall();
    let mut ids: Vec<AppId> = select(&desired, &selection)?.into_iter().map(|target| target.app).collect();
    ids.sort();
    ids.dedup();
    let facts = context.scene_facts(&desired);
    let scene = facts.scene(&desired, &live, (os::now(), now));
    let schedule = |id: &AppId| {
        let declared = scene.declared(id)?;
        declared.spec.schedule.cron_restart.as_ref()?;
        let first = scene.of_app(id).first().map(|pair| pair.row(&scene, None, &UsedBy::default()));
        let next = if desired.is_shut_down { Vec::new() } else { upcoming(declared, now, count) };
        Some(row(id, declared, &live, first.as_ref(), next))
    };
    Ok(answer::json(&CronAnswer { format: FORMAT, now, schedules: ids.iter().filter_map(schedule).collect() }))
}

fn row(id: &AppId, declared: &Declared, live: &Live, first: Option<&Row>, next: Vec<WallTime>) -> ScheduleRow {
    let policy = &declared.spec.schedule;
    let of_app = live.instances.range(id.instance(0)..=id.instance(u32::MAX)).map(|(_, instance)| instance);
    let newest = of_app.max_by_key(|instance| instance.started);
    ScheduleRow {
        project: id.project.clone(),
        app: id.name.clone(),
        kind: declared.spec.kind,
        pattern: policy.cron_restart.clone().unwrap_or_default(),
        zone: policy.cron_timezone.clone().unwrap_or_else(local_zone_name),
        overlap: policy.cron_overlap,
        status: first.map(|row| row.status.word.as_str().to_owned()).unwrap_or_default(),
        is_shut_down: first.is_some_and(|row| row.is_shut_down),
        desired_state: (declared.desired_state != DesiredState::Up).then(|| declared.desired_state.clone()),
        next,
        last_start: newest.and_then(|instance| instance.started),
        last_exit: newest.and_then(|instance| instance.last_exit),
    }
}

fn local_zone_name() -> String {
    os::local_zone().iana_name().unwrap_or("local").to_owned()
}

/// When the apps with a schedule are due next; never after `pm shutdown`.
pub(super) fn due(desired: &Desired) -> Due {
    if desired.is_shut_down {
        return Due::new();
    }
    let now = os::wall();
    let apps = desired.projects.values().flat_map(|project| project.apps.values());
    let timed = apps.filter(|declared| declared.spec.schedule.cron_restart.is_some());
    timed.filter_map(|declared| Some((declared.spec.id(), upcoming(declared, now, 1).first().copied()?))).collect()
}

/// The next times of an app; none while its schedule sleeps.
fn upcoming(declared: &Declared, now: WallTime, count: usize) -> Vec<WallTime> {
    let policy = &declared.spec.schedule;
    let pattern = policy.cron_restart.as_deref().filter(|_| declared.desired_state == DesiredState::Up);
    let zone = policy.cron_timezone.as_deref().map_or_else(|| Some(os::local_zone()), os::zone_named);
    match (pattern.map(Cron::parse), zone) {
        (Some(Ok(cron)), Some(zone)) => cron.upcoming(now, &zone, count),
        _ => Vec::new(),
    }
}
