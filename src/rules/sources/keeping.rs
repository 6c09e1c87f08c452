//! What is kept of a source after a command or a report, and what is told of it.

use crate::model::{
    Actor, CommitWait, DeployedCommit, Desired, FAILED_COMMITS_MAX, FailedCommit, GitSource, Refusal, RefusalKind,
    SOURCES_MAX, SourceCommand, SourceName, SourceNews, SourceRecord, SourceReport, SourceSpec, SourceWebhook,
    UnderWay, WINDOWS_MAX, WaitingCommit, WallTime,
};

/// The exit code of what a rule refuses.
const REFUSED: u8 = 8;

/// A source after a command (`None`: it is gone), and what is told; `None` if nothing changes.
///
/// # Errors
/// There is no such source; a rule speaks against it.
pub fn changed_source(
    desired: &Desired,
    name: &SourceName,
    command: SourceCommand,
    (by, at): (&Actor, WallTime),
) -> Result<Added, Refusal> {
    let known = desired.sources.get(name);
    if let SourceCommand::Add { spec } = command {
        return add(desired, name, *spec, by);
    }
    let known = known.ok_or_else(|| no_source(desired, name))?;
    let (source, news) = match command {
        SourceCommand::Add { .. } => return Ok(None),
        SourceCommand::Remove => (None, Some(SourceNews::Removed { by: by.clone() })),
        SourceCommand::Suspend => {
            (Some(GitSource { is_suspended: true, ..known.clone() }), Some(SourceNews::Suspended { by: by.clone() }))
        }
        SourceCommand::Resume => {
            (Some(GitSource { is_suspended: false, ..known.clone() }), Some(SourceNews::Resumed { by: by.clone() }))
        }
        SourceCommand::Webhook { listen, secret } => {
            let known_secret = known.webhook.as_ref().map(|webhook| webhook.secret.clone());
            let secret = secret
                .or(known_secret)
                .ok_or_else(|| refusal(RefusalKind::Usage, "a webhook needs a secret".to_owned(), None))?;
            let webhook = Some(SourceWebhook { listen, secret });
            (Some(GitSource { webhook, ..known.clone() }), Some(SourceNews::WebhookAdded { by: by.clone(), listen }))
        }
        SourceCommand::NoWebhook => {
            (Some(GitSource { webhook: None, ..known.clone() }), Some(SourceNews::WebhookRemoved { by: by.clone() }))
        }
        SourceCommand::Approve { commit } => {
            let record = approved(name, known, &commit)?;
            (Some(GitSource { record, ..known.clone() }), Some(SourceNews::Approved { by: by.clone(), commit }))
        }
        SourceCommand::Report { report } => {
            let (record, news) = reported(desired, known, report, at)?;
            (Some(GitSource { record, ..known.clone() }), news)
        }
    };
    Ok((source.as_ref() != Some(known)).then_some((source, news)))
}

type Added = Option<(Option<GitSource>, Option<SourceNews>)>;

fn add(desired: &Desired, name: &SourceName, spec: SourceSpec, by: &Actor) -> Result<Added, Refusal> {
    let known = desired.sources.get(name);
    if known.is_none() && desired.sources.len() >= SOURCES_MAX {
        let hint = Some("remove one: `pm source remove NAME`".to_owned());
        return Err(refusal(RefusalKind::Safety, format!("there are {SOURCES_MAX} sources already"), hint));
    }
    if spec.interval < SourceSpec::INTERVAL_MIN {
        let message = format!("the interval must be at least {}", SourceSpec::INTERVAL_MIN);
        return Err(refusal(RefusalKind::Usage, message, None));
    }
    if let Some(problem) = wrong_spec(&spec) {
        return Err(refusal(RefusalKind::Usage, problem, None));
    }
    let other = desired.sources.iter().find(|(other, source)| {
        *other != name
            && (&source.spec.url, &source.spec.branch, &source.spec.path) == (&spec.url, &spec.branch, &spec.path)
    });
    if let Some((other, _)) = other {
        let hint = Some(format!("`pm source status {other}` shows it"));
        return Err(refusal(RefusalKind::Ownership, format!("source `{other}` follows the same file already"), hint));
    }
    let news = SourceNews::Added { by: by.clone(), url: spec.shown_url(), branch: spec.branch.clone() };
    let record = match known {
        // What failed may succeed in another way; what runs stays known.
        Some(known) if known.spec != spec => {
            let SourceRecord { project, applied, healthy, .. } = known.record.clone();
            SourceRecord { project, applied, healthy, ..SourceRecord::default() }
        }
        Some(_) => return Ok(None),
        None => SourceRecord::default(),
    };
    let is_suspended = known.is_some_and(|known| known.is_suspended);
    let webhook = known.and_then(|known| known.webhook.clone());
    Ok(Some((Some(GitSource { spec, is_suspended, webhook, record }), Some(news))))
}

