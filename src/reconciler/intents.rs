//! Requests of users: planned, saved, then passed to the jobs.

use std::collections::BTreeMap;
use std::path::Path;

use super::pass::every_project;
use super::run::Loop;
use super::view::view_of;
use super::{Accepted, Intent, ReconcileError, healing, history, notes, ports, sources};
use crate::model::{
    Actor, AppId, AppName, ApplyOptions, Cause, Change, Desired, Edit, EntryOrigin, Plan, Project, ProjectName,
    Proposed, Refusal, Rollout, RolloutCommand, RolloutStatus, Target,
};
use crate::os;
use crate::plan::{self, EditRequest, HistoryNews};

impl Loop {
    /// The caller may be gone; an answer that nobody takes is fine everywhere here.
    pub(super) async fn take(&mut self, intent: Intent) {
        match intent {
            Intent::Trigger(app, cause, acted) => self.trigger(app, cause, Some(acted)).await,
            Intent::Heal(files) => healing::heal(self, &files).await,
            Intent::Completed(job, report) => self.reports.completed(job, report),
            Intent::Rehearsed(instance, number, result) => self.rehearsed(instance, number, result),
            Intent::Desired(reply) => drop(reply.send(self.current())),
            Intent::Rollouts(reply) => drop(reply.send(self.rollouts())),
            Intent::Plan(proposed, options, reply) => drop(reply.send(self.plan(&proposed, &options).await)),
            Intent::Apply(proposed, options, by, reply) => {
                let accepted = self.apply(&proposed, &options, by).await;
                let _ = reply.send(accepted);
            }
            Intent::Edit(targets, edit, by, reply) => {
                let accepted = self.edit(&targets, &edit, &by).await;
                let _ = reply.send(accepted);
            }
            Intent::CommandRollout(app, command, reply) => {
                let wanted = self.command_rollout(&app, command).await;
                let _ = reply.send(wanted);
            }
            Intent::Rollback(project, options, by, reply) => {
                let accepted = history::roll_back(self, &project, &options, by).await;
                let _ = reply.send(accepted);
            }
            Intent::PlanRollback(project, options, reply) => {
                let _ = reply.send(history::plan_rollback(self, &project, &options).await);
            }
            Intent::Tag(project, entry, tag, reply) => {
                let _ = reply.send(history::tag(self, &project, &entry, tag.as_deref()).await);
            }
            Intent::Revisions(project, entry, reply) => drop(reply.send(history::revisions(self, &project, &entry))),
            Intent::Source(source, command, by, reply) => {
                let _ = reply.send(sources::command(self, source, *command, &by).await);
            }
            Intent::SourceWork(source, has_releases, reply) => {
                self.look().await;
                let _ = reply.send(sources::work(self, &source, has_releases));
            }
            Intent::StopAll(by, is_remembered, reply) => {
                let accepted = self.stop_all(&by, is_remembered).await;
                let _ = reply.send(accepted);
            }
        }
    }

    fn rollouts(&self) -> Vec<RolloutStatus> {
        self.jobs.rollouts(&view_of(&self.current(), &self.live))
    }

    /// What lives, with a look at whether anybody can connect to the sockets of apps.
    pub(super) async fn look_at_sockets(&mut self) {
        self.look().await;
        let unreachable = self.deps.supervisor.unreachable(&self.live);
        for (id, instance) in &mut self.live.instances {
            instance.is_unreachable = unreachable.contains(id);
        }
    }

    /// What is refused by an apply can be looked at all the same.
    async fn plan(
        &mut self,
        proposed: &Proposed,
        options: &ApplyOptions,
    ) -> Result<(Plan, Vec<Refusal>), ReconcileError> {
        self.look_at_sockets().await;
        let desired = self.current();
        let proposed = &*sources::settle(self, proposed, options);
        let stored = desired.projects.get(&proposed.project);
        let (proposed, chosen) = ports::chosen(self, &desired, proposed, options)?;
        let proposed = &*proposed;
        let planned = plan::plan(stored, proposed, &self.live, options).map_err(ReconcileError::Refused)?;
        let (mut plan, mut refusals) = planned;
        plan.notes.extend(chosen);
        refusals.extend(plan::check_source(&desired, proposed, options).err());
        refusals.extend(plan::check_sockets(&desired, proposed, options).err());
        refusals.extend(plan::check_checkout(stored, proposed, options, |file| is_elsewhere(file, proposed)).err());
        notes::add(&mut plan, proposed, &self.live, &self.deps.supervisor);
        Ok((plan, refusals))
    }

