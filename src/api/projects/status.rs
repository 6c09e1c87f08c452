//! `GET /v1/status`: how each project stands, derived anew from what is declared and what is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{RawQuery, State};

use super::history::newest_row;
use crate::api::Context;
use crate::api::answer::{self, Answer};
use crate::api::rows::{Pair, Scene, UsedBy, with_forgotten};
use crate::api::select::no_project;
use crate::model::{App, Live, LiveInstance, Project, ProjectName, WallTime};
use crate::os;
use crate::rules::{self, CopyFacts};
use crate::wire::{FORMAT, PinRow, Problem, ProblemCode, Query, StatusAnswer, StatusRow};

/// How long the files of all processes may take to be looked at.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// When files were changed last.
type ChangeTimes = BTreeMap<PathBuf, WallTime>;

pub(in crate::api) async fn status(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let wanted = names(&query)?;
    let live = context.supervisor.live_with_sockets().await;
    let desired = with_forgotten(context.reconciler.desired().await?, &live);
    if let Some(unknown) = wanted.iter().find(|name| !desired.projects.contains_key(*name)) {
        return Err(no_project(unknown.as_str()).into());
    }
    let is_wanted = |name: &ProjectName| wanted.is_empty() || wanted.contains(name);
    let changed = changed(&context, files_of(&live, &is_wanted)).await;
    let facts = context.scene_facts(&desired);
    let scene = facts.scene(&desired, &live, (os::now(), os::wall()));
    let used = context.usage.of(&live, &context.reader);
    let pairs = scene.everything();
    let rows = desired.projects.iter().filter(|(name, _)| is_wanted(name));
    let known = ChangeTimes::new();
    let rows = rows.map(|(name, project)| {
        let own = pairs.iter().filter(|pair| pair.project == name);
        row(&scene, (name, project), own, (&used, changed.as_ref().unwrap_or(&known)))
    });
    let projects = rows.collect();
    let mut warnings = context.warnings.take();
    if changed.is_none() {
        warnings.push("the files of the processes could not be looked at: whether they changed is not known".into());
    }
    Ok(answer::json(&StatusAnswer { format: FORMAT, now: scene.wall, projects, warnings }))
}

fn names(query: &Query) -> Result<Vec<ProjectName>, Problem> {
    let wrong = |text: &str| Problem::new(ProblemCode::BadRequest, format!("`{text}` is not a project name"));
    query.texts("project").map(|text| text.parse().map_err(|_| wrong(text))).collect()
}

fn row<'a>(
    scene: &Scene<'a>,
    (name, project): (&ProjectName, &Project),
    pairs: impl Iterator<Item = &'a Pair<'a>>,
    (used, changed): (&UsedBy, &ChangeTimes),
) -> StatusRow {
    let copies: Vec<CopyFacts<'_>> = pairs
        .map(|pair| {
            let copy = pair.copy(scene, used);
            CopyFacts { stale: copy.live.and_then(|live| stale(live, changed)), ..copy }
        })
        .collect();
    let pins = project.apps.iter().filter_map(|(app, declared)| Some((app, declared.pin?)));
    StatusRow {
        project: name.clone(),
        generation: project.generation,
        state: rules::project_state(Some(project), &copies),
        last_change: newest_row(project),
        pins: pins.map(|(app, pin)| PinRow { app: app.clone(), generation: pin.generation }).collect(),
    }
}

/// The newest file that was changed after this process was started from it.
fn stale(live: &LiveInstance, changed: &ChangeTimes) -> Option<(PathBuf, WallTime)> {
    let started = live.started.filter(|_| live.phase.is_alive())?;
    let files = files(&live.spec).filter_map(|path| Some((path, *changed.get(path)?)));
    let newest = files.filter(|(_, at)| *at > started).max_by_key(|(_, at)| *at);
    newest.map(|(path, at)| (path.to_owned(), at))
}

/// The files that a process is started from, as far as its spec names them.
fn files(spec: &App) -> impl Iterator<Item = &Path> {
    let script = spec.run.script.as_deref().map(Path::new).filter(|script| script.is_absolute());
    script.into_iter().chain(spec.run.restart_on.keys().map(PathBuf::as_path))
}

fn files_of(live: &Live, is_wanted: &dyn Fn(&ProjectName) -> bool) -> BTreeSet<PathBuf> {
    let meant = live.instances.iter().filter(|(id, live)| is_wanted(&id.app.project) && live.phase.is_alive());
    meant.flat_map(|(_, live)| files(&live.spec)).map(Path::to_owned).collect()
}

/// Looks at each file once; `None` if that takes too long, or too many wait for the disk.
async fn changed(context: &Context, files: BTreeSet<PathBuf>) -> Option<ChangeTimes> {
    if files.is_empty() {
        return Some(ChangeTimes::new());
    }
    let look = move || {
        let seen = files.into_iter().filter_map(|path| Some((os::stamp(&path)?.modified, path)));
        seen.filter_map(|(nanos, path)| Some((path, WallTime(u64::try_from(nanos / 1_000_000).ok()?)))).collect()
    };
    tokio::time::timeout(LOOK_TIMEOUT, context.read(look)).await.ok()?.ok()
}