/// The commit that a user names may be deployed once it is the newest one.
fn approved(name: &SourceName, known: &GitSource, commit: &str) -> Result<SourceRecord, Refusal> {
    let usage = |message: String, hint: Option<String>| refusal(RefusalKind::Usage, message, hint);
    if !known.spec.policy.needs_approval {
        let hint = Some("`pm source add NAME URL --confirm` makes each commit wait".to_owned());
        return Err(usage(format!("commits of the source `{name}` need no approval"), hint));
    }
    let is_one = [40, 64].contains(&commit.len())
        && commit.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_one {
        return Err(usage("a commit has 40 or 64 hexadecimal digits".to_owned(), None));
    }
    let mut record = known.record.clone();
    record.approved = Some(commit.to_owned());
    let is_it = |waiting: &WaitingCommit| waiting.commit == commit && waiting.wait == CommitWait::Approval;
    record.waiting = record.waiting.filter(|waiting| !is_it(waiting));
    Ok(record)
}

/// What `git` or the disk would take for something else.
fn wrong_spec(spec: &SourceSpec) -> Option<String> {
    let (url, branch) = (&spec.url, &spec.branch);
    if url.is_empty() || url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return Some(format!("`{}` is not the URL of a repository", spec.shown_url()));
    }
    let is_odd = |letter: char| letter.is_control() || letter.is_whitespace() || "~^:?*[\\".contains(letter);
    if branch.is_empty() || branch.starts_with(['-', '/']) || branch.contains("..") || branch.contains(is_odd) {
        return Some(format!("`{branch}` is not the name of a branch"));
    }
    let is_inside =
        |path: &std::path::Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if spec.policy.windows.len() > WINDOWS_MAX {
        return Some(format!("a source has at most {WINDOWS_MAX} windows"));
    }
    if let Err(error) = super::check_windows(&spec.policy) {
        return Some(error.to_string());
    }
    match &spec.path {
        Some(path) if !is_inside(path) => {
            Some(format!("`{}` must be relative to the root of the repository, without `..`", path.display()))
        }
        _ => None,
    }
}

fn reported(
    desired: &Desired,
    known: &GitSource,
    report: SourceReport,
    at: WallTime,
) -> Result<(SourceRecord, Option<SourceNews>), Refusal> {
    let mut record = known.record.clone();
    if !matches!(report, SourceReport::Waiting { .. } | SourceReport::Superseded { .. }) {
        record.waiting = None;
    }
    let news = match report {
        SourceReport::Began { commit, project, is_forced } => {
            let other = desired.sources.iter().find(|(_, source)| source.record.project.as_ref() == Some(&project));
            if let Some((other, _)) = other.filter(|(_, source)| *source != known) {
                let message = format!("project `{project}` is deployed by the source `{other}`");
                return Err(refusal(RefusalKind::Ownership, message, None));
            }
            let from = desired.projects.get(&project).map_or(0, |project| project.generation);
            // Continued after a kill: it began where it began.
            let is_known = record.under_way.as_ref().is_some_and(|under_way| under_way.commit == commit);
            if !is_known {
                record.under_way = Some(UnderWay { commit: commit.clone(), from, is_forced });
            }
            (record.project, record.attempted, record.stalled) = (Some(project), Some(commit), None);
            None
        }
        SourceReport::Deployed { commit, generation, has_changed } => {
            let deployed = DeployedCommit { commit: commit.clone(), generation, at };
            record.failed.retain(|failed| failed.commit != commit);
            (record.applied, record.healthy) = (Some(deployed.clone()), Some(deployed));
            (record.attempted, record.under_way, record.stalled) = (Some(commit.clone()), None, None);
            has_changed.then_some(SourceNews::Deployed { commit, generation })
        }
        SourceReport::Failed { commit, reason, exit_code, aftermath } => {
            record.failed.retain(|failed| failed.commit != commit);
            record.failed.push(FailedCommit { commit: commit.clone(), reason: reason.clone(), exit_code, at });
            let extra = record.failed.len().saturating_sub(FAILED_COMMITS_MAX);
            record.failed.drain(..extra);
            (record.attempted, record.under_way, record.stalled) = (Some(commit.clone()), None, None);
            Some(SourceNews::Failed { commit, reason, aftermath })
        }
        SourceReport::Stalled { commit, reason } => {
            let (of, why) = (commit.clone(), reason.clone());
            record.stalled = Some(FailedCommit { commit: of, reason: why, exit_code: REFUSED, at });
            record.under_way = None;
            Some(SourceNews::Stalled { commit, reason })
        }
        SourceReport::Waiting { commit, wait } => {
            record.waiting = Some(WaitingCommit { commit: commit.clone(), wait, since: at });
            record.stalled = None;
            Some(SourceNews::Waiting { commit, wait })
        }
        SourceReport::NothingWaits => {
            record.stalled = None;
            None
        }
        SourceReport::Superseded { commit } => {
            if record.under_way.as_ref().is_some_and(|under_way| under_way.commit == commit) {
                record.under_way = None;
            }
            None
        }
    };
    Ok((record, news))
}

fn no_source(desired: &Desired, name: &SourceName) -> Refusal {
    let known: Vec<&str> = desired.sources.keys().map(SourceName::as_str).collect();
    let hint = match known.as_slice() {
        [] => "there are none: `pm source add NAME URL`".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    refusal(RefusalKind::Usage, format!("no source `{name}`"), Some(hint))
}

fn refusal(kind: RefusalKind, message: String, hint: Option<String>) -> Refusal {
    Refusal { kind, message, hint, confirm: None }
}
