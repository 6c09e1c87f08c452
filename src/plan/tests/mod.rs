//! A simulated machine: plans are carried out on it without a process, then planned again.

mod applies;
mod edits;
mod full;
mod histories;
mod lost;
mod ports;
mod properties;
mod refusals;
mod rollouts;
mod runs;
mod three_way;
mod unready;
mod wakeups;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::model::{
    App, AppId, ChangedFiles, Counts, Declared, Desired, Edit, Exit, Failure, HealPolicy, InstanceId, Moment,
    Operation, Origin, Phase, Provenance, Readiness, Reason, Run, SelfHeal, Verb, WallTime,
};

pub(super) use full::full_apps;

/// What a case does to an app.
pub(super) type Alter = fn(&mut App);

pub(super) fn app(name: &str) -> App {
    App {
        project: shop(),
        name: name.parse().unwrap(),
        moved_from: Vec::new(),
        namespace: "default".into(),
        instances: None,
        autostart: true,
        protect: false,
        depends_on: [].into(),
        run: Run { script: Some(format!("/srv/shop/{name}.js")), cwd: "/srv/shop".into(), ..Run::default() },
        ..crate::lifecycle::samples::app()
    }
}

/// An app with one field set.
fn app_with(name: &str, change: impl FnOnce(&mut App)) -> App {
    let mut app = app(name);
    change(&mut app);
    app
}

pub(super) fn shop() -> ProjectName {
    "shop".parse().unwrap()
}

pub(super) fn proposed(apps: impl IntoIterator<Item = App>) -> Proposed {
    Proposed {
        project: shop(),
        origin: Origin {
            folder: "/srv/shop".into(),
            is_named: false,
            files: vec![PathBuf::from("/srv/shop/ecosystem.toml")],
            profile: None,
            start_concurrency: None,
            heal: HealPolicy::default(),
        },
        apps: apps.into_iter().collect(),
        base: BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]),
        from_shell: BTreeMap::new(),
        provenance: Provenance::default(),
    }
}

fn errored() -> Phase {
    Phase::Errored { failure: Failure::Exited { exit: Exit::Code(1) } }
}

/// What is stored and what lives, with the executor's part pretended.
#[derive(Clone, Default)]
struct World {
    desired: Desired,
    live: Live,
    last_pid: u32,
}

impl World {
    /// A world in which these apps were applied.
    fn with(apps: impl IntoIterator<Item = App>) -> Self {
        let mut world = Self::default();
        world.apply(apps);
        world
    }

    fn stored(&self) -> Option<&Project> {
        self.desired.projects.get(&shop())
    }

    fn declared(&self, name: &str) -> &Declared {
        &self.stored().unwrap().apps[&name.parse().unwrap()]
    }

    fn decide(&self, proposed: &Proposed, options: &ApplyOptions) -> Result<Decision, Refusal> {
        decide(self.stored(), proposed, &self.live, options)
    }

    /// Plans, stores and carries out.
    fn apply(&mut self, apps: impl IntoIterator<Item = App>) -> Plan {
        self.apply_with(&proposed(apps), &ApplyOptions::default()).unwrap()
    }

    fn apply_with(&mut self, proposed: &Proposed, options: &ApplyOptions) -> Result<Plan, Refusal> {
        let decision = self.decide(proposed, options)?;
        self.store(decision.changes);
        self.execute(&decision.plan.operations);
        Ok(decision.plan)
    }

    fn wakeup_plan(&self) -> Plan {
        let gone = Project::default();
        plan_wakeup(&shop(), self.stored().unwrap_or(&gone), &self.live)
    }

    fn wake(&mut self) -> Plan {
        let plan = self.wakeup_plan();
        self.execute(&plan.operations);
        plan
    }

    fn edit(&mut self, name: &str, slot: Option<u32>, edit: &Edit) -> Result<Plan, Refusal> {
        let project = shop();
        let request = EditRequest {
            project: &project,
            targets: &[(name.parse().unwrap(), slot)],
            edit,
            by: "alice",
            at: WallTime(7),
        };
        let changes = super::edit(self.stored().unwrap(), &self.live, &request)?;
        self.store(changes);
        Ok(self.wake())
    }

    /// What `self_heal` does at this time.
    fn heal(&mut self, files: &ChangedFiles, wall: WallTime) -> Vec<String> {
        let waiting = BTreeSet::new();
        let facts = HealFacts { live: &self.live, files, waiting: &waiting, wall };
        let Some(Decision { plan, changes }) = heal(&shop(), self.stored().unwrap(), &facts) else {
            return Vec::new();
        };
        self.store(changes);
        self.execute(&plan.operations);
        verbs(&plan)
    }

    fn set_heal(&mut self, mode: SelfHeal) {
        self.desired.projects.get_mut(&shop()).unwrap().origin.heal.mode = mode;
    }

