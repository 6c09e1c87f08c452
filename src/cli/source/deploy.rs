//! One commit on its way to being applied: fetched, checked, laid out, read, planned, applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entry::{ShutOut, let_in};
use super::inputs::{AppInputs, InputDigests, all_paths, same_inputs};
use super::remote::{head_of, remote_of, unreachable};
use super::sync::{SourceSync, client};
use super::{ACCEPTED, BEGAN, LAID_OUT};
use crate::cli::fail::{Code, CommandError};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output::{Paint, harmless, progress};
use crate::client::ClientError;
use crate::ecosystem::{Diagnostic, DiagnosticSeverity};
use crate::git::{CommitId, GitError, GitTrouble, ReleaseOptions, ReleaseState, Remote, Repository, Signed, Signers};
use crate::model::{
    ApplyGuard, ApplyOptions, Confirm, Millis, ProjectName, Proposed, RefusalKind, SourceAftermath, SourceApply,
    SourceReport, SourceSpec, TickEnd, short_commit,
};
use crate::os;
use crate::wire::{
    AppReleases, ApplyRequest, ChangeMessage, OperationResult, PlanDetail, ProblemCode, ProjectReport, SourceWork,
};

/// How long the other end may take to send a commit.
const FETCH_MAX: Millis = Millis::seconds(15 * 60);

/// Why a commit is not applied.
pub(super) struct Unfit {
    reason: String,
    code: Code,
    /// What helps, if it is not just another try.
    hint: Option<&'static str>,
}

impl Unfit {
    fn file(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: Code::File, hint: None }
    }

    /// For who asked only what it would change.
    pub(super) fn into_error(self, commit: &CommitId) -> CommandError {
        let message = format!("{} would fail: {}", commit.short(), self.reason);
        CommandError { hint: self.hint.map(str::to_owned), ..CommandError::new(self.code, message) }
    }
}

impl From<&GitError> for Unfit {
    fn from(error: &GitError) -> Self {
        let code = match error.trouble {
            GitTrouble::Unsigned | GitTrouble::WronglySigned => Code::Refused,
            _ => Code::File,
        };
        Self { reason: error.reason(), code, hint: Some(error.next_step()) }
    }
}

