//! Lines of output: the existing ones, and new ones as a stream.

pub(super) mod deleted;
mod sharing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::Context;
use super::answer::{self, Answer, Failed};
use super::apps::{files, writing};
use super::rows::{SceneFacts, with_forgotten};
use super::select::{existing, select_own};
use super::stream::Outlet;
use crate::logs::{self, Follower, Line, LineFilter, LineWords, Location, LogQuery, Older, Reading, Sieve, Source};
use crate::model::{AppId, AppName, Desired, Event, Fact, InstanceId, ProjectName, Stream, Subject, WallTime};
use crate::os;
use crate::wire::{FORMAT, LogLine, LogMessage, LogsAnswer, LogsFilter, LogsQuery, Problem, ProblemCode, Query};
use sharing::SharedFiles;

/// Lines of one app that one answer may hold.
const LINES_MAX: usize = 10_000;
/// The number of lines by default, as in PM2.
const LINES_DEFAULT: usize = 15;
/// Log files that one follower may keep open, where the limit of open files allows it.
const SOURCES_MAX: usize = 4096;
/// A line without its end is shown after this.
const HOLD: Duration = Duration::from_millis(200);

pub(super) async fn logs(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer {
    let began = os::wall();
    let query = LogsQuery::from_query(&Query::parse(query.as_deref().unwrap_or_default()))?;
    let sources = sources(&context, &query).await?;
    let shared = SharedFiles::of(&context, &sources).await?;
    let filter = filter(&query.filter)?;
    let is_by_content = query.since.is_some() || query.until.is_some() || query.previous || filter.is_some();
    let default = if is_by_content { LINES_MAX } else { LINES_DEFAULT };
    let lines = query.lines.unwrap_or(default).min(LINES_MAX);
    let wanted = LogQuery { lines, since: query.since, until: query.until, is_previous: query.previous };
    let has_all = query.lines.map_or(!is_by_content, |lines| lines <= LINES_MAX);
    // Dropped with this request: who does not wait for the answer any more needs no search.
    let (_guard, stop) = StopGuard::new();
    if !query.follow {
        let count = sources.len();
        let read = move || match &filter {
            Some(filter) => logs::search(&sources, &wanted, filter, &stop),
            None => logs::read(&sources, &wanted),
        };
        let reading = readable(context.read(read).await?, count)?;
        if reading.is_of_no_process && reading.unread.is_empty() {
            let message = "there is no output of an earlier process in these logs";
            return Err(Problem::new(ProblemCode::NoSuchProcess, message).into());
        }
        let left_out = left_out(&reading, has_all);
        let lines = reading.lines.into_iter().map(|line| shown(line, &shared)).collect();
        return Ok(answer::json(&LogsAnswer { format: FORMAT, lines, unread: reading.unread, left_out }));
    }
    let (outlet, response) = context.followers.open()?;
    let files = context.followers.files(sources.len())?;
    let (first, searched) = (sources.clone(), filter.clone());
    let read = move || match &searched {
        Some(filter) => logs::search_and_follow(&first, &wanted, filter, &stop),
        None => logs::follow(&first, &wanted),
    };
    let (reading, follower) = context.read(read).await?;
    let reading = readable(reading, sources.len())?;
    let (events, pending) = (context.events.subscribe(), VecDeque::new());
    if let Some(why) = left_out(&reading, has_all) {
        outlet.send(&LogMessage::LeftOut { why }).await;
    }
    let sieves = filter.map(Sieves::new);
    let follower = Some(follower);
    let following = Subscription { context, query, began, sources, shared, follower, sieves, files, events, pending };
    tokio::spawn(async move {
        tokio::select! {
            () = following.run(&outlet, reading) => {}
            () = outlet.closed() => {}
        }
    });
    Ok(response)
}

/// What is wanted of the lines, compiled; `None`: every line.
fn filter(words: &LogsFilter) -> Result<Option<LineFilter>, Problem> {
    let LogsFilter { pattern, ignores_case, is_inverted, level, fields, around } = words.clone();
    LineFilter::new(&LineWords { pattern, ignores_case, is_inverted, level, fields, around })
        .map_err(|error| Problem::new(ProblemCode::Usage, error.to_string()))
}

/// Ends a search when it is dropped.
struct StopGuard(Arc<AtomicBool>);

impl StopGuard {
    fn new() -> (Self, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        (Self(stop.clone()), stop)
    }
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The filter of a stream, and what it keeps of each log: the lines before.
struct Sieves {
    filter: LineFilter,
    of_log: BTreeMap<(InstanceId, Stream), Sieve>,
}

impl Sieves {
    fn new(filter: LineFilter) -> Self {
        Self { filter, of_log: BTreeMap::new() }
    }

    fn pass(&mut self, lines: Vec<Line>) -> Vec<Line> {
        let mut passed = Vec::new();
        for Line { at, instance, stream, text } in lines {
            let sieve = self.of_log.entry((instance.clone(), stream)).or_default();
            sieve.pass(&self.filter, at, text, |at, text| {
                passed.push(Line { at, instance: instance.clone(), stream, text });
            });
        }
        passed
    }
}

/// The log files of the selected copies, each file once. Of lines with the same time those of the first file are shown
/// first: what was printed before what was complained about.
async fn sources(context: &Context, query: &LogsQuery) -> Result<Vec<Source>, Failed> {
    let live = context.supervisor.live().await;
    let desired = with_forgotten(context.reconciler.desired().await?, &live);
    let targets = match select_own(&desired, &query.selection) {
        Ok(targets) => existing(targets, &desired, &live)?,
        Err(problem) => return left_behind(context, query, &desired).await?.ok_or_else(|| problem.into()),
    };
    let facts = SceneFacts::default();
    let scene = facts.scene(&desired, &live, (os::now(), os::wall()));
    let (mut sources, mut paths_seen) = (Vec::new(), BTreeSet::new());
    for pair in scene.selected(&targets) {
        let Some(slot) = pair.slot else { continue };
        let instance = AppId::new(pair.project.clone(), pair.app.clone()).instance(slot);
        let Some((policy, run)) = writing(&desired, &live, &instance) else { continue };
        let paths = files(&context.logs_folder, &instance, policy, run);
        for (stream, path) in [(Stream::Stdout, paths.stdout), (Stream::Stderr, paths.stderr)] {
            let is_wanted = query.stream.is_none_or(|wanted| wanted == stream);
            let is_kept = |path: &PathBuf| path.as_path() != Path::new("/dev/null");
            if let Some(path) = path.filter(is_kept).filter(|_| is_wanted && sources.len() < SOURCES_MAX)
                && paths_seen.insert(path.clone())
            {
                let location = Location::of(path, stream, policy, run);
                sources.push(Source { instance: instance.clone(), stream, location });
            }
        }
    }
    Ok(sources)
}

/// Logs of apps that are deleted: the default files stay where they are. None if a selector names no such app.
async fn left_behind(context: &Context, query: &LogsQuery, desired: &Desired) -> Result<Option<Vec<Source>>, Failed> {
    let mut wanted = Vec::new();
    for selector in &query.selection.selectors {
        let (project, rest) = match selector.split_once(':') {
            Some((project, rest)) => (ProjectName::new(project).ok(), rest),
            None => (query.selection.scope.project.clone(), selector.as_str()),
        };
        let (name, slot) = rest.split_once('/').map_or((rest, None), |(name, slot)| (name, Some(slot)));
        let Ok(name) = AppName::new(name) else { return Ok(None) };
        let is_declared = |project: &ProjectName| {
            desired.projects.get(project).is_some_and(|project| project.apps.contains_key(&name))
        };
        if desired
            .projects
            .keys()
            .any(|known| project.as_ref().is_none_or(|project| project == known) && is_declared(known))
        {
            return Ok(None); // The problem is another one.
        }
        let Ok(slot) = slot.map(str::parse::<u32>).transpose() else { return Ok(None) };
        wanted.push((project, name, slot));
    }
    let (folder, stream) = (context.logs_folder.clone(), query.stream);
    let found = context.read(move || {
        let each = wanted.iter().map(|(project, name, slot)| logs::left_behind(&folder, project.as_ref(), name, *slot));
        each.collect::<Vec<_>>()
    });
    let found = found.await?;
    if found.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let is_wanted = |source: &Source| stream.is_none_or(|wanted| wanted == source.stream);
    Ok(Some(found.into_iter().flatten().filter(is_wanted).take(SOURCES_MAX).collect()))
}

/// What to say about older lines that are not in an answer; `has_all`: as many as were asked for may be.
fn left_out(reading: &Reading, has_all: bool) -> Option<String> {
    let is_short = reading.older == Older::Bounded || reading.older == Older::More && !has_all;
    is_short.then(|| {
        format!(
            "older lines are left out: an answer holds {LINES_MAX} lines of an app, and 16M of text; `pm describe APP` \
             names the files that have them all"
        )
    })
}

/// One `pm logs -f`.
struct Subscription {
    context: Context,
    query: LogsQuery,
    began: WallTime,
    /// All that were there at some time since then.
    sources: Vec<Source>,
    /// Who else writes into their files.
    shared: SharedFiles,
    follower: Option<Follower>,
    /// `None`: every line is wanted.
    sieves: Option<Sieves>,
    /// One per source.
    files: OwnedSemaphorePermit,
    events: broadcast::Receiver<Arc<Event>>,
    /// Shown after the lines that came before them.
    pending: VecDeque<Arc<Event>>,
}

impl Subscription {
    async fn run(mut self, outlet: &Outlet, reading: Reading) {
        let mut growth = self.context.log_growth.clone();
        let mut changes = self.context.supervisor.changes();
        let mut instances: Vec<InstanceId> = self.sources.iter().map(|source| source.instance.clone()).collect();
        instances.dedup();
        outlet.send(&LogMessage::Begins { instances }).await;
        for why in reading.unread {
            outlet.send(&LogMessage::Unread { why }).await;
        }
        if !send(outlet, reading.lines, &self.shared).await {
            return;
        }
        loop {
            // Marked before reading: what grows while we read wakes us again.
            growth.borrow_and_update();
            let Some((lines, skipped, is_holding)) = self.poll().await else { return };
            let is_more = !lines.is_empty();
            let lines = self.wanted(lines);
            let is_told = skipped == 0 || outlet.send(&LogMessage::Missed { bytes: skipped }).await;
            if !is_told || !send(outlet, lines, &self.shared).await {
                return;
            }
            if is_more {
                continue;
            }
            while let Some(event) = self.pending.pop_front() {
                if !outlet.send(&LogMessage::Event { event: Box::new(Event::clone(&event)) }).await {
                    return;
                }
            }
            tokio::select! {
                grown = growth.changed() => if grown.is_err() { return },
                revision = changes.changed() => {
                    if revision.is_err() {
                        return;
                    }
                    let Some(lines) = self.reselect(outlet).await else { return };
                    let lines = self.wanted(lines);
                    if !send(outlet, lines, &self.shared).await {
                        return;
                    }
                }
                // What was missed is in the journal; lines are what this is about.
                event = self.events.recv() => if let Ok(event) = event && self.is_shown(&event) {
                    self.pending.push_back(event);
                },
                () = tokio::time::sleep(HOLD), if is_holding => {}
            }
        }
    }

    fn wanted(&mut self, lines: Vec<Line>) -> Vec<Line> {
        match &mut self.sieves {
            Some(sieves) => sieves.pass(lines),
            None => lines,
        }
    }

    /// Starts and ends of processes whose lines are shown.
    fn is_shown(&self, event: &Event) -> bool {
        let is_of_interest = matches!(event.fact, Fact::Started { .. } | Fact::Exited { .. } | Fact::GaveUp { .. });
        let Subject::Instance(id) = &event.about else { return false };
        let is_it = |known: &InstanceId| known.app == id.app && known.slot == id.slot;
        is_of_interest && self.sources.iter().any(|source| is_it(&source.instance))
    }

    /// What came since; `None` if the disk is not read any more.
    async fn poll(&mut self) -> Option<(Vec<Line>, u64, bool)> {
        let mut follower = self.follower.take()?;
        let work = move || {
            let lines = follower.poll();
            let skipped = follower.take_skipped_bytes();
            let is_holding = follower.is_holding();
            (follower, lines, skipped, is_holding)
        };
        let (follower, lines, skipped, is_holding) = self.context.read(work).await.ok()?;
        self.follower = Some(follower);
        Some((lines, skipped, is_holding))
    }

    /// Copies come and go while we listen. What new ones have said already is the answer; those that are gone are
    /// listened to until the end, since their last words may still be on their way. `None` if the disk is not read any
    /// more.
    async fn reselect(&mut self, outlet: &Outlet) -> Option<Vec<Line>> {
        let Ok(now) = sources(&self.context, &self.query).await else { return Some(Vec::new()) };
        if let Ok(shared) = SharedFiles::of(&self.context, &now).await {
            self.shared = shared;
        }
        let new: Vec<Source> = now.iter().filter(|source| !self.sources.contains(source)).cloned().collect();
        if new.is_empty() {
            return Some(Vec::new());
        }
        let is_full = self.sources.len() + new.len() > SOURCES_MAX;
        let is_renamed = |old: &Source| new.iter().any(|new| new.location.path == old.location.path);
        let is_over = |old: &mut Source| !now.contains(old) && (is_full || is_renamed(old));
        let over: Vec<Source> = self.sources.extract_if(.., is_over).filter(|old| !is_renamed(old)).collect();
        self.sources.extend(new.iter().cloned());
        let new = self.with_room(new, over.len(), outlet).await;
        let (mut follower, began) = (self.follower.take()?, self.began);
        let work = move || {
            for source in over {
                follower.remove(&source);
            }
            let lines = follower.add(new, began);
            (follower, lines)
        };
        let (follower, lines) = self.context.read(work).await.ok()?;
        self.follower = Some(follower);
        Some(lines)
    }
}

impl Subscription {
    /// The new sources that a file may be kept open for; the others are reported.
    async fn with_room(&mut self, new: Vec<Source>, over: usize, outlet: &Outlet) -> Vec<Source> {
        drop(self.files.split(over));
        match self.context.followers.files(new.len()) {
            Ok(more) => {
                self.files.merge(more);
                new
            }
            Err(problem) => {
                for source in new {
                    let why = format!("cannot read `{}`: {}", source.location.path.display(), problem.message);
                    outlet.send(&LogMessage::Unread { why }).await;
                }
                Vec::new()
            }
        }
    }
}

async fn send(outlet: &Outlet, lines: Vec<Line>, shared: &SharedFiles) -> bool {
    for line in lines {
        if !outlet.send(&LogMessage::Line(shown(line, shared))).await {
            return false;
        }
    }
    true
}

fn shown(line: Line, shared: &SharedFiles) -> LogLine {
    let shared_with = shared.others(&line.instance, line.stream).to_vec();
    let shown_as = shared.form(&line.instance);
    LogLine { shared_with, shown_as, ..LogLine::new(line.at, line.instance, line.stream, line.text) }
}

/// If nothing at all can be read, that is the answer.
fn readable(reading: Reading, sources: usize) -> Result<Reading, Problem> {
    match reading.unread.first() {
        Some(message) if reading.unread.len() == sources => Err(Problem::new(ProblemCode::NotRead, message.clone())),
        _ => Ok(reading),
    }
}
