//! The steps of one look, each found anew from what is kept.

use std::time::Duration;

use super::remote::{commits_of, head_of, unreachable};
use super::{PROVED, RETURNED};
use crate::cli::fail::{Code, CommandError};
use crate::cli::output::time::Clock;
use crate::cli::session::Session;
use crate::client::{Client, ClientError};
use crate::git::{CommitId, Repository};
use crate::model::{
    CommitWait, EntryResult, Millis, RollbackOptions, SourceAftermath, SourceCommand, SourceName, SourceReport,
    SyncPolicy, TickEnd, WallTime, short_commit,
};
use crate::os::{self, Home};
use crate::rules::{RestReason, SourceFacts, SourceStep, closed_until, next_step};
use crate::wire::{ChangeMessage, RollbackRequest, Scope, SourceRequest, SourceWork, StageRequest};

/// Steps of one look; more are left to the next one.
const STEPS_MAX: usize = 30;
/// Between two questions how something goes.
pub(super) const PAUSE: Millis = Millis(100);
/// How long an applied commit may take to be known as good or bad.
const KNOWN_WITHIN: Duration = Duration::from_hours(1);

/// One look at a source.
pub(super) struct SourceSync<'a> {
    pub(super) session: &'a mut Session,
    pub(super) home: Home,
    pub(super) source: SourceName,
    /// A user wants the newest commit whatever is known of it; spent by its first try.
    pub(super) is_forced: bool,
    /// Why the commit that is under way is bad, in the words of its apply.
    pub(super) reason: Option<String>,
}

impl<'a> SourceSync<'a> {
    pub(super) fn new(session: &'a mut Session, home: Home, source: SourceName, is_forced: bool) -> Self {
        Self { session, home, source, is_forced, reason: None }
    }

    /// Takes step after step until there is nothing to be done. The folder of the source is opened, and so kept from other
    /// workers, by the first step that is none of rest: a look that finds nothing new writes nothing.
    pub(super) fn run(mut self) -> Result<TickEnd, CommandError> {
        let mut opened = None;
        for _ in 0..STEPS_MAX {
            let work = client()?.source_work(&self.source, false)?;
            let spec = &work.source.spec;
            let mut head = None;
            // A swap that has begun depends on nobody, and what is suspended asks nobody.
            if work.entry.is_none() && !work.source.is_suspended {
                head = match head_of(spec) {
                    Ok(head) => Some(head),
                    Err(end) => return Ok(end),
                };
            }
            let head = head.as_ref().map(CommitId::as_str);
            let closed_until = match closed(&spec.policy) {
                Ok(closed_until) => closed_until,
                Err(end) => return Ok(end),
            };
            let facts = SourceFacts { head, entry: work.entry, is_forced: self.is_forced, closed_until };
            let step = next_step(&work.source, &facts);
            if let SourceStep::Rest(reason) = &step {
                return Ok(self.rested(reason));
            }
            let Some(repository) = &opened else {
                match Repository::open(&self.home.source(self.source.as_str())) {
                    Ok(repository) => opened = Some(repository),
                    Err(error) => return Ok(unreachable(spec, &error)),
                }
                // Another worker may have been at it until now.
                continue;
            };
            if let Some(end) = self.step(repository, &work, step)? {
                return Ok(end);
            }
        }
        Ok(TickEnd { words: "goes on with the next look".to_owned(), exit_code: 7, ..TickEnd::default() })
    }

    fn step(
        &mut self,
        repository: &Repository,
        work: &SourceWork,
        step: SourceStep,
    ) -> Result<Option<TickEnd>, CommandError> {
        match step {
            SourceStep::Rest(reason) => Ok(Some(self.rested(&reason))),
            SourceStep::Deploy { commit } => self.deploy(repository, work, &named_commit(&commit)?),
            SourceStep::Await { commit, .. } => self.wait_for_result(&commit),
            SourceStep::Prove { commit, generation } => {
                self.prove(repository, work, &named_commit(&commit)?, generation).map(Some)
            }
            SourceStep::Return { commit, to } => {
                let reason = self.reason.take().unwrap_or_else(|| "its apps did not become healthy".to_owned());
                self.go_back(work, &commit, to, reason).map(Some)
            }
            SourceStep::Conclude(report @ SourceReport::NothingWaits) => {
                self.report(report)?;
                Ok(None)
            }
            SourceStep::Conclude(report) => self.conclude(report).map(Some),
        }
    }

