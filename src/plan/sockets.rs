//! Refuses one socket for two projects: connections would reach the wrong app.

use crate::model::{App, ApplyOptions, Desired, DesiredState, ListenAddress, Project, Proposed, Refusal, RefusalKind};

/// Refuses an app that would listen where an app of another project does.
///
/// # Errors
/// Both apps and the address.
pub fn check_sockets(desired: &Desired, proposed: &Proposed, options: &ApplyOptions) -> Result<(), Refusal> {
    let stored = desired.projects.get(&proposed.project);
    let is_meant = |app: &&App| options.only.is_empty() || options.only.contains(&app.name);
    for app in proposed.apps.iter().filter(is_meant).filter(|app| will_run(app, stored)) {
        if let Some((address, other, theirs)) = taken(desired, app) {
            let (ours, other) = (app.id(), other.id());
            let at = if address == theirs { "already uses it".to_owned() } else { format!("uses it as `{theirs}`") };
            return Err(Refusal {
                kind: RefusalKind::Ownership,
                message: format!("app `{ours}` cannot listen on `{address}`: app `{other}` {at}"),
                hint: Some(format!("use another address, or delete the other app first: `pm delete {other}`")),
                confirm: None,
            });
        }
    }
    Ok(())
}

/// An address of the app that somebody else has, who that is, and their address.
fn taken<'a>(desired: &'a Desired, app: &'a App) -> Option<(&'a ListenAddress, &'a App, &'a ListenAddress)> {
    if app.run.listen.is_empty() {
        return None;
    }
    let others = desired.projects.iter().filter(|(name, _)| **name != app.project);
    let apps = others.flat_map(|(_, project)| project.apps.values());
    let running = apps.filter(|other| other.desired_state == DesiredState::Up && other.instances() > 0);
    let mut theirs = running.flat_map(|other| other.spec.run.listen.iter().map(|address| (&*other.spec, address)));
    theirs.find_map(|(other, theirs)| {
        let ours = app.run.listen.iter().find(|ours| *ours == theirs || ours.excludes(theirs))?;
        Some((ours, other, theirs))
    })
}

/// Whether an apply has it run: not what waits for a user, or was stopped for good.
fn will_run(app: &App, stored: Option<&Project>) -> bool {
    match stored.and_then(|stored| stored.apps.get(&app.name)).map(|declared| &declared.desired_state) {
        Some(DesiredState::Up) => true,
        Some(DesiredState::Stopped { is_held, .. }) => !is_held,
        Some(DesiredState::NotStarted) | None => app.autostart,
    }
}
