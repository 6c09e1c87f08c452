//! Desired and Live combined into rows. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    App, AppId, AppName, Cause, ChangedFiles, Declared, Desired, DesiredState, InstanceId, Live, LiveInstance, Millis,
    Moment, Phase, ProjectName, Readiness, Run, StartWait, Target, Template, WallTime, masked, masked_words,
};
use crate::plan;
use crate::reconciler::Waiting;
use crate::rules::{self, CopyFacts, Facts};
use crate::sensors::Used;
use crate::wire::{BriefRow, DeclaredRow, HookRow, PhaseRow, ReadinessRow, Row};

/// Desired, plus apps that run undeclared because their spec was lost: users can select them like any other.
pub(super) fn with_forgotten(desired: Arc<Desired>, live: &Live) -> Arc<Desired> {
    let is_declared =
        |id: &AppId| desired.projects.get(&id.project).is_some_and(|project| project.apps.contains_key(&id.name));
    let forgotten: BTreeSet<&AppId> = plan::with_lost_spec(live).filter(|id| !is_declared(id)).collect();
    if forgotten.is_empty() {
        return desired;
    }
    let mut all = Desired::clone(&desired);
    for id in forgotten {
        let spec = Arc::new(App::with_lost_spec(id.clone()));
        // No copy is declared; those that live are shown all the same.
        let declared = Declared { scaled: Some(0), ..Declared::new(spec, Arc::default(), DesiredState::Up) };
        all.projects.entry(id.project.clone()).or_default().apps.insert(id.name.clone(), declared);
    }
    Arc::new(all)
}

/// What the rows are made of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub live: &'a Live,
    pub waiting: &'a Waiting,
    pub due: &'a Due,
    pub files: &'a ChangedFiles,
    pub now: Moment,
    pub wall: WallTime,
}

/// What rows are made of besides what is declared and what lives.
#[derive(Default)]
pub(super) struct SceneFacts {
    pub waiting: Arc<Waiting>,
    pub due: Due,
    pub files: Arc<ChangedFiles>,
}

impl SceneFacts {
    /// The whole, at this time of both clocks.
    pub(super) fn scene<'a>(
        &'a self,
        desired: &'a Desired,
        live: &'a Live,
        (now, wall): (Moment, WallTime),
    ) -> Scene<'a> {
        Scene { desired, live, waiting: &self.waiting, due: &self.due, files: &self.files, now, wall }
    }
}

/// What main processes use, with everything below them.
pub(super) type UsedBy = BTreeMap<u32, Used>;

/// When apps with a schedule are due next.
pub(super) type Due = BTreeMap<AppId, WallTime>;

/// One copy of an app (or an app without any): what should be beside what is. At least one of the two is there.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub project: &'a ProjectName,
    pub app: &'a AppName,
    pub slot: Option<u32>,
    /// It is to take the slot over from the one that has it.
    pub is_successor: bool,
    declared: Option<&'a Declared>,
    live: Option<&'a LiveInstance>,
    waits_for: Option<&'a StartWait>,
    next_due: Option<WallTime>,
    /// It should be running, but was stopped by `pm shutdown`.
    is_shut_down: bool,
}

impl<'a> Scene<'a> {
    /// A moment on the clock of people.
    fn wall_of(self, at: Moment) -> WallTime {
        let past = self.wall.0.saturating_sub(self.now.since(at).0);
        WallTime(past.saturating_add(at.since(self.now).0))
    }