    fn rested(&self, reason: &RestReason) -> TickEnd {
        if let RestReason::Waits { commit, wait } = reason {
            return self.waits(commit, *wait);
        }
        let force = || Some(format!("push another commit, or try again: `pm source sync {} --force`", self.source));
        let (exit_code, hint) = match reason {
            RestReason::UpToDate { .. } | RestReason::Suspended | RestReason::Waits { .. } => (Code::Ok as u8, None),
            RestReason::Failed { exit_code, .. } => (*exit_code, force()),
            RestReason::Stalled { .. } => {
                let hint = format!("`pm source sync {} --force` deploys it all the same", self.source);
                (Code::Refused as u8, Some(hint))
            }
            RestReason::Unknown => (Code::Error as u8, None),
        };
        TickEnd { words: reason.to_string(), hint, exit_code, ..TickEnd::default() }
    }

    /// A commit that is not deployed yet; what would deploy it.
    fn waits(&self, commit: &str, wait: CommitWait) -> TickEnd {
        let (source, short) = (&self.source, short_commit(commit));
        let (words, hint, again_at) = match wait {
            CommitWait::Approval => {
                let hint = format!("`pm source diff {source}` shows it, `pm source approve {source}` deploys it");
                (format!("{short} waits for approval"), hint, None)
            }
            CommitWait::Window { until } => {
                let at = Clock::local().second(until);
                let hint = format!("`pm source sync {source} --force` deploys it now");
                (format!("{short} waits for the next window, which opens at {at}"), hint, Some(until))
            }
        };
        TickEnd { words, hint: Some(hint), exit_code: Code::Refused as u8, again_at, ..TickEnd::default() }
    }

    pub(super) fn stage(&self, stage: String) {
        // Who looks on learns a little less.
        let _ = client()
            .map(|mut client| client.tell_source("stage", &StageRequest { source: self.source.clone(), stage }));
    }

    pub(super) fn report(&self, report: SourceReport) -> Result<(), CommandError> {
        let request = SourceRequest { source: self.source.clone(), command: SourceCommand::Report { report } };
        client()?.command_source(&request)?;
        Ok(())
    }

    /// Until it is known how an applied commit went.
    fn wait_for_result(&self, commit: &str) -> Result<Option<TickEnd>, CommandError> {
        self.stage(format!("waiting for the apps of {}", short_commit(commit)));
        let began = os::now();
        loop {
            let work = client()?.source_work(&self.source, false)?;
            if work.entry.is_none_or(|entry| entry.result != EntryResult::Running || !entry.is_newest) {
                return Ok(None);
            }
            if os::now().since(began).duration() > KNOWN_WITHIN {
                let words = format!("{} is applied; some of its apps are not ready yet", short_commit(commit));
                return Ok(Some(TickEnd { words, exit_code: 7, ..TickEnd::default() }));
            }
            os::pause(PAUSE);
        }
    }

    /// Its apps came up: do they stay?
    fn prove(
        &mut self,
        repository: &Repository,
        work: &SourceWork,
        commit: &CommitId,
        generation: u64,
    ) -> Result<TickEnd, CommandError> {
        self.stage(format!("seeing whether the apps of {} stay healthy", commit.short()));
        if let Some(reason) = Self::watch(work)? {
            os::killpoint(PROVED);
            let to = work.source.record.healthy.as_ref().map(|healthy| healthy.generation);
            return self.go_back(work, commit.as_str(), to, reason);
        }
        os::killpoint(PROVED);
        self.deployed(repository, commit, generation)
    }

    /// It is good: kept, and what nothing needs any more is removed.
    pub(super) fn deployed(
        &self,
        repository: &Repository,
        commit: &CommitId,
        generation: u64,
    ) -> Result<TickEnd, CommandError> {
        let report = SourceReport::Deployed { commit: commit.to_string(), generation, has_changed: true };
        self.report(report)?;
        let mut needed = commits_of(&client()?.source_work(&self.source, true)?.needed);
        needed.push(commit.clone());
        // What cannot be removed is tried again with the next commit.
        let _ = repository.prune(&needed);
        let words = format!("deployed {} (generation {generation})", commit.short());
        Ok(TickEnd { words, ..TickEnd::default() })
    }

