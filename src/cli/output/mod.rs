//! Words, tables, colours: the only place that writes to the terminal.

mod colours;
pub(super) mod details;
pub(super) mod event;
mod gate;
pub(super) mod history;
pub(super) mod instances;
pub(super) mod lines;
mod outlet;
pub(super) mod plan;
pub(super) mod progress;
mod reasons;
mod region;
pub(super) mod schedules;
mod screen;
pub(super) mod status;
mod table;
pub(super) mod time;
pub(super) mod underway;
mod wrap;

use serde::Serialize;
use serde_json::Value;

use crate::model::{Origin, Plan, write_units};
use crate::os;
use crate::wire::{PlanAnswer, RollbackAnswer};

pub(super) use colours::Colours;
pub(super) use gate::{harmless, harmless_lines};
pub(super) use screen::{Paint, Screen};
pub(super) use table::{TextTable, Tone};
pub(super) use wrap::{wrap, wrap_hanging};

/// A document with `apps`, their specs (or what they are) in the units of the file.
pub(super) fn in_file_units<T: Serialize>(document: &T) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for app in document.get_mut("apps").and_then(Value::as_array_mut).into_iter().flatten() {
        match app.get_mut("spec") {
            Some(spec) => write_units(spec),
            None => write_units(app),
        }
    }
    document
}

/// A plan that an apply may refuse, with what it is refused for.
pub(super) fn answer_text(answer: &PlanAnswer, origin: &Origin, paint: Paint, width: Option<usize>) -> String {
    plan_text(&answer.plan, Some(origin), paint, width) + &plan::refused("apply", &answer.refusals)
}

/// What a rollback would do, and what it is refused for.
pub(super) fn rollback_text(answer: &RollbackAnswer, paint: Paint, width: Option<usize>) -> String {
    let plan = plan_text(&answer.plan, None, paint, width);
    format!("rollback to generation {}\n{plan}{}", answer.to, plan::refused("rollback", &answer.refusals))
}

/// What of a plan that was shown is another one by now.
pub(super) fn plan_changes(shown: &Plan, now: &Plan) -> Vec<String> {
    plan::changes(shown, now, os::wall())
}

/// A plan as text; with its files and profile, where it comes from files.
pub(super) fn plan_text(plan: &Plan, origin: Option<&Origin>, paint: Paint, width: Option<usize>) -> String {
    let files: Vec<String> =
        origin.iter().flat_map(|origin| &origin.files).map(|file| file.display().to_string()).collect();
    let profile = origin.and_then(|origin| origin.profile.as_deref());
    let view = plan::View { files: &files, profile, now: os::wall(), is_coloured: paint.is_on, width };
    let mut text = String::new();
    plan::write_plan(&mut text, plan, &view);
    text
}
