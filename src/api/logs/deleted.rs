//! Logs of apps that are deleted: listed, and removed on request. Logs of an app that is declared or lives are never touched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;

use super::super::Context;
use super::super::answer::{self, Answer, Failed};
use super::super::apps::{files, writing};
use crate::logs::{self, DeletedLogs};
use crate::model::{AppId, Desired, Live};
use crate::wire::{DeletedLogsAnswer, DeletedLogsRow, FORMAT, Problem, ProblemCode, RemoveLogsRequest};

pub(in crate::api) async fn list(State(context): State<Context>) -> Answer {
    Ok(answered(find(&context).await?, Vec::new()))
}

pub(in crate::api) async fn remove(State(context): State<Context>, body: Bytes) -> Answer {
    let RemoveLogsRequest { apps } = answer::read(&body)?;
    let found = find(&context).await?;
    let desired = context.reconciler.desired().await?;
    let chosen = if apps.is_empty() { found } else { choose(&apps, &found, &desired)? };
    let now = context.reconciler.desired_changes();
    let removed = context.read(move || logs::remove_deleted(chosen, |app| is_declared(&now.borrow(), app)));
    let (removed, troubles) = removed.await?;
    Ok(answered(removed, troubles))
}

async fn find(context: &Context) -> Result<Vec<DeletedLogs>, Failed> {
    let live = context.supervisor.live().await;
    let desired = context.reconciler.desired().await?;
    let folder = context.logs_folder.clone();
    // An app may have been told to write into the file of another one.
    let used = used_files(context, &desired, &live);
    let found = context.read(move || {
        let lives = |app: &AppId| live.instances.keys().any(|instance| instance.app == *app);
        let mut found = logs::deleted(&folder, |app| is_declared(&desired, app) || lives(app));
        found.retain(|one| one.files.iter().all(|file| !used.contains(file)));
        found
    });
    Ok(found.await?)
}

fn used_files(context: &Context, desired: &Arc<Desired>, live: &Live) -> BTreeSet<PathBuf> {
    let declared = desired.projects.iter().flat_map(|(project, content)| {
        let slots = content.apps.iter().map(|(app, declared)| (app, declared.instances().max(1)));
        slots.flat_map(move |(app, count)| {
            let id = AppId::new(project.clone(), app.clone());
            (0..count).map(move |slot| id.instance(slot))
        })
    });
    let all = declared.chain(live.instances.keys().cloned());
    let paths = all.filter_map(|instance| {
        let (policy, run) = writing(desired, live, &instance)?;
        Some(files(&context.logs_folder, &instance, policy, run))
    });
    paths.flat_map(|paths| [paths.stdout, paths.stderr]).flatten().collect()
}

fn is_declared(desired: &Desired, app: &AppId) -> bool {
    desired.projects.get(&app.project).is_some_and(|project| project.apps.contains_key(&app.name))
}

/// Those that the words name, each once.
fn choose(words: &[String], found: &[DeletedLogs], desired: &Desired) -> Result<Vec<DeletedLogs>, Problem> {
    let mut chosen: Vec<DeletedLogs> = Vec::new();
    for word in words {
        let is_meant = |app: &AppId| *word == app.to_string() || *word == app.name.as_str();
        let meant: Vec<&DeletedLogs> = found.iter().filter(|one| is_meant(&one.app)).collect();
        match meant.as_slice() {
            [one] => chosen.extend(Some(*one).filter(|one| !chosen.contains(one)).cloned()),
            [] => {
                let mut declared = desired.projects.iter().flat_map(|(project, content)| {
                    content.apps.keys().map(move |app| AppId::new(project.clone(), app.clone()))
                });
                let problem = match declared.find(|app| is_meant(app)) {
                    Some(app) => Problem::new(ProblemCode::Refused, format!("`{app}` is not deleted: its logs stay")),
                    None => Problem::new(ProblemCode::NoSuchApp, format!("no logs of a deleted app `{word}`")),
                };
                return Err(problem.hint("`pm clean` lists what can be removed"));
            }
            several => {
                let names = several.iter().map(|one| one.app.to_string()).collect();
                let problem = Problem::new(ProblemCode::Ambiguous, format!("`{word}` was in several projects"));
                return Err(problem.hint("name the project").details(names));
            }
        }
    }
    Ok(chosen)
}

fn answered(all: Vec<DeletedLogs>, troubles: Vec<String>) -> axum::response::Response {
    let row = |one: DeletedLogs| DeletedLogsRow {
        project: one.app.project,
        app: one.app.name,
        files: u32::try_from(one.files.len()).unwrap_or(u32::MAX),
        bytes: one.bytes,
        written: one.written,
    };
    answer::json(&DeletedLogsAnswer { format: FORMAT, apps: all.into_iter().map(row).collect(), troubles })
}
