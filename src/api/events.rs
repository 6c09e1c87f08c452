//! Events: the recorded ones, and new ones as a stream.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use tokio::sync::broadcast::{self, error::RecvError};

use super::Context;
use super::answer::{self, Answer, Failed};
use super::select::select;
use super::stream::Outlet;
use crate::events::EventQuery;
use crate::model::{AppName, Event, ProjectName, Subject, Target};
use crate::wire::{EventMessage, EventsAnswer, EventsQuery, FORMAT, Problem, ProblemCode, Query};

/// Events that one answer may hold.
const EVENTS_MAX: usize = 10_000;
/// The number of events in an answer by default.
const EVENTS_DEFAULT: usize = 100;

pub(super) async fn events(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let query = EventsQuery::from_query(&Query::parse(query.as_deref().unwrap_or_default()))?;
    let (filter, unknown) = filter(&context, &query).await?;
    let limit = query.limit.unwrap_or(EVENTS_DEFAULT).min(EVENTS_MAX);
    // Listening begins before history is read, so that nothing falls between the two.
    let bus = query.follow.then(|| context.events.subscribe());
    let past = history(&context, &filter, query.after, limit).await;
    // Neither declared nor in the journal: a typing error.
    if let Some(problem) = unknown.filter(|_| past.is_empty() && query.after.is_none() && limit > 0) {
        return Err(problem.into());
    }
    let Some(bus) = bus else {
        return Ok(answer::json(&EventsAnswer { format: FORMAT, events: past }));
    };
    let (outlet, response) = context.followers.open()?;
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&outlet, past, bus, &filter) => {}
            () = outlet.closed() => {}
        }
    });
    Ok(response)
}

/// Which events are wanted.
enum Filter {
    /// All of them.
    Everything,
    /// Those about these apps or copies, and what concerns them of their projects.
    About(Vec<Target>),
    /// Those about a whole project, what it has lost included.
    Project(ProjectName),
    /// Those about an app that is no longer declared.
    Gone(EventQuery),
}

impl Filter {
    fn wants(&self, event: &Event) -> bool {
        let about = &event.about;
        match self {
            Self::Everything => true,
            Self::About(targets) => targets.iter().any(|target| is_about(event, target)),
            Self::Project(project) => about.project() == Some(project),
            Self::Gone(query) => {
                about.app() == query.app.as_ref()
                    && query.project.as_ref().is_none_or(|project| about.project() == Some(project))
            }
        }
    }
}

fn is_about(event: &Event, target: &Target) -> bool {
    match &event.about {
        Subject::Daemon => false,
        Subject::Project(project) => *project == target.app.project && event.fact.concerns(&target.app.name),
        Subject::App(project, app) => *project == target.app.project && *app == target.app.name,
        Subject::Instance(id) => id.app == target.app && target.slot.is_none_or(|slot| slot == id.slot),
    }
}

/// The filter, and the problem with it if nothing passes it.
async fn filter(context: &Context, query: &EventsQuery) -> Result<(Filter, Option<Problem>), Failed> {
    let scope = &query.selection.scope;
    if query.selection.selectors.is_empty() && scope.project.is_none() {
        return Ok((Filter::Everything, None));
    }
    let desired = context.reconciler.desired().await?;
    if let Some(project) = scope.project.as_ref().filter(|name| desired.projects.contains_key(*name))
        && query.selection.selectors.is_empty()
    {
        return Ok((Filter::Project(project.clone()), None));
    }
    match select(&desired, &query.selection) {
        Ok(targets) => Ok((Filter::About(targets), None)),
        Err(problem) => match gone(query, &problem) {
            Some(filter) => Ok((filter, Some(problem))),
            None => Err(problem.into()),
        },
    }
}

/// The journal may still know an app that is deleted.
fn gone(query: &EventsQuery, problem: &Problem) -> Option<Filter> {
    let [selector] = query.selection.selectors.as_slice() else { return None };
    if problem.code != ProblemCode::NoSuchApp {
        return None;
    }
    let (project, app) = match selector.split_once(':') {
        Some((project, app)) => (Some(project.parse().ok()?), app),
        None => (query.selection.scope.project.clone(), selector.as_str()),
    };
    let app = AppName::new(app.split('/').next().unwrap_or(app)).ok()?;
    Some(Filter::Gone(EventQuery { project, app: Some(app), ..EventQuery::default() }))
}

async fn history(context: &Context, filter: &Filter, after: Option<u64>, limit: usize) -> Vec<Event> {
    let query = match filter {
        Filter::Everything => EventQuery { after, limit, ..EventQuery::default() },
        Filter::Gone(query) => EventQuery { after, limit, ..query.clone() },
        Filter::Project(project) => EventQuery { project: Some(project.clone()), app: None, after, limit },
        Filter::About(targets) => {
            let mut projects: Vec<_> = targets.iter().map(|target| &target.app.project).collect();
            projects.dedup();
            let project = if let [one] = projects.as_slice() { Some((*one).clone()) } else { None };
            EventQuery { project, app: None, after, limit: EVENTS_MAX }
        }
    };
    let mut events = context.events.history(query).await;
    events.retain(|event| filter.wants(event));
    events.drain(..events.len().saturating_sub(limit));
    events
}

async fn follow(outlet: &Outlet, past: Vec<Event>, mut bus: broadcast::Receiver<Arc<Event>>, filter: &Filter) {
    let mut last = 0;
    for event in past {
        last = event.seq;
        if !outlet.send(&EventMessage::Event { event: Box::new(event) }).await {
            return;
        }
    }
    loop {
        let message = match bus.recv().await {
            // What was only passed on has no number.
            Ok(event) if event.seq <= last && event.seq > 0 || !filter.wants(&event) => continue,
            Ok(event) => EventMessage::Event { event: Box::new(Event::clone(&event)) },
            Err(RecvError::Lagged(count)) => EventMessage::Missed { count },
            Err(RecvError::Closed) => return,
        };
        if !outlet.send(&message).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, Cause, Fact, InstanceId, VerbKind, WallTime};

    fn event(about: Subject, fact: Fact) -> Event {
        Event { seq: 1, at: WallTime(0), about, fact }
    }

    fn accepted(apps: &[&str], others: &[&str]) -> Event {
        let names = |names: &[&str]| names.iter().map(|app| app.parse().unwrap()).collect();
        let changes = [(VerbKind::Rename, names(apps))].into();
        let fact = Fact::Accepted { cause: Cause::Boot, generation: 1, changes, other_apps: names(others) };
        event(Subject::Project("shop".parse().unwrap()), fact)
    }

    #[test]
    fn an_app_is_told_what_its_project_did_with_it_and_not_what_it_did_with_others() {
        let app: AppId = "shop:q".parse().unwrap();
        let about_q = Filter::About(vec![Target { app, slot: None }]);
        let whole = Filter::Project("shop".parse().unwrap());
        let of = |id: &str| {
            event(
                Subject::Instance(id.parse::<InstanceId>().unwrap()),
                Fact::Stopped { left: Vec::new(), is_unsure: false },
            )
        };
        for (told, is_of_q, is_of_project) in [
            (accepted(&["q"], &[]), true, true),
            (accepted(&["svc"], &[]), false, true),
            (accepted(&["svc"], &["q"]), true, true),
            (of("shop:q/0"), true, true),
            (of("shop:gone/0"), false, true),
            (of("blog:q/0"), false, false),
        ] {
            assert_eq!((about_q.wants(&told), whole.wants(&told)), (is_of_q, is_of_project), "{told:?}");
        }
    }
}
