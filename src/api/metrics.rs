//! The metrics of an app: asks its workers, merges what they answer, and keeps what has to outlive them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{RawQuery, State};

use super::Context;
use super::answer::{self, Answer};
use super::select::{existing, select};
use crate::metrics::{KeptMetrics, SERIES_MAX, exposition, read_answer};
use crate::model::{AppId, Desired, Digest, Target};
use crate::os;
use crate::supervisor::{MetricsReport, MetricsReports, NoReport};
use crate::wire::{FORMAT, MetricsAnswer, NotMeasured, Problem, ProblemCode, Query, Selection};

/// So much may be kept of one app.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// Where counters are kept that outlive their workers, one file per app.
#[derive(Clone, Debug)]
pub struct MetricsFolder {
    path: PathBuf,
    /// One at a time: who reads, adds and writes must be alone.
    turn: Arc<Mutex<()>>,
}

impl MetricsFolder {
    /// The one in this folder.
    pub fn new(path: PathBuf) -> Self {
        Self { path, turn: Arc::default() }
    }

    fn file_name(app: &AppId) -> String {
        format!("{:016x}.json", Digest::of(app.to_string().as_bytes()).number())
    }

    fn read(&self, app: &AppId) -> io::Result<KeptMetrics> {
        match os::read_limited(&self.path.join(Self::file_name(app)), KEPT_BYTES_MAX) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeptMetrics::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, app: &AppId, kept: &KeptMetrics) -> io::Result<()> {
        os::create_private_folder(&self.path)?;
        os::write_whole(&self.path.join(Self::file_name(app)), &serde_json::to_vec(kept)?, 0o600)
    }

    /// Removes what was kept of apps that are declared no more.
    fn clean(&self, declared: &BTreeSet<String>) {
        for name in os::file_names(&self.path).unwrap_or_default() {
            if !name.to_str().is_some_and(|name| declared.contains(name)) {
                // It is tried again at the next question.
                let _ = os::remove_if_there(&self.path.join(Path::new(&name)));
            }
        }
    }
}

/// The metrics of the selected app.
pub(super) async fn metrics(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let desired = context.reconciler.desired().await?;
    let live = context.supervisor.live().await;
    let targets = existing(select(&desired, &Selection::from_query(&query)?)?, &desired, &live)?;
    let app = selected(&desired, &targets)?;
    let reports = context.supervisor.metrics(app.clone()).await;
    if reports.living.is_empty() {
        let message = format!("no process of `{app}` is running, so nobody reports metrics");
        return Err(Problem::new(ProblemCode::Refused, message).hint(format!("`pm start {app}` starts it")).into());
    }
    let projects = desired.projects.iter();
    let declared = projects
        .flat_map(|(project, of)| of.apps.keys().map(|name| AppId::new(project.clone(), name.clone())))
        .map(|app| MetricsFolder::file_name(&app))
        .collect();
    let folder = context.metrics.clone();
    let answer = context
        .read(move || {
            let _alone = folder.turn.lock().unwrap_or_else(PoisonError::into_inner);
            folder.clean(&declared);
            gather(&folder, app, reports)
        })
        .await?;
    Ok(answer::json(&answer))
}

/// The one app that is meant.
fn selected(desired: &Desired, targets: &[Target]) -> Result<AppId, Problem> {
    let [target] = targets else {
        return Err(Problem::new(ProblemCode::Ambiguous, "select one app: each has metrics of its own")
            .details(targets.iter().map(|target| target.app.to_string()).collect()));
    };
    let app = &target.app;
    if target.slot.is_some() {
        let problem = Problem::new(ProblemCode::Usage, "metrics are those of all workers together");
        return Err(problem.hint(format!("`pm metrics {app}`")));
    }
    let declared = desired.projects.get(&app.project).and_then(|project| project.apps.get(&app.name));
    if declared.is_some_and(|declared| declared.spec.is_cluster()) {
        return Ok(app.clone());
    }
    let message = format!("`{app}` is not a cluster; only workers of a cluster are asked for their metrics");
    Err(Problem::new(ProblemCode::Usage, message)
        .hint("`exec_mode = \"cluster\"` makes it one; without it, scrape the app's own address"))
}

fn gather(folder: &MetricsFolder, app: AppId, reports: MetricsReports) -> MetricsAnswer {
    let (mut answered, mut starting, mut failed, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut kept = folder.read(&app).unwrap_or_else(|error| {
        notes.push(format!("the counters of workers that are gone cannot be read, so they begin anew: {error}"));
        KeptMetrics::default()
    });
    let living = reports.living.iter().map(|report| report.process.clone()).collect();
    let mut answers = Vec::new();
    for MetricsReport { instance, process, line } in reports.living {
        let read = match line {
            Ok(line) => read_answer(&line).map_err(|why| why.to_string()),
            Err(NoReport::Starting) => {
                starting.push(instance);
                continue;
            }
            Err(NoReport::Leaving) => continue,
            Err(why) => Err(why.to_string()),
        };
        match read {
            Ok(metrics) => {
                answers.push((process, metrics));
                answered.push(instance);
            }
            Err(why) => failed.push(NotMeasured { instance, why }),
        }
    }
    // What nobody can read was said by somebody who is gone.
    let parted = reports.parted.into_iter().filter_map(|(process, line)| Some((process, read_answer(&line).ok()?)));
    answers.extend(parted);
    let before = kept.clone();
    let gathered = kept.gather(&answers, &living);
    if kept != before
        && let Err(error) = folder.write(&app, &kept)
    {
        notes.push(format!("the counters cannot be kept for when a worker is gone: {error}"));
    }
    if gathered.skipped > 0 {
        notes.push(format!("{} series are left out: more than {SERIES_MAX} are not shown", gathered.skipped));
    }
    let (exposition, left_out) = exposition(&gathered.metrics);
    notes.extend(left_out.into_iter().map(|what| format!("left out: {what}")));
    MetricsAnswer { format: FORMAT, app, answered, starting, failed, notes, exposition }
}