    fn phase_row(self, phase: Phase) -> PhaseRow {
        match phase {
            Phase::Stopped => PhaseRow::Stopped,
            Phase::Starting => PhaseRow::Starting,
            Phase::Running { pid, since, readiness } => {
                let readiness = match readiness {
                    Readiness::Ready => ReadinessRow::Ready,
                    Readiness::Waiting { deadline, last } => {
                        ReadinessRow::Waiting { deadline: self.wall_of(deadline), last }
                    }
                    Readiness::Failing { last, failures } => ReadinessRow::Failing { last, failures },
                };
                PhaseRow::Running { pid, since: self.wall_of(since), readiness }
            }
            Phase::Stopping { pid, deadline } => PhaseRow::Stopping { pid, deadline: self.wall_of(deadline) },
            Phase::Backoff { until, delay, attempt } => {
                PhaseRow::Backoff { until: self.wall_of(until), delay, attempt }
            }
            Phase::Errored { failure } => PhaseRow::Errored { failure },
            Phase::Done { exit } => PhaseRow::Done { exit },
        }
    }

    /// The selected apps and copies, ordered by project, app and slot.
    pub(super) fn selected(self, targets: &[Target]) -> Vec<Pair<'a>> {
        let mut wanted: BTreeMap<&AppId, Vec<Option<u32>>> = BTreeMap::new();
        for target in targets {
            wanted.entry(&target.app).or_default().push(target.slot);
        }
        let of_app = |(id, slots): (&AppId, Vec<Option<u32>>)| {
            let is_wanted = move |pair: &Pair<'_>| slots.iter().any(|slot| slot.is_none() || *slot == pair.slot);
            self.of_app(id).into_iter().filter(is_wanted)
        };
        wanted.into_iter().flat_map(of_app).collect()
    }

    /// Every app that is declared or still has a live process. In the same order.
    pub(super) fn everything(self) -> Vec<Pair<'a>> {
        let mut pairs = Vec::with_capacity(self.live.instances.len());
        for (project, content) in &self.desired.projects {
            for (app, declared) in &content.apps {
                self.of_declared(project, app, declared, &mut pairs);
            }
        }
        let known = pairs.iter().filter(|pair| pair.live.is_some()).count();
        if known < self.live.instances.len() {
            let is_leaving = |id: &AppId| self.declared(id).is_none();
            let leaving = self.live.instances.iter().filter(|(id, _)| is_leaving(&id.app));
            pairs.extend(leaving.map(|(id, live)| Pair::leaving(id, live)));
            pairs.sort_by_key(|pair| (pair.project, pair.app, pair.slot, pair.is_successor));
        }
        pairs
    }

    /// All copies of one app: those that should be and those that are.
    pub(super) fn of_app(self, id: &AppId) -> Vec<Pair<'a>> {
        let mut pairs = Vec::new();
        let project = self.desired.projects.get_key_value(&id.project);
        match project.and_then(|(project, content)| Some((project, content.apps.get_key_value(&id.name)?))) {
            Some((project, (app, declared))) => self.of_declared(project, app, declared, &mut pairs),
            None => pairs.extend(self.lives(id).map(|(id, live)| Pair::leaving(id, live))),
        }
        pairs
    }

    fn of_declared(
        self,
        project: &'a ProjectName,
        app: &'a AppName,
        declared: &'a Declared,
        pairs: &mut Vec<Pair<'a>>,
    ) {
        let before = pairs.len();
        let id = AppId::new(project.clone(), app.clone());
        let (app_waits_for, app_due) = (self.waiting.get(&id), self.due.get(&id).copied());
        let pair = |slot: Option<u32>, is_successor, live: Option<&'a LiveInstance>| {
            // A copy that does not run because its app waits for another one says so.
            let is_down = live.is_none_or(|live| live.phase == Phase::Stopped);
            let waits_for = app_waits_for.filter(|_| is_down);
            let may_run = slot.is_some_and(|slot| declared.may_run(slot));
            let next_due = app_due.filter(|_| may_run);
            let is_shut_down = self.desired.is_shut_down && may_run;
            Pair { project, app, slot, is_successor, declared: Some(declared), live, waits_for, next_due, is_shut_down }
        };
        let mut lives = self.lives(&id).peekable();
        for slot in 0..declared.instances() {
            let live = lives.next_if(|(id, _)| id.slot == slot && !id.is_successor).map(|(_, live)| live);
            pairs.push(pair(Some(slot), false, live));
            let successor = lives.next_if(|(id, _)| id.slot == slot);
            pairs.extend(successor.map(|(_, live)| pair(Some(slot), true, Some(live))));
        }
        // Beyond the declared number: on their way out.
        pairs.extend(lives.map(|(id, live)| pair(Some(id.slot), id.is_successor, Some(live))));
        if pairs.len() == before {
            pairs.push(pair(None, false, None));
        }
    }

    /// What is of one app, by slot.
    fn lives(self, id: &AppId) -> impl Iterator<Item = (&'a InstanceId, &'a LiveInstance)> + use<'a> {
        self.live.instances.range(id.instance(0)..=id.instance(u32::MAX))
    }

    pub(super) fn declared(self, id: &AppId) -> Option<&'a Declared> {
        self.desired.projects.get(&id.project)?.apps.get(&id.name)
    }
}

