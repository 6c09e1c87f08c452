//! Reports to those who wait for a job: steps as they happen, and a final report.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

use super::Intent;
use super::run::Loop;
use crate::logs::{self, Line, LogQuery, Source};
use crate::model::{
    AppId, AppName, InstanceId, Millis, OperationReport, OperationResult, Phase, Progress, ProjectName, Report, Stream,
    WallTime,
};
use crate::os::Worker;
use crate::plan::{JobId, Printer};
use crate::supervisor::{Supervisor, log_location};

/// Lines of output that a failure report carries: a screen, enough for the first line of an error above its stack.
const LAST_LINES: usize = 20;

/// How often, and how far apart, it is asked when a process was started that is just being made.
const NEXT_START_LOOKS: u32 = 10;
const NEXT_START_PAUSE: Duration = Duration::from_millis(5);

/// From when to when; without an end, to the newest.
type Lifetime = (WallTime, Option<WallTime>);

/// The reports of all jobs that are not over.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<JobId, Open>);

#[derive(Debug)]
struct Open {
    project: ProjectName,
    progress: broadcast::Sender<Progress>,
    operations: Vec<OperationReport>,
    /// Failures whose output is being read.
    reading: usize,
    finished: Option<(u64, Millis)>,
}

impl Reports {
    pub(super) fn open(&mut self, job: JobId, project: ProjectName, progress: broadcast::Sender<Progress>) {
        self.0.insert(job, Open { project, progress, operations: Vec::new(), reading: 0, finished: None });
    }

    /// The project of a job that somebody listens to.
    fn watched_project(&self, job: JobId) -> Option<ProjectName> {
        self.0.get(&job).filter(|open| open.progress.receiver_count() > 0).map(|open| open.project.clone())
    }

    /// Whether anybody listens.
    fn is_watched(&self, job: JobId) -> bool {
        self.watched_project(job).is_some()
    }

    pub(super) fn report(&mut self, job: JobId, progress: Progress) {
        let Some(open) = self.0.get_mut(&job) else { return };
        if let Progress::Ended(report) = &progress {
            open.operations.push(report.clone());
        }
        // Nobody may be listening any more: the work is done all the same.
        let _ = open.progress.send(progress);
    }

    fn reading(&mut self, job: JobId) {
        if let Some(open) = self.0.get_mut(&job) {
            open.reading += 1;
        }
    }

    /// The output of a failure was read.
    pub(super) fn completed(&mut self, job: JobId, report: OperationReport) {
        self.report(job, Progress::Ended(report));
        if let Some(open) = self.0.get_mut(&job) {
            open.reading = open.reading.saturating_sub(1);
        }
        self.close(job);
    }

    /// The last step was told.
    pub(super) fn finish(&mut self, job: JobId, generation: u64, took: Millis) {
        if let Some(open) = self.0.get_mut(&job) {
            open.finished = Some((generation, took));
        }
        self.close(job);
    }

    fn close(&mut self, job: JobId) {
        let is_over = self.0.get(&job).is_some_and(|open| open.reading == 0 && open.finished.is_some());
        let Some(open) = is_over.then(|| self.0.remove(&job)).flatten() else { return };
        let (generation, took) = open.finished.unwrap_or_default();
        let report = Report { operations: open.operations, generation, took };
        let _ = open.progress.send(Progress::Finished(report));
    }
}

/// From when to when a process has printed, as far as its successor is known by now.
async fn lifetime(supervisor: &Supervisor, instance: &InstanceId, printer: Printer) -> Option<Lifetime> {
    let (start, is_before) = match printer {
        Printer::Started(start) => (start, false),
        Printer::Before(start) => (start, true),
    };
    let mut known = None;
    for _ in 0..NEXT_START_LOOKS {
        known = supervisor.lifetime(instance.clone(), start, is_before).await;
        let is_over = known.is_some_and(|(_, until)| until.is_some());
        if is_over || supervisor.live().await.instances.get(instance)?.phase != Phase::Starting {
            break;
        }
        // The next one is being made, and when is known in a moment; a hook may hold it up, and then nothing is printed.
        tokio::time::sleep(NEXT_START_PAUSE).await;
    }
    known
}

/// The last lines of a process.
async fn read(reader: &Worker, sources: Vec<Source>, (since, until): Lifetime) -> Vec<Line> {
    let (reply, lines) = oneshot::channel();
    let read = move || {
        // In the millisecond of a start the process before has printed rather than the one that is just being made.
        let until = until.map(|until| WallTime(until.0.saturating_add(1)));
        let query = LogQuery { lines: LAST_LINES, since: Some(since), until, ..LogQuery::default() };
        let _ = reply.send(logs::read(&sources, &query).lines);
    };
    if reader.submit(Box::new(read)).is_err() {
        return Vec::new();
    }
    lines.await.unwrap_or_default()
}

impl Loop {
    /// What a stop could not end, since it may be of another app.
    pub(super) async fn report_left(&mut self, job: JobId, app: AppName) {
        if self.is_leaving {
            return; // the daemon ends it as it leaves, and says so if it cannot
        }
        let Some(project) = self.reports.watched_project(job) else { return };
        let id = AppId::new(project, app.clone());
        let of_app = self.live.instances.range(id.instance(0)..=id.instance(u32::MAX)).map(|(id, _)| id.clone());
        let (processes, is_unsure) = self.deps.supervisor.left_by(of_app.collect()).await;
        if !processes.is_empty() || is_unsure {
            self.reports.report(job, Progress::Left { app, processes, is_unsure });
        }
    }

    /// Reads what the process that failed has printed, and tells the failure with it.
    pub(super) fn complete(&mut self, job: JobId, mut report: OperationReport, printer: Option<Printer>) {
        let OperationResult::Failed { instance, .. } = &report.result else { return };
        let (instance, sources) = (instance.clone(), self.sources(instance));
        let Some(printer) = printer.filter(|_| self.reports.is_watched(job) && !sources.is_empty()) else {
            return self.reports.report(job, Progress::Ended(report));
        };
        self.reports.reading(job);
        let (supervisor, reader) = (self.deps.supervisor.clone(), self.deps.reader.clone());
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            supervisor.drained(instance.clone()).await;
            let known = lifetime(&supervisor, &instance, printer).await;
            let mut lines = match known {
                Some(known) => read(&reader, sources.clone(), known).await,
                None => Vec::new(),
            };
            // The next process may have printed something while this was read.
            if let Some(later) = lifetime(&supervisor, &instance, printer).await.filter(|later| Some(*later) != known) {
                lines = read(&reader, sources, later).await;
            }
            if let OperationResult::Failed { last_lines, .. } = &mut report.result {
                last_lines.extend(lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()));
            }
            if let Some(inbox) = inbox.upgrade() {
                // A reconciler that is gone leaves with the daemon.
                let _ = inbox.send(Intent::Completed(job, report)).await;
            }
        });
    }

    fn sources(&self, instance: &InstanceId) -> Vec<Source> {
        let desired = self.current();
        let declared =
            desired.projects.get(&instance.app.project).and_then(|project| project.apps.get(&instance.app.name));
        let Some(declared) = declared else { return Vec::new() };
        let spec = &declared.spec;
        let source = |stream| Source {
            instance: instance.clone(),
            stream,
            location: log_location(&self.deps.home, instance, stream, &spec.logs, &spec.run),
        };
        vec![source(Stream::Stdout), source(Stream::Stderr)]
    }
}
