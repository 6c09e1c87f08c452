//! Sockets that are held open for apps: which are needed, and which block others.

use super::run::Loop;
use crate::model::{AppId, AppName, DesiredState, ListenAddress, Project, ProjectName};

impl Loop {
    /// Where sockets are wanted by now: those of every app that should run stay open, whatever its processes do; those
    /// of processes that live; and those of specs that a rollout may roll back to. Of the app `but` only what its
    /// processes have.
    pub(super) fn listeners(&self, but: Option<&AppId>) -> Vec<ListenAddress> {
        let desired = self.desired.borrow();
        let projects = || desired.projects.iter();
        let counts =
            |project: &ProjectName, app: &AppName| but.is_none_or(|but| but.project != *project || but.name != *app);
        let is_up = |project: &Project, app: &AppName| {
            project.apps.get(app).is_some_and(|declared| declared.desired_state == DesiredState::Up)
        };
        let up = projects().flat_map(|(name, project)| {
            project
                .apps
                .iter()
                .filter(move |(app, declared)| counts(name, app) && is_up(project, app) && !declared.is_leaving)
        });
        let rollouts = projects().flat_map(|(name, project)| {
            project.rollouts.iter().filter(move |(app, _)| counts(name, app) && is_up(project, app))
        });
        let before = rollouts.filter_map(|(_, rollout)| rollout.from.as_ref());
        let alive = self.live.instances.values().filter(|live| live.phase.is_alive());
        let specs = up.map(|(_, app)| &app.spec).chain(before.map(|revision| &revision.spec));
        specs.chain(alive.map(|live| &live.spec)).flat_map(|spec| &spec.run.listen).cloned().collect()
    }

    /// Closes what is held open and keeps the `addresses` of `app` from being listened at, unless a process or another
    /// app has use for it. A rollback to such a socket opens it again.
    pub(super) fn make_room(&self, app: &AppId, addresses: &[ListenAddress]) {
        if addresses.is_empty() {
            return;
        }
        let supervisor = &self.deps.supervisor;
        let mut in_the_way = supervisor.listeners_in_the_way(addresses);
        if in_the_way.is_empty() {
            return;
        }
        let wanted = self.listeners(Some(app));
        in_the_way.retain(|address| !wanted.contains(address));
        supervisor.close_listeners(&in_the_way);
    }
}
