//! Where everything of an instance runs: the app itself, its hooks, probes and builds, and `pm exec`. The one place that
//! makes it of a spec.

use std::path::Path;

use super::failures::{failed, refused};
use crate::model::{App, Environment, ExecContext, InstanceId, Run, SpawnError, SpawnStage};
use crate::os::{self, Account, AccountError};
use crate::rules::{self, Place};

/// The context of an instance under this spec and recorded environment. `home` is `PM_HOME`; by `cookie` (`PM_ID`) its
/// processes are recognised.
///
/// # Errors
/// The user and group do not exist, or may not be taken.
pub fn exec_context(
    home: &Path,
    instance: &InstanceId,
    spec: &App,
    base: &Environment,
    cookie: &str,
) -> Result<ExecContext, SpawnError> {
    let run = &spec.run;
    let account = os::account(run.user.as_deref(), run.group.as_deref()).map_err(|error| no_account(run, &error))?;
    let home = home.to_string_lossy();
    let place = Place { instance, home: &home, cookie, identity: account.as_ref().map(variables) };
    Ok(ExecContext {
        env: rules::environment(spec, base, &place),
        cwd: run.cwd.clone(),
        identity: account.and_then(|account| account.identity),
        umask: run.umask.unwrap_or(Run::UMASK),
        limits: run.limits.clone(),
    })
}

/// An app of another user is at home elsewhere.
fn variables(account: &Account) -> [(&'static str, String); 4] {
    let user = &account.user;
    [
        ("HOME", user.home.to_string_lossy().into_owned()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("SHELL", user.shell.to_string_lossy().into_owned()),
    ]
}

fn no_account(run: &Run, error: &AccountError) -> SpawnError {
    let subject = run.user.as_ref().or(run.group.as_ref()).map_or("", String::as_str);
    match error {
        AccountError::Unreadable(error) => failed(SpawnStage::User, subject, error),
        wrong => refused(SpawnStage::User, subject, &wrong.to_string()),
    }
}