impl<'a> Pair<'a> {
    /// The number of its process, if one lives.
    pub(super) fn incarnation(&self) -> Option<u32> {
        self.live.filter(|live| live.phase.pid().is_some()).map(|live| live.incarnation)
    }

    /// A copy of an app that is not declared any more.
    fn leaving(id: &'a InstanceId, live: &'a LiveInstance) -> Self {
        let (project, app) = (&id.app.project, &id.app.name);
        Self {
            project,
            app,
            slot: Some(id.slot),
            is_successor: id.is_successor,
            declared: None,
            live: Some(live),
            waits_for: None,
            next_due: None,
            is_shut_down: false,
        }
    }

    /// Everything about it.
    pub(super) fn row(self, scene: &Scene<'a>, started: Option<&'a Cause>, used: &UsedBy) -> Row {
        let now = scene.now;
        let usage = self.usage(used);
        let id = AppId::new(self.project.clone(), self.app.clone());
        let phase = self.live.map_or(Phase::Stopped, |live| live.phase.clone());
        let ready_within_ms = match &phase {
            Phase::Running { readiness: Readiness::Waiting { deadline, .. }, .. } => Some(deadline.since(now)),
            _ => None,
        };
        let uptime_ms = uptime(&phase, now);
        let started_at: Option<WallTime> = self.live.filter(|live| live.phase.is_alive()).and_then(|live| live.started);
        let namespace = self.declared.map_or_else(|| self.spec(), |declared| Some(&*declared.spec));
        Row {
            id: match self.slot {
                None => id.to_string(),
                Some(slot) if self.is_successor => id.instance(slot).successor().to_string(),
                Some(slot) => id.instance(slot).to_string(),
            },
            project: id.project,
            app: id.name,
            slot: self.slot,
            is_successor: self.is_successor,
            namespace: namespace.map(|spec| spec.namespace.clone()).unwrap_or_default(),
            status: rules::status(&Facts { started, ..self.facts(scene, used) }),
            pid: phase.pid(),
            phase: scene.phase_row(phase),
            is_spec_lost: self.is_spec_lost(),
            is_unreachable: self.live.is_some_and(|live| live.is_unreachable),
            desired_state: self.desired_state(),
            uptime_ms,
            started_at,
            incarnation: self.live.map_or(0, |live| live.incarnation),
            restarts: self.live.map_or(0, |live| live.restarts),
            force_kills: self.live.map_or(0, |live| live.counts.force_kills),
            ready_within_ms,
            status_text: self.live.and_then(|live| live.status_text.clone()),
            hook: self.hook(now),
            is_shut_down: self.is_shut_down,
            declared: DeclaredRow { next_due: self.next_due, port: self.port(), pinned_to: self.pinned_to() },
            last_exit: self.live.and_then(|live| live.last_exit),
            memory_bytes: usage.map(|usage| usage.memory),
            cpu_percent: usage.map(|usage| usage.cpu_percent),
            script: self.program().into_owned(),
        }
    }