impl SourceSync<'_> {
    /// Brings a commit as far as its apply; the end of the look, if there is nothing more to be done in it.
    pub(super) fn deploy(
        &mut self,
        repository: &Repository,
        work: &SourceWork,
        commit: &CommitId,
    ) -> Result<Option<TickEnd>, CommandError> {
        let is_forced = self.is_forced;
        let (record, spec) = (&work.source.record, &work.source.spec);
        let remote = match remote_of(spec) {
            Ok(remote) => remote,
            Err(end) => return Ok(Some(end)),
        };
        self.stage(format!("fetching {}", commit.short()));
        if let Err(error) = fetch(repository, spec, &remote, commit) {
            return self.stopped(spec, commit, &error);
        }
        if let Some(applied) = record.applied.as_ref().filter(|_| !is_forced) {
            let continues =
                CommitId::parse(&applied.commit).map_or(Ok(false), |old| repository.is_ancestor(&old, commit));
            match continues {
                Ok(true) => {}
                Ok(false) => {
                    let deployed = short_commit(&applied.commit);
                    let reason =
                        format!("the branch was rewritten or set back: it does not contain {deployed}, which runs");
                    return self.conclude(SourceReport::Stalled { commit: commit.to_string(), reason }).map(Some);
                }
                Err(error) => return self.stopped(spec, commit, &error),
            }
        }
        self.stage(format!("laying out {}", commit.short()));
        let release = match lay_out(repository, commit) {
            Ok(release) => release,
            Err(error) => return self.stopped(spec, commit, &error),
        };
        let read = self.read(&release, commit, spec, record.project.as_ref())?;
        let proposed = match read.and_then(|proposed| self.let_in(&release, proposed)) {
            Ok(proposed) => proposed,
            Err(broken) => return self.refuse(commit, broken).map(Some),
        };
        // A newer commit takes the place of one that is not applied yet.
        if !is_forced && head_of(spec).is_ok_and(|head| head != *commit) {
            return Ok(None);
        }
        let request = match self.request(repository, commit, (&release, proposed), is_forced)? {
            Ok(request) => request,
            Err(error) => return self.stopped(spec, commit, &error),
        };
        self.apply(repository, commit, request)
    }

    /// What is wrong with the commit itself is remembered; everything else may be otherwise with the next look.
    fn stopped(&self, spec: &SourceSpec, commit: &CommitId, error: &GitError) -> Result<Option<TickEnd>, CommandError> {
        if error.trouble.is_of_commit() {
            return self.refuse(commit, error.into()).map(Some);
        }
        Ok(Some(unreachable(spec, error)))
    }

    /// Plans, notes durably that it begins, and applies.
    fn apply(
        &mut self,
        repository: &Repository,
        commit: &CommitId,
        mut request: ApplyRequest,
    ) -> Result<Option<TickEnd>, CommandError> {
        let is_forced = std::mem::take(&mut self.is_forced);
        let answer = client()?.plan(&request)?;
        if let Some(refusal) = answer.refusals.into_iter().next() {
            if refusal.confirm == Some(Confirm::Again) {
                // All that is new in it was rolled back: that stays so.
                let newest = client()?.source_work(&self.source, false)?.newest_entry;
                let report =
                    SourceReport::Deployed { commit: commit.to_string(), generation: newest, has_changed: false };
                self.report(report)?;
                let words = format!("{} changes only what was rolled back, and that stays", commit.short());
                return Ok(Some(TickEnd { words, ..TickEnd::default() }));
            }
            let exit_code = match refusal.kind {
                RefusalKind::Stale => return Ok(None),
                RefusalKind::Ownership => 5,
                RefusalKind::Safety => Code::Refused as u8,
                RefusalKind::Usage => Code::Usage as u8,
            };
            let (commit, reason, aftermath) = (commit.to_string(), refusal.message, SourceAftermath::Untouched);
            let end = self.conclude(SourceReport::Failed { commit, reason, exit_code, aftermath })?;
            return Ok(Some(TickEnd { hint: refusal.hint.or(end.hint.clone()), ..end }));
        }
        let project = request.proposed.project.clone();
        request.options.guard.if_generation = Some(answer.plan.generation);
        self.report(SourceReport::Began { commit: commit.to_string(), project, is_forced })?;
        os::killpoint(BEGAN);
        self.stage(format!("applying {}", commit.short()));
        let mut messages = match client()?.apply(&request, PlanDetail::Changes) {
            // Somebody was faster: planned again.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Stale => return Ok(None),
            messages => messages?,
        };
        messages.wait_until(None);
        while let Some(message) = messages.read()? {
            match message {
                ChangeMessage::Accepted { .. } => os::killpoint(ACCEPTED),
                ChangeMessage::Finished { reports } => {
                    self.reason = failure(&reports);
                    break;
                }
                ChangeMessage::Interrupted { problem } => return Err(problem.into()),
                _ => {}
            }
        }
        let work = client()?.source_work(&self.source, false)?;
        // Nothing that runs is declared otherwise: there is no entry that could go well or badly.
        match work.entry {
            None => self.deployed(repository, commit, work.newest_entry).map(Some),
            Some(_) => Ok(None),
        }
    }

    /// Nothing of it is applied.
    fn refuse(&self, commit: &CommitId, broken: Unfit) -> Result<TickEnd, CommandError> {
        let (commit, reason, exit_code) = (commit.to_string(), broken.reason, broken.code as u8);
        let aftermath = SourceAftermath::Untouched;
        let end = self.conclude(SourceReport::Failed { commit, reason, exit_code, aftermath })?;
        Ok(TickEnd { hint: broken.hint.map(str::to_owned).or(end.hint), ..end })
    }

    /// Reads the file in a release, as `pm apply` reads one.
    pub(super) fn read(
        &mut self,
        release: &Path,
        commit: &CommitId,
        spec: &SourceSpec,
        known: Option<&ProjectName>,
    ) -> Result<Result<Proposed, Unfit>, CommandError> {
        let file = spec.path.as_ref().map_or_else(|| release.to_owned(), |path| release.join(path));
        if let Some(path) = spec.path.as_ref().filter(|_| !os::exists(&file)) {
            let reason = format!("the repository has no `{}`; nothing is deleted", path.display());
            return Ok(Err(Unfit::file(reason)));
        }
        let profile = Some(spec.profile.clone().unwrap_or_else(|| "none".to_owned()));
        let args = FileArgs { files: vec![file], profile, ..FileArgs::default() };
        let resolved = match file::resolve(self.session, &args, false, Daemon::IfRunning) {
            Ok(resolved) => resolved,
            Err(error) => {
                let shown = error.message.replace(&format!("{}/", release.display()), "");
                return Ok(Err(Unfit::file(shown.replace(&release.display().to_string(), "."))));
            }
        };
        let reading = resolved.reading;
        let Some(mut proposed) = reading.proposed else {
            let reason = first_error(&reading.diagnostics, release);
            return Ok(Err(Unfit::file(reason)));
        };
        if proposed.apps.is_empty() {
            return Ok(Err(Unfit::file("the file declares no app; nothing is deleted")));
        }
        proposed.provenance = file::provenance(&proposed.origin, &reading.files);
        proposed.provenance.commit = Some(commit.to_string());
        if !proposed.origin.is_named {
            // The name of its folder is that of the commit.
            self.name_project(&mut proposed)?;
        }
        if let Some(known) = known.filter(|known| **known != proposed.project) {
            let reason = format!(
                "the file names the project `{}`, but this source deploys `{known}`; nothing is deleted",
                proposed.project
            );
            return Ok(Err(Unfit { reason, code: Code::Refused, hint: None }));
        }
        Ok(Ok(proposed))
    }

    /// Lets the users of its apps into a release.
    fn let_in(&self, release: &Path, proposed: Proposed) -> Result<Proposed, Unfit> {
        let folder = self.home.source(self.source.as_str());
        match let_in(&self.home, &folder, release, &proposed.apps) {
            Ok(()) => Ok(proposed),
            Err(ShutOut { app, user, why }) => {
                let reason = format!("`{app}` runs as `{user}`, {why}");
                let hint = Some("put the home where that user can enter, or leave `user` out of the file");
                Err(Unfit { reason, code: Code::Refused, hint })
            }
        }
    }

    fn name_project(&self, proposed: &mut Proposed) -> Result<(), CommandError> {
        let wrong = |error: crate::model::NameError| CommandError::new(Code::File, error.to_string());
        let project = ProjectName::new(self.source.as_str()).map_err(wrong)?;
        for app in &mut proposed.apps {
            for old in app.moved_from.iter_mut().filter(|old| old.project == app.project) {
                old.project = project.clone();
            }
            app.project = project.clone();
        }
        proposed.project = project;
        proposed.origin.is_named = true;
        Ok(())
    }

    /// The apply, with the older releases in which the inputs of each app are the same.
    pub(super) fn request(
        &self,
        repository: &Repository,
        commit: &CommitId,
        (release, proposed): (&Path, Proposed),
        is_forced: bool,
    ) -> Result<Result<ApplyRequest, GitError>, CommandError> {
        let releases = client()?.source_work(&self.source, true)?.releases;
        let folder = proposed.origin.folder.strip_prefix(release).unwrap_or(Path::new(""));
        let inputs = AppInputs::of(&proposed.apps, release, folder);
        let same = match digests_of(repository, commit, &releases, &all_paths(&inputs)) {
            Ok((new, old)) => same_inputs(&inputs, &releases, &new, &old),
            Err(error) => return Ok(Err(error)),
        };
        let options = ApplyOptions {
            replace_files: true,
            guard: ApplyGuard { again: is_forced, if_generation: None },
            source: Some(Box::new(SourceApply { source: self.source.clone(), release: release.to_owned(), same })),
            ..ApplyOptions::default()
        };
        Ok(Ok(ApplyRequest { proposed, options }))
    }
}