    fn store(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.desired.accept(change);
        }
    }

    fn execute(&mut self, operations: &[Operation]) {
        for operation in operations {
            let app = AppId::new(shop(), operation.app.clone());
            match &operation.verb {
                Verb::Start { slots } | Verb::Roll { slots, .. } | Verb::Restart { slots, .. } => self.run(&app, slots),
                Verb::Scale { add, remove, .. } => {
                    self.run(&app, add);
                    for slot in remove {
                        self.live.instances.remove(&app.instance(*slot));
                    }
                }
                Verb::Replace { old, slots } => {
                    self.live.instances.retain(|id, _| id.app != AppId::new(shop(), old.clone()));
                    self.forget(old);
                    self.run(&app, slots);
                }
                Verb::Delete { .. } => {
                    self.live.instances.retain(|id, _| id.app != app);
                    self.forget(&operation.app);
                }
                Verb::Stop { slots } => {
                    for slot in slots {
                        self.set_phase(&app.instance(*slot), Phase::Stopped);
                    }
                }
                Verb::Reconfigure => self.follow(&app),
                Verb::Rename { from } => self.rename(from, &app),
                Verb::Keep | Verb::Hold => {}
            }
        }
    }

    /// What an apply removes is declared until then.
    fn forget(&mut self, name: &AppName) {
        if self.stored().and_then(|stored| stored.apps.get(name)).is_some_and(|declared| declared.is_leaving) {
            self.store(vec![Change::AppRemoved { project: shop(), name: name.clone() }]);
        }
    }

    fn run(&mut self, app: &AppId, slots: &[u32]) {
        let declared = &self.desired.projects[&app.project].apps[&app.name];
        for slot in slots {
            self.last_pid += 1;
            let instance = LiveInstance {
                phase: Phase::Running { pid: self.last_pid, since: Moment(0), readiness: Readiness::Ready },
                incarnation: 1,
                since: None,
                restarts: 0,
                counts: Counts::default(),
                spec: Arc::clone(&declared.spec),
                restart_requests: declared.restart_requests_of(*slot),
                started: None,
                last_exit: None,
                trouble: None,
                status_text: None,
                hook: None,
                taken: crate::model::Taken::default(),
                following: None,
                is_unreachable: false,
            };
            self.live.instances.insert(app.instance(*slot), instance);
        }
    }

    fn follow(&mut self, app: &AppId) {
        let declared = &self.desired.projects[&app.project].apps[&app.name];
        for (_, instance) in self.live.instances.iter_mut().filter(|(id, _)| id.app == *app) {
            if rules::can_follow(&instance.spec, &declared.spec) {
                instance.spec = Arc::clone(&declared.spec);
            }
        }
    }

    fn rename(&mut self, from: &AppName, to: &AppId) {
        let old: Vec<_> =
            self.live.instances.keys().filter(|id| id.app == AppId::new(shop(), from.clone())).cloned().collect();
        for id in old {
            let mut instance = self.live.instances.remove(&id).unwrap();
            Arc::make_mut(&mut instance.spec).name = to.name.clone();
            self.live.instances.insert(to.instance(id.slot), instance);
        }
    }

    fn set_phase(&mut self, id: &InstanceId, phase: Phase) {
        self.live.instances.get_mut(id).unwrap().phase = phase;
    }

    /// `name/slot` → pid of everything that runs.
    fn pids(&self) -> BTreeMap<String, u32> {
        let named = |(id, live): (&InstanceId, &LiveInstance)| {
            live.phase.pid().map(|pid| (format!("{}/{}", id.app.name, id.slot), pid))
        };
        self.live.instances.iter().filter(|(id, _)| id.app.project == shop()).filter_map(named).collect()
    }
}

/// `start api [0, 1]` for each operation that changes something.
pub(super) fn verbs(plan: &Plan) -> Vec<String> {
    let changes = plan.operations.iter().filter(|operation| operation.verb.is_change());
    changes
        .map(|Operation { app, verb, .. }| match verb {
            Verb::Start { slots }
            | Verb::Roll { slots, .. }
            | Verb::Restart { slots, .. }
            | Verb::Stop { slots }
            | Verb::Delete { slots } => {
                format!("{} {app} {slots:?}", verb.as_str())
            }
            Verb::Scale { from, to, add, remove } => format!("scale {app} {from}->{to} +{add:?} -{remove:?}"),
            Verb::Rename { from } => format!("rename {from} to {app}"),
            Verb::Replace { old, slots } => format!("replace {old} by {app} {slots:?}"),
            Verb::Reconfigure | Verb::Keep | Verb::Hold => format!("{} {app}", verb.as_str()),
        })
        .collect()
}

/// All reasons of the operations of one app.
fn reasons(plan: &Plan, name: &str) -> Vec<Reason> {
    let of_app = plan.operations.iter().filter(|operation| operation.app.as_str() == name);
    of_app.flat_map(|operation| operation.reasons.clone()).collect()
}