    /// It is bad: back to what was good, by the road of every rollback.
    fn go_back(
        &mut self,
        work: &SourceWork,
        commit: &str,
        to: Option<u64>,
        reason: String,
    ) -> Result<TickEnd, CommandError> {
        self.stage(format!("rolling {} back", short_commit(commit)));
        let mut aftermath = SourceAftermath::Left;
        let mut reason = reason;
        if let (Some(to), Some(project)) = (to, &work.project) {
            let scope = Scope { project: Some(project.clone()), ..Scope::default() };
            // What only the bad commit had goes with it, unless it is protected.
            for prune in [true, false] {
                let options =
                    RollbackOptions { to: Some(to.to_string()), prune, yes: true, ..RollbackOptions::default() };
                match roll_back(&RollbackRequest { scope: scope.clone(), options }) {
                    Ok(()) => {
                        aftermath = SourceAftermath::RolledBack { to };
                        break;
                    }
                    Err(ClientError::Problem(problem)) if !prune => {
                        reason = format!("{reason}; the rollback is refused: {}", problem.message);
                    }
                    Err(ClientError::Problem(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        os::killpoint(RETURNED);
        let (commit, exit_code) = (commit.to_owned(), Code::Unhealthy as u8);
        self.conclude(SourceReport::Failed { commit, reason, exit_code, aftermath })
    }

    /// Reports the end of a commit, and says it.
    pub(super) fn conclude(&self, report: SourceReport) -> Result<TickEnd, CommandError> {
        self.report(report.clone())?;
        let force = Some(format!("push another commit, or try again: `pm source sync {} --force`", self.source));
        let (words, hint, exit_code) = match report {
            SourceReport::Failed { commit, reason, exit_code, aftermath } => {
                let left = match aftermath {
                    SourceAftermath::Untouched => "nothing was changed".to_owned(),
                    SourceAftermath::RolledBack { to } => format!("rolled back to generation {to}"),
                    SourceAftermath::Left => "there is no earlier commit to go back to".to_owned(),
                };
                (format!("{} failed: {reason}; {left}", short_commit(&commit)), force, exit_code)
            }
            SourceReport::Stalled { commit, reason } => {
                let hint = format!("`pm source sync {} --force` deploys it all the same", self.source);
                (format!("{} is not deployed: {reason}", short_commit(&commit)), Some(hint), Code::Refused as u8)
            }
            SourceReport::Superseded { commit } => {
                let commit = short_commit(&commit);
                (format!("{commit} was superseded by another change of the project"), None, Code::Partly as u8)
            }
            SourceReport::Waiting { commit, wait } => return Ok(self.waits(&commit, wait)),
            SourceReport::Began { commit, .. } | SourceReport::Deployed { commit, .. } => {
                (commit, None, Code::Ok as u8)
            }
            SourceReport::NothingWaits => (String::new(), None, Code::Ok as u8),
        };
        Ok(TickEnd { words, hint, exit_code, ..TickEnd::default() })
    }
}

/// When the next window opens, if none is open.
fn closed(policy: &SyncPolicy) -> Result<Option<WallTime>, TickEnd> {
    let trouble = |words: String| TickEnd { words, exit_code: Code::Error as u8, ..TickEnd::default() };
    let zone = match &policy.timezone {
        Some(name) => os::zone_named(name).ok_or_else(|| {
            let hint =
                Some("install `tzdata`, or name another one: `pm source add NAME URL --timezone ZONE`".to_owned());
            TickEnd { hint, ..trouble(format!("this machine has no time zone `{name}`")) }
        })?,
        None => os::local_zone(),
    };
    closed_until(policy, os::wall(), &zone).map_err(|error| trouble(error.to_string()))
}

/// A connection to the daemon that has started us; another one is not started for it.
pub(super) fn client() -> Result<Client, CommandError> {
    Ok(Client::connect(&Session::home()?)?)
}

/// A commit that is kept, as git names it.
fn named_commit(commit: &str) -> Result<CommitId, CommandError> {
    CommitId::parse(commit).map_err(|text| CommandError::new(Code::Error, format!("`{text}` names no commit")))
}

fn roll_back(request: &RollbackRequest) -> Result<(), ClientError> {
    let client = match Session::home() {
        Ok(home) => Client::connect(&home)?,
        Err(error) => return Err(ClientError::NotUnderstood { problem: error.message }),
    };
    let mut messages = client.roll_back(request)?;
    messages.wait_until(None);
    while let Some(message) = messages.read()? {
        match message {
            ChangeMessage::Finished { .. } => break,
            ChangeMessage::Interrupted { problem } => return Err(problem.into()),
            _ => {}
        }
    }
    Ok(())
}
