//! Carries a plan out: every operation after those it needs, deletes last, and a truthful report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::conditions::Waited;
use super::perform::Surroundings;
use super::rollouts::Rollouts;
use super::{Intent, OperationReport, OperationResult, Progress, Report, Waiting};
use crate::model::{
    AppName, Cause, Change, Condition, Desired, Digest, Millis, Operation, Plan, ProjectName, Standing, Verb,
};
use crate::os;

/// One plan being carried out.
#[derive(Debug)]
pub(super) struct Execution {
    pub surroundings: Surroundings,
    pub project: ProjectName,
    /// Desired as this plan wants it.
    pub promised: Arc<Desired>,
    /// Desired as it is by now: a later command may have taken over.
    pub desired: watch::Receiver<Arc<Desired>>,
    pub busy: watch::Sender<BTreeMap<(ProjectName, AppName), u32>>,
    pub failed: watch::Sender<BTreeMap<(ProjectName, AppName), Digest>>,
    pub waiting: watch::Sender<Arc<Waiting>>,
    pub rollouts: Rollouts,
    pub cause: Cause,
    pub generation: u64,
    pub progress: broadcast::Sender<Progress>,
    pub door: mpsc::WeakSender<Intent>,
}

/// What those who wait for an app may know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    Closed,
    /// Its processes live, or there was nothing to do.
    Open,
    /// It failed or was skipped: whoever needs it is skipped too.
    Barred,
}

/// Slots that are on their way up without this plan, and that it waits for.
type Awaited = BTreeMap<AppName, Vec<u32>>;

/// The operations of one app, in order, what it waits for besides, and the gate that opens when they are through.
struct Line {
    app: AppName,
    operations: Vec<Operation>,
    awaited: Vec<u32>,
    gate: watch::Sender<Gate>,
    needs: Vec<watch::Receiver<Gate>>,
}

impl Line {
    fn of(app: AppName) -> Self {
        let gate = watch::Sender::new(Gate::Closed);
        Self { app, operations: Vec::new(), awaited: Vec::new(), gate, needs: Vec::new() }
    }
}

impl Execution {
    /// Everything but deletes first; these only if nothing failed, and what is deleted is forgotten only then.
    pub async fn run(self: Arc<Self>, plan: Plan, removals: Vec<Change>) {
        let began = Instant::now();
        let (apps, awaited) = (touched(&plan), plan.awaited());
        self.mark_busy(&apps, true);
        let changes = plan.operations.into_iter().filter(|operation| operation.verb.is_change());
        let (deletes, others): (Vec<_>, Vec<_>) =
            changes.partition(|operation| matches!(operation.verb, Verb::Delete { .. }));
        let mut reports = Arc::clone(&self).phase(others, &awaited).await;
        let is_clean = reports.iter().all(|report| report.result == OperationResult::Done);
        if is_clean {
            match self.amend(removals, &self.promised).await {
                Ok(_) => reports.extend(Arc::clone(&self).phase(deletes, &Awaited::new()).await),
                Err(why) => reports.extend(self.skip(deletes, &why)),
            }
        } else {
            reports.extend(self.skip(deletes, "deletes are withheld because another operation did not succeed"));
        }
        self.mark_busy(&apps, false);
        if !apps.is_empty() {
            os::give_memory_back();
        }
        let live = self.surroundings.supervisor.live().await;
        self.surroundings.supervisor.keep_listeners(self.listeners(&live, &[])).await;
        self.wake_the_rest(&reports).await;
        let report = Report { operations: reports, generation: self.generation, took: elapsed(began) };
        // Nobody may be listening any more: the work was done all the same.
        let _ = self.progress.send(Progress::Finished(report));
    }

    /// Something came up that others may have been skipped for, or an update is still open.
    async fn wake_the_rest(&self, reports: &[OperationReport]) {
        let project = self.promised.projects.get(&self.project);
        let has_dependents =
            project.is_some_and(|project| project.apps.values().any(|declared| !declared.spec.depends_on.is_empty()));
        let has_news = reports.iter().any(|report| report.result == OperationResult::Done && report.verb != "stop");
        // What is left of an update is judged soon, not with the next look by the clock.
        let is_open = |report: &OperationReport| {
            let is_left = match report.result {
                // Its own roll has judged it; an end that could not be written waits for the clock.
                OperationResult::Done => report.verb != "roll",
                OperationResult::Superseded => true,
                OperationResult::Failed { .. } | OperationResult::Skipped { .. } => false,
            };
            is_left && (self.update_of(&report.app).is_some() || self.is_cut_short(report))
        };
        if (has_dependents && has_news || reports.iter().any(is_open))
            && let Some(door) = self.door.upgrade()
        {
            // A reconciler that is gone leaves with the daemon.
            let _ = door.send(Intent::Wake).await;
        }
    }