/// Brings a commit here. One that nobody has signed who may is not used, forced or not.
pub(super) fn fetch(
    repository: &Repository,
    spec: &SourceSpec,
    remote: &Remote,
    commit: &CommitId,
) -> Result<(), GitError> {
    repository.fetch(remote, commit, FETCH_MAX, &|| false)?;
    if let Some(file) = &spec.allowed_signers {
        repository.verify(commit, &Signed::Commit, &Signers::Ssh(file.clone()))?;
    }
    Ok(())
}

/// The read-only folder of a commit. One that a killed worker has left half done is made again.
pub(super) fn lay_out(repository: &Repository, commit: &CommitId) -> Result<PathBuf, GitError> {
    let release = repository.release(commit, &ReleaseOptions::default(), &|| false)?;
    if release.state == ReleaseState::Fresh {
        os::killpoint(LAID_OUT);
        repository.seal(commit)?;
    }
    Ok(release.path)
}

type AllDigests = (InputDigests, BTreeMap<PathBuf, InputDigests>);

fn digests_of(
    repository: &Repository,
    commit: &CommitId,
    releases: &[AppReleases],
    paths: &[String],
) -> Result<AllDigests, GitError> {
    let mut old = BTreeMap::new();
    for release in releases.iter().flat_map(|app| &app.releases) {
        let name = release.file_name().and_then(|name| CommitId::parse(name.to_str()?).ok());
        if let Some(earlier) = name.filter(|_| !old.contains_key(release))
            // A commit that is gone after a rewritten history is like no other.
            && let Ok(digests) = repository.content_digests(&earlier, paths)
        {
            old.insert(release.clone(), digests);
        }
    }
    Ok((repository.content_digests(commit, paths)?, old))
}

/// The first error in a file, with its line.
fn first_error(diagnostics: &[Diagnostic], release: &Path) -> String {
    let error = diagnostics.iter().find(|found| found.severity == DiagnosticSeverity::Error);
    let Some(error) = error else { return "the file cannot be used".to_owned() };
    let message = error.message.replace(&format!("{}/", release.display()), "");
    match &error.place {
        Some(place) => {
            let file = place.file.strip_prefix(release).unwrap_or(&place.file);
            format!("{}:{}: {}", file.display(), place.line, harmless(&message))
        }
        None => harmless(&message).into_owned(),
    }
}

/// The first thing that failed.
fn failure(reports: &[ProjectReport]) -> Option<String> {
    let results = reports.iter().flat_map(|report| &report.report.operations);
    let mut failed = results.filter(|operation| {
        matches!(operation.result, OperationResult::Failed { .. } | OperationResult::Skipped { .. })
    });
    let text = progress::ended(failed.next()?, Paint { is_on: false });
    // What became of the whole project is said instead.
    let first = text.lines().next().unwrap_or_default().split("; rolled back").next().unwrap_or_default().trim();
    Some(first.trim_start_matches("FAILED").trim_start_matches("skipped").trim().to_owned())
}
