//! The history of a project: listed, shown, compared, tagged; and the rollback.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};

use crate::api::Context;
use crate::api::answer::{self, Answer};
use crate::api::caller::Caller;
use crate::api::change::told;
use crate::api::select::one_project;
use crate::model::{
    AppEntry, AppName, AppOutcome, DeclaredThen, Environment, HistoryEntry, Project, ProjectName, Revision,
};
use crate::os;
use crate::plan;
use crate::wire::{
    AppDifference, FORMAT, HistoryAnswer, HistoryApp, HistoryDifference, HistoryEntryAnswer, HistoryRow, Problem,
    ProblemCode, Query, RollbackAnswer, RollbackRequest, Selection, TagRequest,
};

pub(in crate::api) async fn list(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let scope = Selection::from_query(&Query::parse(query.as_deref().unwrap_or_default()))?.scope;
    let desired = context.reconciler.desired().await?;
    let (name, project) = one_project(&desired, &scope)?;
    Ok(answer::json(&HistoryAnswer {
        format: FORMAT,
        now: os::wall(),
        project: name.clone(),
        generation: project.generation,
        entries: rows(project),
    }))
}

pub(in crate::api) async fn entry(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let scope = Selection::from_query(&query)?.scope;
    let named = query.text("entry").unwrap_or_default().to_owned();
    let desired = context.reconciler.desired().await?;
    let (name, project) = one_project(&desired, &scope)?;
    let then = context.reconciler.revisions(name.clone(), named).await?;
    let difference = match query.text("against") {
        Some(other) => {
            let other = context.reconciler.revisions(name.clone(), other.to_owned()).await?;
            Some(difference(other.generation, &other.revisions, &then.revisions))
        }
        None => None,
    };
    let entry = rows(project).into_iter().find(|row| row.generation == then.generation);
    let Some(entry) = entry else { return Err(forgotten(name, then.generation).into()) };
    let outcomes = project.history.declared_at(then.generation);
    let app = |(app, revision): (AppName, Option<Revision>)| HistoryApp {
        outcome: outcomes.get(&app).map_or(AppOutcome::Pending, |entry| entry.outcome),
        spec: revision.map(|revision| revision.spec.shown()),
        app,
    };
    let apps = then.revisions.into_iter().map(app).collect();
    let (project, now) = (name.clone(), os::wall());
    Ok(answer::json(&HistoryEntryAnswer { format: FORMAT, now, project, entry, apps, difference }))
}

pub(in crate::api) async fn tag(State(context): State<Context>, body: Bytes) -> Answer {
    let TagRequest { scope, entry, tag } = answer::read(&body)?;
    let desired = context.reconciler.desired().await?;
    let (name, _) = one_project(&desired, &scope)?;
    let generation = context.reconciler.tag(name.clone(), entry, tag).await?;
    let desired = context.reconciler.desired().await?;
    let (name, project) = one_project(&desired, &scope)?;
    let mut entries = rows(project);
    entries.retain(|row| row.generation == generation);
    let (project, generation) = (name.clone(), project.generation);
    Ok(answer::json(&HistoryAnswer { format: FORMAT, now: os::wall(), project, generation, entries }))
}

pub(in crate::api) async fn plan_rollback(State(context): State<Context>, body: Bytes) -> Answer {
    let RollbackRequest { scope, options } = answer::read(&body)?;
    let desired = context.reconciler.desired().await?;
    let (name, _) = one_project(&desired, &scope)?;
    let planned = context.reconciler.plan_rollback(name.clone(), options).await?;
    let (to, digest, refusals) = (planned.generation, planned.plan.digest(), planned.refusals);
    Ok(answer::json(&RollbackAnswer { format: FORMAT, to, digest, plan: planned.plan, refusals }))
}

pub(in crate::api) async fn roll_back(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let RollbackRequest { scope, options } = answer::read(&body)?;
    let desired = context.reconciler.desired().await?;
    let (name, _) = one_project(&desired, &scope)?;
    let (outlet, response) = context.followers.open_change()?;
    let accepted = context.reconciler.roll_back(name.clone(), options, caller.actor()).await?;
    Ok(told(outlet, response, vec![accepted], context.warnings.take(), None))
}

fn forgotten(project: &ProjectName, generation: u64) -> Problem {
    Problem::new(ProblemCode::Usage, format!("generation {generation} of `{project}` has just left the history"))
}

/// The last change that has an entry.
pub(super) fn newest_row(project: &Project) -> Option<HistoryRow> {
    rows(project).into_iter().next()
}

/// All entries, the newest first.
fn rows(project: &Project) -> Vec<HistoryRow> {
    let mut declared = DeclaredThen::new();
    let mut rows = Vec::with_capacity(project.history.entries().len());
    for entry in project.history.entries() {
        let before = declared.clone();
        entry.add_to(&mut declared);
        rows.push(row(entry, &before, &declared, project));
    }
    rows.reverse();
    rows
}

fn row(entry: &HistoryEntry, before: &DeclaredThen, then: &DeclaredThen, project: &Project) -> HistoryRow {
    let named = |is_meant: &dyn Fn(&AppName, &AppEntry) -> bool| -> Vec<AppName> {
        entry.apps.iter().filter(|(app, change)| is_meant(app, change)).map(|(app, _)| app.clone()).collect()
    };
    HistoryRow {
        generation: entry.generation,
        at: entry.at,
        by: entry.by.clone(),
        origin: entry.origin.clone(),
        tag: entry.tag.clone(),
        provenance: entry.provenance.clone(),
        result: entry.result,
        is_healthy: then.values().all(|change| change.outcome.is_good()),
        is_current: plan::is_as_then(project, then),
        added: named(&|app, change| change.revision.is_some() && !before.contains_key(app)),
        changed: named(&|app, change| change.revision.is_some() && before.contains_key(app)),
        removed: named(&|_, change| change.revision.is_none()),
        failed: named(&|_, change| change.outcome == AppOutcome::Failed),
        apps: u32::try_from(then.len()).unwrap_or(u32::MAX),
    }
}

/// From the one to the other.
fn difference(
    from: u64,
    old: &BTreeMap<AppName, Option<Revision>>,
    new: &BTreeMap<AppName, Option<Revision>>,
) -> HistoryDifference {
    let only_in = |one: &BTreeMap<AppName, Option<Revision>>, other: &BTreeMap<AppName, Option<Revision>>| {
        one.keys().filter(|app| !other.contains_key(*app)).cloned().collect()
    };
    let changed = |(app, new): (&AppName, &Option<Revision>)| {
        let (old, new) = (old.get(app)?.as_ref()?, new.as_ref()?);
        let fields = plan::spec_difference(&old.spec, &new.spec);
        let shell = differing(&old.base, &new.base);
        let is_other = !fields.is_empty() || !shell.is_empty();
        is_other.then(|| AppDifference { app: app.clone(), fields, shell })
    };
    HistoryDifference {
        from,
        added: only_in(new, old),
        removed: only_in(old, new),
        changed: new.iter().filter_map(changed).collect(),
    }
}

/// Names of variables that are not the same in both.
fn differing(old: &Environment, new: &Environment) -> Vec<String> {
    let added = new.keys().filter(|name| !old.contains_key(*name));
    let mut names: Vec<String> =
        old.keys().chain(added).filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
    names.sort_unstable();
    names
}