    /// Whether there may be something left to do about the app although no update of it is kept: new processes of the
    /// same form are not all there, or one copy was stopped beside them.
    fn is_cut_short(&self, report: &OperationReport) -> bool {
        let declared = self.declared(&report.app);
        matches!(report.verb.as_str(), "roll" | "restart" | "stop")
            && declared.is_some_and(|declared| declared.standing == Standing::Up)
    }

    /// Runs operations side by side as far as their dependencies allow.
    async fn phase(self: Arc<Self>, operations: Vec<Operation>, awaited: &Awaited) -> Vec<OperationReport> {
        let mut running = JoinSet::new();
        for line in lines(operations, awaited, |app| self.needs_good(app)) {
            let execution = Arc::clone(&self);
            running.spawn(async move { execution.walk(line).await });
        }
        let mut reports = Vec::new();
        while let Some(joined) = running.join_next().await {
            reports.extend(joined.unwrap_or_default());
        }
        reports
    }

    async fn walk(&self, line: Line) -> Vec<OperationReport> {
        let mut reports = Vec::new();
        let mut barred_by: Option<String> = None;
        let starts = line.operations.iter().any(|operation| operation.verb.is_start());
        let is_barred = !line.needs.is_empty()
            && tokio::select! {
                is_barred = any_is_barred(line.needs) => is_barred,
                () = Box::pin(self.show_dependencies(&line.app)), if starts => false, // goes on for ever
            };
        if is_barred {
            barred_by = Some("an app that it depends on did not start".to_owned());
        }
        for operation in line.operations {
            if barred_by.is_none() && operation.verb.is_start() {
                barred_by = match Box::pin(self.wait_for_dependencies(&operation.app)).await {
                    Waited::Met => None,
                    Waited::Never(why) => Some(why),
                    Waited::Superseded => Some("a later command took over".to_owned()),
                };
            }
            if let Some(why) = &barred_by {
                reports.extend(self.skip(vec![operation], why));
                continue;
            }
            let report = self.operate(&operation).await;
            if report.result != OperationResult::Done {
                barred_by = Some("an earlier step for this app did not succeed".to_owned());
            }
            reports.push(report);
        }
        if barred_by.is_none() && !line.awaited.is_empty() {
            let report = Box::pin(self.wait(&line.app, &line.awaited)).await;
            if report.result != OperationResult::Done {
                barred_by = Some("its processes did not come up".to_owned());
            }
            reports.push(report);
        }
        line.gate.send_replace(if barred_by.is_some() { Gate::Barred } else { Gate::Open });
        reports
    }

    async fn operate(&self, operation: &Operation) -> OperationReport {
        let began = Instant::now();
        let (app, verb) = (operation.app.clone(), operation.verb.word().to_owned());
        let _ = self.progress.send(Progress::Began { app: app.clone(), verb: verb.clone() });
        let result = tokio::select! {
            result = self.perform(operation) => result,
            never = Box::pin(self.show(operation)) => match never {},
        };
        self.remember(operation, &result);
        self.conclude(operation, &result).await;
        self.tell_failed_update(operation, &result);
        let report = OperationReport { app, verb, result, took: elapsed(began) };
        let _ = self.progress.send(Progress::Ended(report.clone()));
        self.tell_left(operation).await;
        report
    }

    /// What a stop could not end, since it may be of another app.
    async fn tell_left(&self, operation: &Operation) {
        let Verb::Stop { slots } = &operation.verb else { return };
        let processes = self.surroundings.supervisor.left_by(self.instances(&operation.app, slots)).await;
        if !processes.is_empty() {
            let _ = self.progress.send(Progress::Left { app: operation.app.clone(), processes });
        }
    }

    /// Reports on processes that are on their way up already. They are somebody else's: how they end is not remembered.
    async fn wait(&self, app: &AppName, slots: &[u32]) -> OperationReport {
        let (began, verb) = (Instant::now(), "wait".to_owned());
        let _ = self.progress.send(Progress::Began { app: app.clone(), verb: verb.clone() });
        let result = tokio::select! {
            result = self.come_up(app, slots) => result,
            never = self.show_unready(app, slots) => match never {},
        };
        let report = OperationReport { app: app.clone(), verb, result, took: elapsed(began) };
        let _ = self.progress.send(Progress::Ended(report.clone()));
        report
    }

    /// What has to be good, not only alive, before an app is started.
    fn needs_good(&self, app: &AppName) -> Vec<AppName> {
        let needs = self.declared(app).map(|declared| declared.spec.depends_on.clone()).unwrap_or_default();
        needs.into_iter().filter(|(_, condition)| *condition != Condition::Started).map(|(app, _)| app).collect()
    }