    async fn apply(
        &mut self,
        proposed: &Proposed,
        options: &ApplyOptions,
        by: Actor,
    ) -> Result<Accepted, ReconcileError> {
        self.look_at_sockets().await;
        let desired = self.current();
        let proposed = &*sources::settle(self, proposed, options);
        let by = sources::actor(by, options);
        plan::check_source(&desired, proposed, options).map_err(ReconcileError::Refused)?;
        plan::check_sockets(&desired, proposed, options).map_err(ReconcileError::Refused)?;
        let stored = desired.projects.get(&proposed.project);
        plan::check_checkout(stored, proposed, options, |file| is_elsewhere(file, proposed))
            .map_err(ReconcileError::Refused)?;
        let (proposed, chosen) = ports::chosen(self, &desired, proposed, options)?;
        let proposed = &*proposed;
        let mut decision = plan::decide(stored, proposed, &self.live, options).map_err(ReconcileError::Refused)?;
        decision.plan.notes.extend(chosen);
        notes::add(&mut decision.plan, proposed, &self.live, &self.deps.supervisor);
        if desired.is_shut_down {
            decision.changes.push(Change::ShutDown { is_shut_down: false });
        }
        let (origin, provenance) = (&EntryOrigin::Apply, Some(&proposed.provenance));
        let news = HistoryNews { by: Some(&by), at: os::wall(), origin, provenance };
        decision.changes.extend(plan::recorded(&proposed.project, stored, &decision.changes, &news));
        let unremembered = self.decide_over(&desired, decision.changes).await?;
        let generation = self.generation_of(&proposed.project);
        let cause = Cause::Apply { by, generation };
        self.emit_accepted(&decision.plan, generation, &cause);
        Ok(Accepted { unremembered, ..self.execute(decision.plan, cause) })
    }

    /// Keeps what a user has decided; older steps about the same apps end. What could not be remembered, if anything.
    pub(super) async fn decide_over(
        &mut self,
        before: &Desired,
        changes: Vec<Change>,
    ) -> Result<Option<String>, ReconcileError> {
        let unremembered = self.keep_or_take_down(changes.clone()).await?;
        self.jobs.supersede(before, &changes);
        Ok(unremembered)
    }

