//! The live state next to the desired one: list, details, projects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use axum::extract::{RawQuery, State};

use super::Context;
use super::answer::{self, Answer};
use super::rows::{Pair, with_forgotten};
use super::select::{existing, select};
use crate::model::{AppId, Cause, Declared, Desired, InstanceId, Live, LogPolicy, Project, ProjectName, Run, Stream};
use crate::os;
use crate::rules;
use crate::supervisor::log_path;
use crate::wire::{
    BriefAnswer, DescribeAnswer, DescribedApp, FORMAT, ListAnswer, LogFiles, ProjectRow, ProjectsAnswer, Query, Row,
    Selection,
};

pub(super) async fn list(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let selection = Selection::from_query(&query)?;
    let live = context.supervisor.live_with_sockets().await;
    let desired = with_forgotten(context.reconciler.desired().await?, &live);
    let facts = context.scene_facts(&desired);
    let scene = facts.scene(&desired, &live, (os::now(), os::wall()));
    let is_everything = selection.selectors.is_empty() && selection.scope.project.is_none();
    let pairs = if is_everything {
        scene.everything()
    } else {
        scene.selected(&existing(select(&desired, &selection)?, &desired, &live)?)
    };
    let warnings = context.warnings.take();
    let used = context.usage.of(&live, &context.reader);
    if query.flag("brief") {
        let apps = pairs.iter().map(|pair| pair.brief(&scene, &used)).collect();
        return Ok(answer::json(&BriefAnswer { format: FORMAT, apps, warnings }));
    }
    let row = |pair: &Pair<'_>| {
        let app = AppId::new(pair.project.clone(), pair.app.clone());
        pair.row(&scene, why_started(&context, &app, pair).as_ref(), &used)
    };
    let apps = pairs.iter().map(row).collect();
    Ok(answer::json(&ListAnswer { format: FORMAT, now: scene.wall, apps, warnings }))
}

pub(super) async fn describe(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let selection = Selection::from_query(&Query::parse(query.as_deref().unwrap_or_default()))?;
    let live = context.supervisor.live_with_sockets().await;
    let desired = with_forgotten(context.reconciler.desired().await?, &live);
    let facts = context.scene_facts(&desired);
    let scene = facts.scene(&desired, &live, (os::now(), os::wall()));
    let used = context.usage.of(&live, &context.reader);
    let mut apps: Vec<DescribedApp> = Vec::new();
    for target in existing(select(&desired, &selection)?, &desired, &live)? {
        let Some(declared) = scene.declared(&target.app) else { continue };
        let Some(project) = desired.projects.get(&target.app.project) else { continue };
        let pairs = scene.of_app(&target.app);
        let chosen = pairs.iter().filter(|pair| target.slot.is_none_or(|slot| pair.slot == Some(slot)));
        let chosen: Vec<_> = chosen.map(|pair| (pair, why_started(&context, &target.app, pair))).collect();
        let instances: Vec<Row> = chosen.iter().map(|(pair, cause)| pair.row(&scene, cause.as_ref(), &used)).collect();
        let logs = instances.iter().filter_map(|row| row.slot).filter_map(|slot| {
            let instance = target.app.instance(slot);
            let (policy, run) = writing(&desired, &live, &instance)?;
            Some(files(&context.logs_folder, &instance, policy, run))
        });
        apps.push(DescribedApp {
            desired_state: declared.desired_state.clone(),
            // Of what is lost no number was ever set.
            scaled: declared.scaled.filter(|_| !declared.spec.is_spec_lost()),
            pinned_to: declared.pin.map(|pin| pin.generation),
            files: project.origin.files.clone(),
            profile: project.origin.profile.clone(),
            outdated_slots: outdated(&target.app, declared, &live),
            missing_limits: context.supervisor.missing_limits(&declared.spec.run.limits).unwrap_or_default(),
            logs: logs.collect(),
            instances,
            spec: declared.spec.shown(),
        });
    }
    Ok(answer::json(&DescribeAnswer { format: FORMAT, now: scene.wall, apps }))
}

pub(super) async fn projects(State(context): State<Context>) -> Answer {
    let desired = context.reconciler.desired().await?;
    let live = context.supervisor.live().await;
    let row = |(name, project): (&ProjectName, &Project)| {
        let alive = |id: &InstanceId| id.app.project == *name;
        let running = live.instances.iter().filter(|(id, instance)| alive(id) && instance.phase.is_alive()).count();
        ProjectRow {
            project: name.clone(),
            generation: project.generation,
            folder: project.origin.folder.clone(),
            files: project.origin.files.clone(),
            profile: project.origin.profile.clone(),
            apps: u32::try_from(project.apps.len()).unwrap_or(u32::MAX),
            running: u32::try_from(running).unwrap_or(u32::MAX),
            wanted: project.apps.values().map(wanted).sum(),
        }
    };
    Ok(answer::json(&ProjectsAnswer { format: FORMAT, projects: desired.projects.iter().map(row).collect() }))
}

fn wanted(declared: &Declared) -> u32 {
    let slots = (0..declared.instances()).filter(|slot| declared.should_run(*slot));
    u32::try_from(slots.count()).unwrap_or(u32::MAX)
}

/// Slots whose process runs another spec than the declared one: a value waits for the next start.
fn outdated(id: &AppId, declared: &Declared, live: &Live) -> Vec<u32> {
    let of_app = live.instances.iter().filter(|(instance, _)| instance.app == *id);
    let old = of_app.filter(|(_, live)| live.phase.is_alive() && !rules::can_follow(&live.spec, &declared.spec));
    old.map(|(instance, _)| instance.slot).collect()
}

fn why_started(context: &Context, app: &AppId, pair: &Pair<'_>) -> Option<Cause> {
    // Of both processes of a slot it is told under the same name.
    context.events.why_started(&app.instance(pair.slot?), pair.incarnation())
}

/// By what the output of a copy is written: the policy that is declared, and the port that its process was started with.
pub(super) fn writing<'a>(
    desired: &'a Desired,
    live: &'a Live,
    instance: &InstanceId,
) -> Option<(&'a LogPolicy, &'a Run)> {
    let declared = || desired.projects.get(&instance.app.project)?.apps.get(&instance.app.name);
    let (declared, live) = (declared().map(|app| &*app.spec), live.instances.get(instance).map(|live| &*live.spec));
    Some((&declared.or(live)?.logs, &live.or(declared)?.run))
}

/// Where the output of one copy goes.
pub(super) fn files(folder: &Path, instance: &InstanceId, policy: &LogPolicy, run: &Run) -> LogFiles {
    let path = |stream| (!policy.disable_logs).then(|| log_path(folder, instance, stream, policy, run));
    let named = [Stream::Stdout, Stream::Stderr].into_iter().flat_map(|stream| policy.exported_files(stream));
    let named = named.map(|file| PathBuf::from(file.fill(instance.slot, run.port)));
    let written = if policy.disable_logs { BTreeSet::new() } else { named.collect::<BTreeSet<_>>() };
    let (stdout, stderr) = (path(Stream::Stdout), path(Stream::Stderr));
    LogFiles { slot: instance.slot, stdout, stderr, written: written.into_iter().collect() }
}
