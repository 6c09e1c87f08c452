//! What the newest commit of a source would change: fetched, checked, laid out, read and planned as by its worker; not applied.

use super::deploy::{fetch, lay_out};
use super::remote::{head_of, remote_of};
use super::sync::SourceSync;
use crate::cli::fail::{Code, CommandError};
use crate::cli::session::Session;
use crate::git::{CommitId, GitError, GitTrouble, Repository};
use crate::model::{Origin, RefusalKind, SourceName, TickEnd, short_commit};
use crate::os;
use crate::wire::PlanAnswer;

/// The plan of a commit.
pub(in crate::cli) struct Preview {
    /// In hexadecimal digits.
    pub commit: String,
    /// The commit that is deployed.
    pub runs: Option<String>,
    /// What its apply would do.
    pub answer: PlanAnswer,
    /// Where its file is.
    pub origin: Origin,
    /// What speaks against its being deployed by itself.
    pub notes: Vec<String>,
}

/// Plans the newest commit of a source.
///
/// # Errors
/// The repository cannot be asked; another look is under way; the commit would fail before its apply.
pub(in crate::cli) fn preview(session: &mut Session, source: &SourceName) -> Result<Preview, CommandError> {
    let home = Session::home()?;
    let mut client = Session::client()?;
    let work = client.source_work(source, false)?;
    let (record, spec) = (&work.source.record, &work.source.spec);
    let folder = home.source(source.as_str());
    if home.owner().is_some_and(|owner| owner != os::user_id()) {
        // What is laid out here has to belong to the one who removes it.
        let message = "only the user of the daemon can lay out a commit";
        return Err(CommandError::new(Code::Refused, message).hint("run this command as that user"));
    }
    let commit = head_of(spec).map_err(ended)?;
    let remote = remote_of(spec).map_err(ended)?;
    let failed = |error: GitError| unfit(source, &error);
    let repository = Repository::open(&folder).map_err(failed)?;
    fetch(&repository, spec, &remote, &commit).map_err(failed)?;
    let mut notes = Vec::new();
    if let Some(applied) = &record.applied {
        let old = CommitId::parse(&applied.commit);
        if !old.map_or(Ok(false), |old| repository.is_ancestor(&old, &commit)).map_err(failed)? {
            let deployed = short_commit(&applied.commit);
            notes.push(format!("the branch does not contain {deployed}, which runs: only `--force` deploys it"));
        }
    }
    if let Some(known) = record.failure_of(commit.as_str()) {
        notes.push(format!("{} failed: {}; only `--force` deploys it again", commit.short(), known.reason));
    }
    if work.source.is_suspended {
        notes.push("the source is suspended".to_owned());
    }
    let release = lay_out(&repository, &commit).map_err(failed)?;
    let mut sync = SourceSync::new(session, home, source.clone(), false);
    let proposed = sync.read(&release, &commit, spec, record.project.as_ref())?;
    let proposed = proposed.map_err(|broken| broken.into_error(&commit))?;
    let origin = proposed.origin.clone();
    let request = sync.request(&repository, &commit, (&release, proposed), false)?.map_err(failed)?;
    let mut answer = client.plan(&request)?;
    // That it is suspended is noted.
    answer.refusals.retain(|refusal| refusal.kind != RefusalKind::Stale);
    let runs = record.applied.as_ref().map(|applied| applied.commit.clone());
    Ok(Preview { commit: commit.to_string(), runs, answer, origin, notes })
}

/// The end of a look as an error.
fn ended(end: TickEnd) -> CommandError {
    CommandError { hint: end.hint, exit_code: end.exit_code, ..CommandError::new(Code::Error, end.words) }
}

fn unfit(source: &SourceName, error: &GitError) -> CommandError {
    if error.trouble == GitTrouble::InUse {
        let message = format!("a look at the source `{source}` is under way");
        return CommandError::new(Code::Error, message)
            .hint(format!("try again when `pm source status {source}` shows its end"));
    }
    let code = match error.trouble {
        GitTrouble::Unsigned | GitTrouble::WronglySigned => Code::Refused,
        _ if error.trouble.is_of_commit() => Code::File,
        _ => Code::Error,
    };
    CommandError::new(code, error.to_string()).hint(error.next_step())
}
