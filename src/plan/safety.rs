//! Safety rules of an apply: each refusal names the flag that confirms it.

use std::collections::BTreeSet;

use crate::model::{AppName, ApplyOptions, Confirm, EntryOrigin, Plan, Project, Proposed, Refusal, RefusalKind};

use super::target::Target;
use super::{INSTANCES_MAX, usage};

/// From so many apps on, deleting more than half of them needs a yes.
const MANY_APPS: usize = 4;

/// Refuses calls that make no sense.
pub(super) fn check_call(proposed: &Proposed, options: &ApplyOptions) -> Result<(), Refusal> {
    if let Some(app) = proposed.apps.iter().find(|app| app.project != proposed.project) {
        let hint = "send one project at a time".to_owned();
        return Err(usage(format!("app `{}` does not belong to project `{}`", app.id(), proposed.project), Some(hint)));
    }
    if let Some(app) = proposed.apps.iter().find(|app| app.instances.is_some_and(|count| count > INSTANCES_MAX)) {
        return Err(usage(format!("app `{}` asks for more than {INSTANCES_MAX} instances", app.name), None));
    }
    let known: BTreeSet<_> = proposed.apps.iter().map(|app| &app.name).collect();
    if let Some(unknown) = options.only.iter().find(|name| !known.contains(name)) {
        let known: Vec<_> = known.iter().map(|name| name.as_str()).collect();
        let hint = format!("it declares: {}", known.join(", "));
        return Err(usage(format!("`--only {unknown}`: the file does not declare this app"), Some(hint)));
    }
    Ok(())
}

/// Refuses another plan than the one that the person has seen.
pub(super) fn check_shown(plan: &Plan, options: &ApplyOptions) -> Result<(), Refusal> {
    match options.shown {
        Some(shown) if shown != plan.digest() => Err(Refusal {
            kind: RefusalKind::Stale,
            message: "the plan is no longer the one that was shown; nothing was done".to_owned(),
            hint: Some("look at it again: `pm apply --ask`".to_owned()),
            confirm: None,
        }),
        _ => Ok(()),
    }
}

/// Refuses a change of another generation than the one that was looked at.
pub(super) fn check_generation(
    stored: Option<&Project>,
    proposed: &Proposed,
    options: &ApplyOptions,
) -> Result<(), Refusal> {
    let generation = stored.map_or(0, |stored| stored.generation);
    let Some(wanted) = options.guard.if_generation.filter(|wanted| *wanted != generation) else { return Ok(()) };
    let project = &proposed.project;
    let entry = stored.and_then(|stored| stored.history.newest()).filter(|entry| entry.generation == generation);
    let by = entry.and_then(|entry| Some((entry, entry.by.as_ref()?)));
    Err(Refusal {
        kind: RefusalKind::Stale,
        message: match (generation, wanted) {
            (0, _) => format!("project `{project}` is new, and not at generation {wanted}; nothing was done"),
            (_, 0) => format!("project `{project}` is at generation {generation}, and not new; nothing was done"),
            _ => format!("project `{project}` is at generation {generation}, no longer at {wanted}; nothing was done"),
        },
        hint: Some(match by {
            Some((entry, by)) => {
                let what = match entry.origin {
                    EntryOrigin::Rollback { .. } => "a rollback",
                    EntryOrigin::Delete => "a delete",
                    EntryOrigin::Apply | EntryOrigin::Found | EntryOrigin::SelfHeal => "an apply",
                };
                format!("{what} by {} came first: `pm history`; look at the plan again", by.name)
            }
            None if generation == 0 => "look at the plan again: `pm plan`".to_owned(),
            None => "`pm events` shows what came first; look at the plan again".to_owned(),
        }),
        confirm: None,
    })
}

/// Refuses an empty file that nobody meant.
pub(super) fn check_empty(proposed: &Proposed, options: &ApplyOptions) -> Result<(), Refusal> {
    if proposed.apps.is_empty() && !options.allow_empty {
        return Err(Refusal {
            kind: RefusalKind::Safety,
            message: format!("the file declares no apps for project `{}`", proposed.project),
            hint: Some("confirm with `--allow-empty` if this is intended".to_owned()),
            confirm: Some(Confirm::AllowEmpty),
        });
    }
    Ok(())
}

/// Refuses an apply of nothing but what was rolled back.
pub(super) fn check_pinned(target: &Target, plan: &Plan) -> Result<(), Refusal> {
    let Some((app, generation)) = target.pinned.first().filter(|_| plan.is_empty()) else { return Ok(()) };
    let others = match target.pinned.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Err(Refusal {
        kind: RefusalKind::Safety,
        message: format!(
            "nothing has changed since `{app}`{others} was rolled back to generation {generation}: this would undo the \
             rollback"
        ),
        hint: Some("change the file, or apply it all the same with `--again`".to_owned()),
        confirm: Some(Confirm::Again),
    })
}

/// Refuses to delete what is protected. `back`: the generation that a rollback goes to.
pub(super) fn check_protected(stored: Option<&Project>, target: &Target, back: Option<u64>) -> Result<(), Refusal> {
    let Some(stored) = stored else { return Ok(()) };
    let is_protected = |name: &&AppName| stored.apps.get(*name).is_some_and(|declared| declared.spec.protect);
    let protected: Vec<_> = target.leaving.iter().filter(is_protected).map(|name| format!("`{name}`")).collect();
    if !protected.is_empty() {
        return Err(Refusal {
            kind: RefusalKind::Safety,
            message: match back {
                None => format!("{} is no longer in the file but has `protect = true`", protected.join(", ")),
                Some(generation) => {
                    format!("{} is not in generation {generation} but has `protect = true`", protected.join(", "))
                }
            },
            hint: Some(match back {
                None => "keep it with `--no-prune`, or delete it with `pm delete`".to_owned(),
                Some(_) => "keep it (omit `--prune`), or delete it with `pm delete`".to_owned(),
            }),
            confirm: None,
        });
    }
    Ok(())
}

/// Refuses to delete too much at once.
pub(super) fn check_deletes(stored: Option<&Project>, target: &Target, options: &ApplyOptions) -> Result<(), Refusal> {
    let Some(stored) = stored else { return Ok(()) };
    let (leaving, all) = (target.leaving.len(), stored.apps.len());
    if all >= MANY_APPS && leaving * 2 > all && !options.yes {
        return Err(Refusal {
            kind: RefusalKind::Safety,
            message: format!("this would delete {leaving} of the {all} apps of the project"),
            hint: Some("check with `pm plan`, then confirm with `--yes`".to_owned()),
            confirm: Some(Confirm::Yes),
        });
    }
    Ok(())
}
