//! One accepted plan in progress: the lines of its apps run in parallel as far as their order allows, deletes last.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Around, Gate, Line};
use super::{Context, Dirty, JobId, News, Next, Numbers, View};
use crate::model::{
    AppId, AppName, Cause, Change, Condition, InstanceId, LiveInstance, Millis, Moment, Operation, OperationReport,
    OperationResult, Phase, Plan, Progress, Project, ProjectName, RolloutCommand, Skip, Verb,
};

/// One accepted plan that is being carried out.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) project: ProjectName,
    cause: Cause,
    generation: u64,
    began: Moment,
    /// Everything but deletes.
    pub(super) lines: Vec<Line>,
    /// Deletes; they begin once everything else has succeeded.
    pub(super) deletes: Vec<Line>,
    /// Lines by app, and by the apps that their start may wait for.
    places: BTreeMap<AppName, Vec<usize>>,
    /// The line of each app, and its delete.
    own: [BTreeMap<AppName, usize>; 2],
    /// Lines that are not over, and one for the job itself.
    pub(super) open: usize,
    /// Those of them that are no deletes.
    open_lines: usize,
    is_deleting: bool,
    /// Nothing failed and nothing was skipped.
    is_clean: bool,
    /// Something came up, or somebody else took over.
    has_news: bool,
}

