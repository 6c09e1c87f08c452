//! Changes become part of what is declared.

use super::{Change, Desired, Project};
use crate::model::ProjectName;

impl Desired {
    /// Takes one change in. Changes to unknown projects or apps create what they name, or do nothing.
    pub fn accept(&mut self, change: Change) {
        match change {
            Change::Project { name, origin, generation } => {
                let project = self.project_mut(name);
                project.origin = origin;
                project.generation = generation;
            }
            Change::ProjectRemoved { name } => {
                self.projects.remove(&name);
            }
            Change::App { project, name, declared } => {
                self.project_mut(project).apps.insert(name, *declared);
            }
            Change::AppRemoved { project, name } => {
                if let Some(project) = self.projects.get_mut(&project) {
                    project.apps.remove(&name);
                    project.rollouts.remove(&name);
                }
            }
            Change::Rollout { project, name, rollout } => {
                let Some(project) = self.projects.get_mut(&project) else { return };
                match rollout {
                    Some(rollout) if project.apps.contains_key(&name) => project.rollouts.insert(name, *rollout),
                    Some(_) => None,
                    None => project.rollouts.remove(&name),
                };
            }
            Change::History { project, generation, entry } => {
                let Some(project) = self.projects.get_mut(&project) else { return };
                match entry {
                    Some(entry) => project.history.put(*entry),
                    None => project.history.forget(generation),
                }
            }
            Change::Source { name, source: Some(source) } => drop(self.sources.insert(name, *source)),
            Change::Source { name, source: None } => drop(self.sources.remove(&name)),
            Change::ShutDown { is_shut_down } => self.is_shut_down = is_shut_down,
        }
    }

    fn project_mut(&mut self, name: ProjectName) -> &mut Project {
        self.projects.entry(name).or_default()
    }
}
