//! Selectors → apps. Pure: everything that matters is an argument.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{AppId, AppName, Desired, Live, Project, ProjectName, Target};
use crate::wire::{Problem, ProblemCode, Scope, Selection};

/// Candidates named in an error.
const CANDIDATES_MAX: usize = 10;

/// The apps (or single slots) that a selection means, in order, each once.
///
/// # Errors
/// An unknown or ambiguous selector.
pub(super) fn select(desired: &Desired, selection: &Selection) -> Result<Vec<Target>, Problem> {
    if let Some(project) = selection.scope.project.as_ref().filter(|name| !desired.projects.contains_key(*name)) {
        // Never widened to other projects: the next word may be `delete all`.
        return Err(no_project(project.as_str()));
    }
    let view = View { desired, home: home(desired, &selection.scope), scope: &selection.scope };
    if selection.selectors.is_empty() {
        return Ok(whole(view.everything_in_scope()));
    }
    let mut targets: Vec<Target> = Vec::new();
    for selector in &selection.selectors {
        for target in view.resolve(selector)? {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

/// As [`select`]; without a selector, the apps of the caller's folder instead of all, if a project is declared there.
///
/// # Errors
/// An unknown or ambiguous selector.
pub(super) fn select_own(desired: &Desired, selection: &Selection) -> Result<Vec<Target>, Problem> {
    let Selection { selectors, scope } = selection;
    let home = home(desired, scope);
    if !selectors.is_empty() || scope.everywhere || scope.project.is_some() || home.is_empty() {
        return select(desired, selection);
    }
    let projects = desired.projects.iter().filter(|(name, _)| home.contains(name));
    Ok(whole(projects.flat_map(|(name, project)| apps_of(name, project)).collect()))
}

/// The one project that a call is about: the one that is named, that of the caller's folder, or the only one.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn one_project<'a>(desired: &'a Desired, scope: &Scope) -> Result<(&'a ProjectName, &'a Project), Problem> {
    let here = home(desired, scope);
    let candidates: Vec<&ProjectName> =
        if here.is_empty() && scope.project.is_none() { desired.projects.keys().collect() } else { here };
    match (candidates.as_slice(), &scope.project) {
        ([one], _) => desired.projects.get_key_value(*one).ok_or_else(|| no_project(one.as_str())),
        ([], Some(project)) => Err(no_project(project.as_str())),
        ([], None) => Err(Problem::new(ProblemCode::NoSuchApp, "no projects").hint("declare one with `pm apply`")),
        (several, _) => {
            let names = several.iter().take(CANDIDATES_MAX).map(ToString::to_string).collect();
            let message = "there are several projects";
            Err(Problem::new(ProblemCode::Ambiguous, message).hint("name one: `-p PROJECT`").details(names))
        }
    }
}

pub(super) fn no_project(name: &str) -> Problem {
    Problem::new(ProblemCode::NoSuchApp, format!("no project `{name}`")).hint("`pm projects` lists them")
}

/// Selected slots must exist: they are declared, or have a live process.
///
/// # Errors
/// A slot that is neither.
pub(super) fn existing(targets: Vec<Target>, desired: &Desired, live: &Live) -> Result<Vec<Target>, Problem> {
    let missing = targets.iter().find_map(|target| {
        let slot = target.slot?;
        let project = desired.projects.get(&target.app.project)?;
        let declared = project.apps.get(&target.app.name).filter(|declared| slot >= declared.instances())?;
        let instance = target.app.instance(slot);
        let is_alive = [instance.clone(), instance.successor()].iter().any(|id| live.instances.contains_key(id));
        (!is_alive).then_some((&target.app.name, slot, declared))
    });
    match missing {
        Some((name, slot, declared)) => {
            let message = format!("`{name}` has no slot {slot}");
            Err(Problem::new(ProblemCode::Usage, message).hint(declared.slots_text()))
        }
        None => Ok(targets),
    }
}

/// The projects that a bare name means first: `--project`, else those of the caller's folder or the nearest above.
fn home<'a>(desired: &'a Desired, scope: &Scope) -> Vec<&'a ProjectName> {
    if let Some(project) = &scope.project {
        return desired.projects.keys().filter(|name| *name == project).collect();
    }
    let at = |folder: &Path| -> Vec<&'a ProjectName> {
        let here = desired.projects.iter().filter(|(_, project)| project.origin.folder == folder);
        here.map(|(name, _)| name).collect()
    };
    let folders = scope.folder.iter().flat_map(|folder| folder.ancestors());
    folders.map(at).find(|found| !found.is_empty()).unwrap_or_default()
}

struct View<'a> {
    desired: &'a Desired,
    home: Vec<&'a ProjectName>,
    scope: &'a Scope,
}

impl<'a> View<'a> {
    fn resolve(&self, selector: &str) -> Result<Vec<Target>, Problem> {
        let (project, rest) = match selector.split_once(':') {
            Some((project, rest)) => (Some(project), rest),
            None => (None, selector),
        };
        let (name, slot) = match rest.split_once('/') {
            Some((name, slot)) => {
                let slot = slot.parse().map_err(|_| usage(selector, "a slot number must follow `/`"))?;
                (name, Some(slot))
            }
            None => (rest, None),
        };
        if name == "all" {
            let apps = self.all(project, selector)?;
            return if slot.is_none() { Ok(whole(apps)) } else { Err(usage(selector, "`all` has no slots")) };
        }
        let apps = self.named(project, name, selector)?;
        Ok(apps.into_iter().map(|app| Target { app, slot }).collect())
    }

