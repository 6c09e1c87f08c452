//! Refuses `sudo pm apply` of what the calling user's own daemon already manages: everything would run twice.

use super::fail::{Code, CommandError};
use super::session;
use crate::client::{Client, ClientError};
use crate::model::ProjectName;
use crate::os::{self, Home};

/// Refuses a project that the user who called `sudo` has with a daemon of their own, unless root insists.
///
/// # Errors
/// So it is.
pub(super) fn check(home: &Home, project: &ProjectName) -> Result<(), CommandError> {
    if os::user_id() != 0 || session::is_insisted() || os::variable("PM_HOME").is_some() {
        return Ok(());
    }
    let Some(user) = caller() else { return Ok(()) };
    let theirs = Home::default_of(user.uid, &user.home);
    // Whatever keeps that daemon from answering, that is not decided here.
    let Ok(projects) = projects_of(&theirs, user.uid) else { return Ok(()) };
    if !projects.contains(project) {
        return Ok(());
    }
    let (name, theirs, ours) = (user.name, theirs.root.display(), home.root.display());
    let message =
        format!("project `{project}` is managed by the daemon of {name} (`{theirs}`), not by root's (`{ours}`)");
    Err(CommandError::new(Code::Refused, message)
        .hint("omit `sudo`, or use `--as-root` to start everything a second time, as root"))
}

/// The user who called `sudo`.
pub(super) fn caller() -> Option<os::User> {
    let uid: u32 = os::variable("SUDO_UID")?.parse().ok()?;
    os::user_by_id(uid).ok().flatten().filter(|user| user.uid != 0)
}

fn projects_of(home: &Home, owner: u32) -> Result<Vec<ProjectName>, ClientError> {
    let answer = Client::look_at(home, owner)?.projects()?;
    Ok(answer.projects.into_iter().map(|row| row.project).collect())
}