    /// A form of an app that failed is not tried again by anything automatic; one that came up is forgiven. What was
    /// only skipped is tried again by itself: it starts as soon as what it depends on has come up after all.
    fn remember(&self, operation: &Operation, result: &OperationResult) {
        let key = (self.project.clone(), operation.app.clone());
        let declared = self.promised.projects.get(&self.project).and_then(|project| project.apps.get(&operation.app));
        self.failed.send_if_modified(|failed| match (result, declared) {
            (OperationResult::Failed { .. }, Some(declared)) => failed.insert(key, declared.digest).is_none(),
            // That says nothing of the form.
            (OperationResult::Done, Some(_)) if matches!(operation.verb, Verb::Stop { .. }) => false,
            (OperationResult::Done, _) => failed.remove(&key).is_some(),
            (_, None) | (OperationResult::Superseded | OperationResult::Skipped { .. }, _) => false,
        });
    }

    fn skip(&self, operations: Vec<Operation>, why: &str) -> Vec<OperationReport> {
        let skipped = operations.into_iter().map(|operation| OperationReport {
            app: operation.app,
            verb: operation.verb.word().to_owned(),
            result: OperationResult::Skipped { why: why.to_owned() },
            took: Millis(0),
        });
        let reports: Vec<_> = skipped.collect();
        for report in &reports {
            let _ = self.progress.send(Progress::Ended(report.clone()));
        }
        reports
    }

    /// Changes Desired on behalf of this plan, unless somebody else did `since`: false if anything was left out.
    pub(super) async fn amend(&self, changes: Vec<Change>, since: &Arc<Desired>) -> Result<bool, String> {
        if changes.is_empty() {
            return Ok(true);
        }
        let leaving = || "the daemon is shutting down".to_owned();
        let door = self.door.upgrade().ok_or_else(leaving)?;
        let (reply, kept) = oneshot::channel();
        let amend = Intent::Amend(changes, Arc::clone(since), reply);
        door.send(amend).await.map_err(|_| leaving())?;
        kept.await.map_err(|_| leaving())?.map_err(|error| error.to_string())
    }

    fn mark_busy(&self, apps: &[AppName], is_busy: bool) {
        self.busy.send_modify(|busy| {
            for app in apps {
                let key = (self.project.clone(), app.clone());
                let count = busy.get(&key).copied().unwrap_or(0);
                match if is_busy { count + 1 } else { count.saturating_sub(1) } {
                    0 => busy.remove(&key),
                    count => busy.insert(key, count),
                };
            }
        });
    }
}

/// Waits for all gates.
async fn any_is_barred(needs: Vec<watch::Receiver<Gate>>) -> bool {
    let mut is_barred = false;
    for mut need in needs {
        let gate = need.wait_for(|gate| *gate != Gate::Closed).await.map_or(Gate::Barred, |gate| *gate);
        is_barred |= gate == Gate::Barred;
    }
    is_barred
}

/// Groups operations by app and ties each group to the gates of what it comes after, and of what it waits for to be
/// good.
fn lines(operations: Vec<Operation>, awaited: &Awaited, needs_good: impl Fn(&AppName) -> Vec<AppName>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places: BTreeMap<AppName, usize> = BTreeMap::new();
    let mut place_of = |lines: &mut Vec<Line>, app: &AppName| {
        *places.entry(app.clone()).or_insert_with(|| {
            lines.push(Line::of(app.clone()));
            lines.len() - 1
        })
    };
    for operation in operations {
        let place = place_of(&mut lines, &operation.app);
        lines[place].operations.push(operation);
    }
    for (app, slots) in awaited {
        let place = place_of(&mut lines, app);
        lines[place].awaited.clone_from(slots);
    }
    let gates: BTreeMap<AppName, watch::Sender<Gate>> =
        lines.iter().map(|line| (line.app.clone(), line.gate.clone())).collect();
    for line in &mut lines {
        let after = line.operations.iter().flat_map(|operation| &operation.after);
        let others = after.filter(|app| **app != line.app);
        line.needs = others.filter_map(|app| gates.get(app)).map(watch::Sender::subscribe).collect();
        if !awaited.is_empty() && line.operations.iter().any(|operation| operation.verb.is_start()) {
            let young = needs_good(&line.app).into_iter().filter(|app| awaited.contains_key(app));
            line.needs.extend(young.filter_map(|app| gates.get(&app)).map(watch::Sender::subscribe));
        }
    }
    lines
}

/// Every app that a plan touches, by its old and by its new name.
fn touched(plan: &Plan) -> Vec<AppName> {
    let changes = plan.operations.iter().filter(|operation| operation.verb.is_change());
    let names = changes.flat_map(|operation| match &operation.verb {
        Verb::Rename { from: old } | Verb::Replace { old, .. } => vec![operation.app.clone(), old.clone()],
        _ => vec![operation.app.clone()],
    });
    names.collect()
}

fn elapsed(since: Instant) -> Millis {
    Millis(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}