impl Job {
    pub(super) fn new(id: JobId, plan: &Plan, cause: Cause, generation: u64, view: &View) -> Self {
        let changes = plan.operations.iter().filter(|operation| operation.verb.is_change());
        let (deletes, others): (Vec<_>, Vec<_>) =
            changes.partition(|operation| matches!(operation.verb, Verb::Delete { .. }));
        let stored = view.desired.projects.get(&plan.project);
        let lines = lines(&others, &plan.awaited(), stored);
        let deletes = lines_of(&deletes);
        let mut places: BTreeMap<AppName, Vec<usize>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let declared = stored.and_then(|stored| stored.apps.get(&line.app));
            let others = declared.into_iter().flat_map(|declared| declared.spec.depends_on.keys());
            let renamed = line.todo.iter().filter_map(|operation| match &operation.verb {
                Verb::Rename { from: old } | Verb::Replace { old, .. } => Some(old),
                _ => None,
            });
            let names: BTreeSet<_> = [&line.app].into_iter().chain(&line.needs).chain(others).chain(renamed).collect();
            for name in names {
                places.entry(name.clone()).or_default().push(at);
            }
        }
        for (at, line) in deletes.iter().enumerate() {
            for name in [&line.app].into_iter().chain(&line.needs) {
                places.entry(name.clone()).or_default().push(lines.len() + at);
            }
        }
        let own = [&lines, &deletes]
            .map(|lines| lines.iter().enumerate().map(|(at, line)| (line.app.clone(), at)).collect::<BTreeMap<_, _>>());
        Self {
            id,
            project: plan.project.clone(),
            cause,
            generation,
            began: view.now,
            own,
            open: lines.len() + deletes.len() + 1,
            open_lines: lines.len(),
            lines,
            deletes,
            places,
            is_deleting: false,
            is_clean: true,
            has_news: false,
        }
    }

    pub(super) fn context<'a>(&'a self, view: &'a View<'a>, numbers: &'a Numbers) -> Context<'a> {
        Context { view, project: &self.project, cause: &self.cause, numbers }
    }

    /// How many of its processes may start at the same time, and with whom they share that number: with their project,
    /// or with everything that starts by itself.
    pub(super) fn start_limit(&self, view: &View) -> Option<(Option<ProjectName>, u32)> {
        let stored = view.desired.projects.get(&self.project);
        match stored.and_then(|stored| stored.origin.start_concurrency) {
            Some(limit) => Some((Some(self.project.clone()), limit)),
            None => view.unasked_starts_max.filter(|_| self.cause == Cause::Boot).map(|limit| (None, limit)),
        }
    }

    /// Lines that were given a place to start in, and have not begun.
    pub(super) fn admitted(&self) -> Vec<usize> {
        self.lines.iter().enumerate().filter(|(_, line)| line.is_admitted()).map(|(at, _)| at).collect()
    }

    pub(super) fn all_lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().chain(&self.deletes)
    }

    pub(super) fn is_open(&self, app: &AppName) -> bool {
        self.at(app).into_iter().any(|at| {
            let line = self.line(at);
            !line.is_over() && (line.app == *app || line.todo.iter().any(|one| one.verb.other_app() == Some(app)))
        })
    }

    pub(super) fn at(&self, app: &AppName) -> Vec<usize> {
        self.places.get(app).cloned().unwrap_or_default()
    }

    fn line(&self, at: usize) -> &Line {
        if at < self.lines.len() { &self.lines[at] } else { &self.deletes[at - self.lines.len()] }
    }

    fn line_mut(&mut self, at: usize) -> &mut Line {
        let count = self.lines.len();
        if at < count { &mut self.lines[at] } else { &mut self.deletes[at - count] }
    }

    /// The lines that may continue.
    pub(super) fn due(&self, view: &View, dirty: Dirty) -> Vec<usize> {
        match dirty {
            Dirty::Everything => (0..self.lines.len() + self.deletes.len()).collect(),
            Dirty::Apps(apps) => {
                let mut due: Vec<usize> =
                    apps.iter().filter(|app| app.project == self.project).flat_map(|app| self.at(&app.name)).collect();
                let is_due = |(_, line): &(usize, &Line)| line.wake_at.is_some_and(|at| at <= view.now);
                due.extend(self.all_lines().enumerate().filter(is_due).map(|(at, _)| at));
                due
            }
        }
    }

    pub(super) fn advance(&mut self, older: &[Job], due: Vec<usize>, view: &View, numbers: &Numbers, next: &mut Next) {
        let mut todo: BTreeSet<usize> = due.into_iter().collect();
        while let Some(at) = todo.pop_first() {
            let is_delete = at >= self.lines.len();
            if self.line(at).is_over() || (is_delete && !self.is_deleting) {
                continue;
            }
            if self.advance_line(at, older, view, numbers, next) {
                let app = self.line(at).app.clone();
                todo.extend(self.at(&app));
            }
        }
        self.go_over(view, numbers, next);
    }

    /// Returns whether the line has ended.
    fn advance_line(&mut self, at: usize, older: &[Job], view: &View, numbers: &Numbers, next: &mut Next) -> bool {
        let is_delete = at >= self.lines.len();
        let placeholder = Line::new(self.line(at).app.clone());
        let mut line = std::mem::replace(self.line_mut(at), placeholder);
        let context = self.context(view, numbers);
        let (siblings, own) = if is_delete { (&self.deletes, &self.own[1]) } else { (&self.lines, &self.own[0]) };
        let gates = |app: &AppName| own.get(app).map_or(Gate::Open, |at| siblings[*at].gate);
        let ahead = older.iter().filter(|job| job.project == self.project);
        let ahead = ahead.filter_map(|job| Some((job, &job.lines[*job.own[0].get(&line.app)?])));
        let ahead: Vec<_> = ahead.filter(|(_, line)| line.holds_up_others()).collect();
        let is_paused = |(job, line): &(&Job, &Line)| {
            line.rollout(&job.context(view, numbers)).is_some_and(|rollout| rollout.command == RolloutCommand::Pause)
        };
        let around = Around {
            gate: &gates,
            is_behind: !ahead.is_empty(),
            is_behind_pause: ahead.iter().any(is_paused),
            start_limit: self.start_limit(view).map(|(_, limit)| limit),
        };
        let was_shown = line.waits_for().is_some();
        let (wanted_place, built) = (line.wants_place(), line.builds_since());
        let reports = line.advance(&context, &around, next);
        next.has_new_waits |= was_shown && line.waits_for().is_none();
        next.has_new_waits |= wanted_place != line.wants_place() || built != line.builds_since();
        let is_over = line.is_over();
        *self.line_mut(at) = line;
        for report in reports {
            self.is_clean &= !matches!(report.result, OperationResult::Failed { .. } | OperationResult::Skipped { .. });
            self.has_news |= !matches!(report.result, OperationResult::Failed { .. } | OperationResult::Skipped { .. });
            self.report_end(report, next);
        }
        let news = std::mem::take(&mut next.news);
        // What began was pushed before what ended by the same pass; both are told in that order.
        self.report_news(news, next);
        if is_over {
            next.freed.insert(AppId::new(self.project.clone(), self.line(at).app.clone()));
        }
        self.open -= usize::from(is_over);
        self.open_lines -= usize::from(is_over && !is_delete);
        is_over
    }

    fn report_news(&self, news: Vec<Progress>, next: &mut Next) {
        next.messages.extend(news.into_iter().map(|progress| (self.id, News::Progress(progress))));
    }

    fn report_end(&self, report: OperationReport, next: &mut Next) {
        let news = std::mem::take(&mut next.news);
        self.report_news(news, next);
        let news = match &report.result {
            OperationResult::Failed { instance, .. } => {
                let printer = next.printers.remove(instance);
                News::Failed(report, printer)
            }
            _ => News::Progress(Progress::Ended(report)),
        };
        next.messages.push((self.id, news));
    }

    /// The way from the changes to the deletes, and from there to the end.
    fn go_over(&mut self, view: &View, numbers: &Numbers, next: &mut Next) {
        if !self.is_deleting && self.open_lines == 0 {
            self.is_clean &= self.deletes.is_empty() || is_sound(view, &self.project);
            if self.is_clean && !self.is_removal_kept(view, next) {
                return;
            }
            if !self.is_clean {
                self.withhold_deletes(view, numbers, next);
            }
            self.is_deleting = true;
            if self.open > 1 {
                let all = (self.lines.len()..self.lines.len() + self.deletes.len()).collect();
                return self.advance(&[], all, view, numbers, next);
            }
        }
        if self.is_deleting && self.open == 1 {
            self.open = 0;
            let took = view.now.since(self.began);
            let (project, generation, has_news) = (self.project.clone(), self.generation, self.has_news);
            next.messages.push((self.id, News::Finished { project, generation, took, has_news }));
        }
    }

    /// What is deleted is forgotten first, durably: from then on every daemon ends what is left of it.
    fn is_removal_kept(&self, view: &View, next: &mut Next) -> bool {
        let Some(stored) = view.desired.projects.get(&self.project) else { return true };
        let is_leaving =
            |line: &&Line| !line.is_over() && stored.apps.get(&line.app).is_some_and(|declared| declared.is_leaving);
        let leaving: Vec<&Line> = self.deletes.iter().filter(is_leaving).collect();
        if leaving.is_empty() {
            return true;
        }
        let project = || self.project.clone();
        next.changes
            .extend(leaving.iter().map(|line| Change::AppRemoved { project: project(), name: line.app.clone() }));
        false
    }

    /// What an apply removes stays. What nothing declares any more is only left over, and goes all the same.
    fn withhold_deletes(&mut self, view: &View, numbers: &Numbers, next: &mut Next) {
        for at in 0..self.deletes.len() {
            let context = Context { view, project: &self.project, cause: &self.cause, numbers };
            let line = &mut self.deletes[at];
            let declared = context.declared(&line.app).filter(|declared| declared.is_leaving && !line.is_over());
            // Whether it leaves is for the later command to say by now.
            let declared = declared.filter(|_| !line.is_superseded());
            let Some(declared) = declared else { continue };
            next.changes.push(context.stays(&line.app, declared));
            // A part of it may have been stopped already.
            self.has_news = true;
            line.gate = Gate::Blocked;
            self.open -= 1;
            for operation in line.todo.drain(..) {
                let (verb, app) = (operation.kind(), operation.app);
                let result = OperationResult::Skipped { why: Skip::DeletesWithheld };
                let report = OperationReport { app, verb, result, took: Millis(0) };
                next.messages.push((self.id, News::Progress(Progress::Ended(report))));
            }
        }
    }
}

