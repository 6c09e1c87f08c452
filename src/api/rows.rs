//! Desired beside Live, as rows. Pure.

use std::collections::BTreeSet;

use crate::model::{App, AppId, Declared, Desired, Live, LiveInstance, Millis, Moment, Phase, Run, Standing, WallTime};
use crate::reconciler::Target;
use crate::wire::Row;

/// What the rows are made of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub live: &'a Live,
    pub now: Moment,
}

impl<'a> Scene<'a> {
    /// Rows of the selected apps and copies, ordered by project, app and slot.
    pub(super) fn rows(self, targets: &[Target]) -> Vec<Row> {
        let ids: BTreeSet<&AppId> = targets.iter().map(|target| &target.app).collect();
        let is_wanted = |row: &Row| {
            targets.iter().any(|target| {
                let is_app = target.app.project == row.project && target.app.name == row.app;
                is_app && target.slot.is_none_or(|slot| row.slot == Some(slot))
            })
        };
        ids.into_iter().flat_map(|id| self.rows_of(id)).filter(is_wanted).collect()
    }

    /// Every app that is declared, or of which something still lives.
    pub(super) fn everything(self) -> Vec<Row> {
        let declared = self.desired.projects.iter().flat_map(|(project, content)| {
            content.apps.keys().map(move |app| AppId::new(project.clone(), app.clone()))
        });
        let mut ids: BTreeSet<AppId> = declared.collect();
        ids.extend(self.live.instances.keys().map(|id| id.app.clone()));
        ids.iter().flat_map(|id| self.rows_of(id)).collect()
    }

    /// All copies of one app: those that should be and those that are.
    pub(super) fn rows_of(self, id: &AppId) -> Vec<Row> {
        let declared = self.declared(id);
        let first = id.instance(0);
        let last = id.instance(u32::MAX);
        let mut slots: BTreeSet<u32> = self.live.instances.range(first..=last).map(|(id, _)| id.slot).collect();
        slots.extend(0..declared.map_or(0, Declared::instances));
        if slots.is_empty() {
            return declared.map(|declared| row(id, None, declared, None, self.now)).into_iter().collect();
        }
        let row_of = |slot| {
            let live = self.live.instances.get(&id.instance(slot));
            match (live, declared) {
                (_, Some(declared)) => Some(row(id, Some(slot), declared, live, self.now)),
                (Some(live), None) => Some(leaving(id, slot, live, self.now)),
                (None, None) => None,
            }
        };
        slots.into_iter().filter_map(row_of).collect()
    }

    pub(super) fn declared(self, id: &AppId) -> Option<&'a Declared> {
        self.desired.projects.get(&id.project)?.apps.get(&id.name)
    }
}

fn row(id: &AppId, slot: Option<u32>, declared: &Declared, live: Option<&LiveInstance>, now: Moment) -> Row {
    let standing = (declared.standing != Standing::Up).then(|| declared.standing.clone());
    let spec = live.map_or(&declared.spec, |live| &live.spec);
    Row { standing, namespace: declared.spec.namespace.clone(), ..base(id, slot, spec, live, now) }
}

/// A copy of an app that is not declared any more.
fn leaving(id: &AppId, slot: u32, live: &LiveInstance, now: Moment) -> Row {
    base(id, Some(slot), &live.spec, Some(live), now)
}

fn base(id: &AppId, slot: Option<u32>, spec: &App, live: Option<&LiveInstance>, now: Moment) -> Row {
    let phase = live.map_or(Phase::Stopped, |live| live.phase.clone());
    let (uptime_ms, next_start_ms) = match &phase {
        Phase::Running { since, .. } => (Some(now.since(*since)), None),
        Phase::Backoff { until, .. } => (None, Some(until.since(now))),
        _ => (None::<Millis>, None),
    };
    let started_at: Option<WallTime> = live.filter(|live| live.phase.is_alive()).and_then(|live| live.started);
    Row {
        id: slot.map_or_else(|| id.to_string(), |slot| id.instance(slot).to_string()),
        project: id.project.clone(),
        app: id.name.clone(),
        slot,
        namespace: spec.namespace.clone(),
        status: phase.word().to_owned(),
        pid: phase.pid(),
        phase,
        standing: None,
        uptime_ms,
        started_at,
        generation: live.map_or(0, |live| live.generation),
        restarts: live.map_or(0, |live| live.restarts),
        force_kills: live.map_or(0, |live| live.force_kills),
        next_start_ms,
        last_exit: live.and_then(|live| live.last_exit),
        memory_bytes: None,
        cpu_percent: None,
        script: program(&spec.run),
    }
}

/// What a person would call the program.
fn program(run: &Run) -> String {
    match &run.script {
        Some(script) => script.clone(),
        None => run.command.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}
