//! What is to be known besides the steps of a plan.

use super::clean;
use crate::cli::output::reasons::{rejected, rejection};
use crate::model::{AppName, Note};

/// One note in words; `None`: it has nothing to say here.
pub(super) fn note(note: &Note) -> Option<String> {
    Some(match note {
        Note::NotPruned { app } => format!("{app} is no longer in the file and stays (--no-prune)"),
        Note::NotInGeneration { app, generation } => {
            format!("{app} is not in generation {generation} and stays; `--prune` deletes it")
        }
        Note::Pinned { app, generation } => format!(
            "{app} stays as it was rolled back to generation {generation}: the file has not changed it since; `pm apply \
             --again` applies the file"
        ),
        Note::SelfHeal { from, to } if from.mode == to.mode => {
            format!("override_grace: {} -> {}", from.override_grace, to.override_grace)
        }
        Note::SelfHeal { from, to } => {
            format!("self_heal: \"{}\" -> \"{}\"", from.mode.as_str(), to.mode.as_str())
        }
        Note::NextStart { app, field } if field == "name" => format!("{app} gets its new name when it is next started"),
        Note::NextStart { app, field } => format!("{field} of {app} takes effect when it is next started"),
        Note::WriteMovedFrom { app, old } => {
            format!("if {app} is {old} under a new name, `moved_from = [\"{old}\"]` keeps its process")
        }
        // Stands in the heading.
        Note::Profile { .. } => return None,
        Note::SpecLost { app } => format!(
            "{app} is running, but its spec was lost and no file declares it: it is left alone; `pm delete {app}` stops it"
        ),
        Note::PortChosen { app, first, last, instead_of } => {
            let ports = if first == last { format!("port {first}") } else { format!("ports {first} to {last}") };
            match instead_of {
                Some(port) => format!("{app} gets {ports}: it cannot keep port {port}"),
                None => format!("{app} gets {ports}"),
            }
        }
        Note::PortTaken { app, port, pid, name } => {
            format!("port {port} of {app} is taken by process {pid} ({name})")
        }
        Note::NotReady { app, slots, why: Some(why) } => {
            format!("{} not ready yet: {}", copies_are(app, slots), clean(why))
        }
        Note::NotReady { app, slots, why: None } => format!("{} not ready yet", copies_are(app, slots)),
        Note::Unhealthy { app, slots, why } => format!("{} unhealthy: {}", copies_are(app, slots), clean(why)),
        Note::LimitsMissing { app, message } => format!("{app} runs without some of its limits: {message}"),
        Note::ScheduleSuspended { app } => format!("the schedule of {app} is suspended until `pm start {app}`"),
        Note::ScaledForLater { app, instances: 1 } => format!("{app} is not running; 1 copy is started next time"),
        Note::ScaledForLater { app, instances } => {
            format!("{app} is not running; {instances} copies are started next time")
        }
        Note::BuildCalledOff { app } => format!("the build of {app} was ended; none of its processes had been started"),
        Note::BuildsFirst { app } => {
            format!("{app} is built before it starts (`build`); if that fails, it is not started")
        }
        Note::FailedBefore { app, why } => {
            format!("this revision of {app} {} the last time: {}", rejected(why), clean(&rejection(why)))
        }
        Note::PauseEnded { app } => format!("the paused rollout of {app} ends: this version replaces it in all copies"),
        Note::OverrideCleared { app } => {
            format!("the file's number of copies of {app} replaces the one set with `pm scale`")
        }
        Note::RestartsWith { app, dependency } => {
            format!("{app} is restarted afterwards: it follows {dependency} (on_dependency_restart)")
        }
        Note::ShellTaken { apps, names } => format!("new for {} from this shell: {}", some(apps), some(names)),
        Note::ShellKept { apps, names } => {
            format!("kept for {}: {} as they were started with, not as in this shell", some(apps), some(names))
        }
    })
}

/// `a, b, c and 5 more`.
fn some<T: std::fmt::Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(ToString::to_string).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `api/0 is`, `api/0 and 3 more are`.
fn copies_are(app: &AppName, slots: &[u32]) -> String {
    match slots {
        [] => format!("{app} is"),
        [slot] => format!("{app}/{slot} is"),
        [slot, others @ ..] => format!("{app}/{slot} and {} more are", others.len()),
    }
}