/// Whether nothing that should run of what stays was given up: that may have been another daemon's to tell.
fn is_sound(view: &View, project: &ProjectName) -> bool {
    let Some(stored) = view.desired.projects.get(project) else { return true };
    let is_errored = |(id, live): (&InstanceId, &LiveInstance)| {
        id.app.project == *project
            && matches!(live.phase, Phase::Errored { .. })
            && stored.apps.get(&id.app.name).is_some_and(|declared| declared.should_run(id.slot))
    };
    !view.live.instances.iter().any(is_errored)
}

/// Groups operations by app, each group with what it comes after.
fn lines_of(operations: &[&Operation]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut places: BTreeMap<&AppName, usize> = BTreeMap::new();
    for operation in operations {
        let place = *places.entry(&operation.app).or_insert_with(|| {
            lines.push(Line::new(operation.app.clone()));
            lines.len() - 1
        });
        lines[place].todo.push_back((*operation).clone());
    }
    let known: BTreeSet<AppName> = lines.iter().map(|line| line.app.clone()).collect();
    for line in &mut lines {
        let after: BTreeSet<AppName> = line.todo.iter().flat_map(|operation| operation.after.clone()).collect();
        line.needs = after.into_iter().filter(|app| *app != line.app && known.contains(app)).collect();
    }
    lines
}

/// The same with those that come up already, and are waited for by what needs them ready.
fn lines(operations: &[&Operation], awaited: &BTreeMap<AppName, Vec<u32>>, stored: Option<&Project>) -> Vec<Line> {
    let mut lines = lines_of(operations);
    for (app, slots) in awaited {
        let known = lines.iter().position(|line| line.app == *app);
        let place = known.unwrap_or_else(|| {
            lines.push(Line::new(app.clone()));
            lines.len() - 1
        });
        lines[place].awaited.clone_from(slots);
    }
    if !awaited.is_empty() {
        for line in lines.iter_mut().filter(|line| line.todo.iter().any(|one| one.verb.is_start())) {
            let declared = stored.and_then(|stored| stored.apps.get(&line.app));
            let needs = declared.into_iter().flat_map(|declared| &declared.spec.depends_on);
            let young =
                needs.filter(|(app, condition)| **condition != Condition::Started && awaited.contains_key(*app));
            line.needs.extend(young.map(|(app, _)| app.clone()));
        }
    }
    lines
}