    /// `all`, `shop:all`.
    fn all(&self, project: Option<&str>, selector: &str) -> Result<Vec<AppId>, Problem> {
        if let Some(wanted) = project {
            let Some((name, project)) = self.desired.projects.iter().find(|(name, _)| name.as_str() == wanted) else {
                return Err(self.unknown(selector));
            };
            return Ok(apps_of(name, project));
        }
        if self.scope.everywhere {
            return Ok(self.everything_in_scope());
        }
        let projects: Vec<&ProjectName> =
            if self.home.is_empty() { self.desired.projects.keys().collect() } else { self.home.clone() };
        match projects.as_slice() {
            [] => Err(Problem::new(ProblemCode::NoSuchApp, "no apps").hint("declare apps with `pm apply`")),
            [one] => Ok(self.desired.projects.get(*one).map(|project| apps_of(one, project)).unwrap_or_default()),
            several => {
                let names = several.iter().map(|name| format!("{name}:all")).collect();
                Err(Problem::new(
                    ProblemCode::Ambiguous,
                    "`all` means the apps of one project, but there are several projects",
                )
                .hint("name the project, or use `all -A` for every project")
                .details(names))
            }
        }
    }

    /// An app, or else a namespace.
    fn named(&self, project: Option<&str>, name: &str, selector: &str) -> Result<Vec<AppId>, Problem> {
        let by_name = |id: &AppId| id.name.as_str() == name;
        let by_namespace = |id: &AppId| self.namespace_of(id) == name;
        let everything = || self.everything_in_scope().into_iter();
        if let Some(project) = project {
            let inside = |id: &AppId| id.project.as_str() == project;
            let apps: Vec<AppId> = everything().filter(|id| inside(id) && by_name(id)).collect();
            let apps =
                if apps.is_empty() { everything().filter(|id| inside(id) && by_namespace(id)).collect() } else { apps };
            return if apps.is_empty() { Err(self.unknown(selector)) } else { Ok(apps) };
        }
        let at_home = |id: &AppId| self.home.contains(&&id.project);
        for is_it in [&by_name as &dyn Fn(&AppId) -> bool, &by_namespace] {
            let found: Vec<AppId> = everything().filter(|id| is_it(id)).collect();
            if self.scope.everywhere && !found.is_empty() {
                return Ok(found);
            }
            let own: Vec<AppId> = found.iter().filter(|id| at_home(id)).cloned().collect();
            let candidates = if own.is_empty() { found } else { own };
            let projects: BTreeSet<&ProjectName> = candidates.iter().map(|id| &id.project).collect();
            match projects.len() {
                0 => {}
                1 => return Ok(candidates),
                _ => return Err(ambiguous(selector, &candidates)),
            }
        }
        Err(self.unknown(selector))
    }

    fn everything_in_scope(&self) -> Vec<AppId> {
        let wanted = |name: &&ProjectName| self.scope.project.as_ref().is_none_or(|project| project == *name);
        let projects = self.desired.projects.iter().filter(|(name, _)| wanted(name));
        projects.flat_map(|(name, project)| apps_of(name, project)).collect()
    }

    fn namespace_of(&self, id: &AppId) -> &'a str {
        let project = self.desired.projects.get(&id.project);
        project.and_then(|project| project.apps.get(&id.name)).map_or("", |app| app.spec.namespace.as_str())
    }

    fn unknown(&self, selector: &str) -> Problem {
        let problem = Problem::new(ProblemCode::NoSuchApp, format!("no app `{selector}`"));
        let names = self.everything_in_scope();
        match nearest(selector, &names) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if selector.bytes().all(|byte| byte.is_ascii_digit()) => {
                problem.hint("apps are named, not numbered: `pm list` shows the names")
            }
            None => problem.hint("`pm list -A` shows all apps"),
        }
    }
}

fn apps_of(name: &ProjectName, project: &Project) -> Vec<AppId> {
    project.apps.keys().map(|app: &AppName| AppId::new(name.clone(), app.clone())).collect()
}

fn whole(apps: Vec<AppId>) -> Vec<Target> {
    apps.into_iter().map(|app| Target { app, slot: None }).collect()
}

fn usage(selector: &str, problem: &str) -> Problem {
    Problem::new(ProblemCode::Usage, format!("`{selector}` is not a selector: {problem}"))
        .hint("write `api`, `api/1`, `shop:api`, a namespace or `all`")
}

fn ambiguous(selector: &str, candidates: &[AppId]) -> Problem {
    let names = candidates.iter().take(CANDIDATES_MAX).map(ToString::to_string).collect();
    Problem::new(ProblemCode::Ambiguous, format!("`{selector}` exists in several projects"))
        .hint("name the project, or use `-A` for all of them")
        .details(names)
}

/// The name that was probably meant, written as the caller wrote his.
fn nearest(selector: &str, names: &[AppId]) -> Option<String> {
    let spelled = |id: &AppId| if selector.contains(':') { id.to_string() } else { id.name.to_string() };
    let typed = selector.split('/').next().unwrap_or(selector);
    let rated = names.iter().map(|id| {
        let name = spelled(id);
        // Letters put in, left out, exchanged or swapped.
        (strsim::osa_distance(typed, &name), name)
    });
    let (distance, name) = rated.min_by_key(|(distance, _)| *distance)?;
    let longer = typed.chars().count().max(name.chars().count());
    (distance * 5 <= longer * 2).then_some(name)
}

#[cfg(test)]
mod tests;