    async fn edit(&mut self, targets: &[Target], edit: &Edit, by: &Actor) -> Result<Vec<Accepted>, ReconcileError> {
        let mut by_project: BTreeMap<ProjectName, Vec<(AppName, Option<u32>)>> = BTreeMap::new();
        for target in targets {
            by_project.entry(target.app.project.clone()).or_default().push((target.app.name.clone(), target.slot));
        }
        self.look().await;
        let mut changes = Vec::new();
        let desired = self.current();
        let (at, known) = (os::wall(), every_project(&desired, &self.live));
        for (project, targets) in &by_project {
            if !known.contains(project) {
                return Err(ReconcileError::NoSuchApp { app: project.to_string() });
            }
            let stored = desired.projects.get(project).cloned().unwrap_or_default();
            let request = EditRequest { project, targets, edit, by: &by.name, at };
            let edited = plan::edit(&stored, &self.live, &request).map_err(ReconcileError::Refused)?;
            let news = HistoryNews { by: Some(by), at, origin: &EntryOrigin::Delete, provenance: None };
            let entry = plan::recorded(project, Some(&stored), &edited, &news);
            changes.extend(edited.into_iter().chain(entry));
        }
        let moved = ports::moved(self, &desired, &mut changes)?;
        if desired.is_shut_down && matches!(edit, Edit::Start | Edit::Restart | Edit::Run) {
            changes.push(Change::ShutDown { is_shut_down: false });
        }
        let building = self.jobs.building().into_iter().map(|(app, _)| app).collect();
        let unremembered = self.decide_over(&desired, changes).await?;
        let cause = Cause::Command { by: by.clone(), verb: edit.verb().to_owned() };
        let is_alone = targets.len() == 1;
        let mut accepted = Vec::new();
        for (name, targets) in by_project {
            let project = self.current().projects.get(&name).cloned();
            // One that is gone with its last app keeps its number: it is not new.
            let generation = desired.projects.get(&name).map_or(0, |before| before.generation);
            let project = project.unwrap_or_else(|| Project { generation, ..Project::default() });
            let mut plan = plan::plan_edited(&name, &project, &self.live, &targets, edit, is_alone);
            if *edit != Edit::Reload {
                plan.restart_at_once(|app| project.may_restart_at_once(app));
            }
            let request = EditRequest { project: &name, targets: &targets, edit, by: &by.name, at };
            plan::add_forgotten(&mut plan, &project, &self.live, &request);
            plan::add_ended_builds(&mut plan, &building, &project, &request);
            if let Some(before) = desired.projects.get(&name) {
                plan::add_edit_notes(&mut plan, before, &project, &request);
            }
            plan.notes.extend(moved.iter().filter(|(project, _)| *project == name).map(|(_, note)| note.clone()));
            self.emit_accepted(&plan, project.generation, &cause);
            accepted.push(Accepted { unremembered: unremembered.clone(), ..self.execute(plan, cause.clone()) });
        }
        Ok(accepted)
    }

    /// Keeps whether a rollout is paused or to be aborted. False: there is none, or it is rolled back already.
    async fn command_rollout(&mut self, app: &AppId, command: RolloutCommand) -> Result<bool, ReconcileError> {
        let (project, name) = (app.project.clone(), app.name.clone());
        let desired = self.current();
        let known = desired.projects.get(&project).and_then(|project| project.rollouts.get(&name)).cloned();
        let known = known.unwrap_or_default();
        let is_open = |rollout: &RolloutStatus| rollout.app == *app && rollout.command != RolloutCommand::Abort;
        // One that is kept may have no step in progress: it waits for something else.
        if !known.is_open() && !self.rollouts().iter().any(is_open) {
            return Ok(false);
        }
        let (is_paused, is_aborted) = (command == RolloutCommand::Pause, command == RolloutCommand::Abort);
        let rollout = Rollout { is_paused, is_aborted, ..known.clone() };
        if rollout != known {
            let rollout = Some(rollout).filter(|rollout| *rollout != Rollout::default()).map(Box::new);
            self.keep(vec![Change::Rollout { project, name, rollout }]).await?;
        }
        self.dirty.apps.insert(app.clone());
        Ok(true)
    }

    async fn stop_all(&mut self, by: &Actor, is_remembered: bool) -> Result<Vec<Accepted>, ReconcileError> {
        let mut unremembered = None;
        if is_remembered {
            unremembered = self.keep_or_take_down(vec![Change::ShutDown { is_shut_down: true }]).await?;
        }
        self.is_leaving = true;
        self.jobs.supersede_all();
        self.look().await;
        let cause = Cause::Command { by: by.clone(), verb: "shutdown".into() };
        let desired = self.current();
        let mut accepted = Vec::new();
        for name in every_project(&desired, &self.live) {
            let project = desired.projects.get(&name).cloned().unwrap_or_default();
            let plan = plan::plan_shutdown(&name, &project, &self.live, &by.name);
            accepted.push(Accepted { unremembered: unremembered.clone(), ..self.execute(plan, cause.clone()) });
        }
        Ok(accepted)
    }
}

/// Whether a file exists that is none of those which are proposed, by whatever way.
fn is_elsewhere(file: &Path, proposed: &Proposed) -> bool {
    let real = |path: &Path| os::canonicalize(path).ok();
    real(file).is_some_and(|old| !proposed.origin.files.iter().any(|new| real(new).as_ref() == Some(&old)))
}