    /// What a table shows of it.
    pub(super) fn brief(self, scene: &Scene<'a>, used: &UsedBy) -> BriefRow<'a> {
        let now = scene.now;
        let usage = self.usage(used);
        let phase = self.live.map_or(&Phase::Stopped, |live| &live.phase);
        let (facts, uptime_ms) = (self.facts(scene, used), uptime(phase, now));
        BriefRow {
            project: self.project.as_str().into(),
            app: self.app.as_str().into(),
            slot: self.slot,
            is_successor: self.is_successor,
            status: (!facts.is_plain()).then(|| rules::status(&facts)),
            pid: phase.pid(),
            uptime_ms,
            restarts: self.live.map_or(0, |live| live.restarts),
            memory_bytes: usage.map(|usage| usage.memory),
            cpu_percent: usage.map(|usage| usage.cpu_percent),
            port: self.port(),
            pinned_to: self.pinned_to(),
            script: self.program(),
        }
    }

    /// Each copy has the port after that of the one before.
    fn port(self) -> Option<u16> {
        self.spec()?.run.port?.checked_add(u16::try_from(self.slot?).ok()?)
    }

    fn pinned_to(self) -> Option<u64> {
        Some(self.declared?.pin?.generation)
    }

    /// What the words of its project are made of; which of its files changed is not known here.
    pub(super) fn copy(self, scene: &Scene<'a>, used: &UsedBy) -> CopyFacts<'a> {
        let (app, declared, slot, live) = (self.app, self.declared, self.slot, self.live);
        CopyFacts { app, declared, slot, live, status: rules::status(&self.facts(scene, used)), stale: None }
    }

    fn usage(self, used: &UsedBy) -> Option<&Used> {
        used.get(&self.live?.phase.pid()?)
    }

    fn hook(self, now: Moment) -> Option<HookRow> {
        let hook = self.live?.hook?;
        Some(HookRow { hook: hook.hook, runs_ms: now.since(hook.since), limit_ms: hook.limit })
    }

    fn facts(self, scene: &Scene<'a>, used: &UsedBy) -> Facts<'a> {
        let project = scene.desired.projects.get(self.project);
        let absent = self.slot.filter(|_| self.live.is_none() && !scene.live.refused.is_empty());
        let instance = absent.map(|slot| AppId::new(self.project.clone(), self.app.clone()).instance(slot));
        let refused = instance.and_then(|instance| scene.live.refused.get(&instance));
        Facts {
            project,
            declared: self.declared,
            slot: self.slot,
            live: self.live,
            all: scene.live,
            waits_for: self.waits_for,
            next_due: self.next_due,
            is_shut_down: self.is_shut_down,
            refused: refused.map(|(_, failure)| failure),
            is_suspended: self.usage(used).is_some_and(|used| used.is_suspended),
            started: None,
            now: scene.now,
            wall: scene.wall,
            files: scene.files,
        }
    }

    fn desired_state(self) -> Option<DesiredState> {
        self.declared
            .map(|declared| &declared.desired_state)
            .filter(|desired_state| **desired_state != DesiredState::Up)
            .cloned()
    }

    fn is_spec_lost(self) -> bool {
        self.live.is_some_and(|live| live.spec.is_spec_lost())
    }

    /// What runs; else what would.
    fn spec(self) -> Option<&'a App> {
        self.live.map(|live| &*live.spec).or_else(|| self.declared.map(|declared| &*declared.spec))
    }

    /// The program, as a user would call it.
    fn program(self) -> Cow<'a, str> {
        let Some(Run { script, command, .. }) = self.spec().map(|spec| &spec.run) else { return Cow::default() };
        match script {
            Some(script) => masked(script),
            None if command.is_empty() => Cow::Borrowed("?"),
            None => {
                let words: Vec<String> = command.iter().map(Template::revealed).collect();
                Cow::Owned(masked_words(None, &words).join(" "))
            }
        }
    }
}

fn uptime(phase: &Phase, now: Moment) -> Option<Millis> {
    match phase {
        Phase::Running { since, .. } => Some(now.since(*since)),
        _ => None,
    }
}
