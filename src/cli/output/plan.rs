//! A plan as text: one line per operation with its sign and causes, what to know besides, and the counts.

mod notes;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};
use unicode_width::UnicodeWidthStr;

use self::notes::note;
use super::gate::harmless;
use super::wrap::wrap_hanging;
use crate::model::{
    AppName, Confirm, FieldChange, HIDDEN, Millis, Note, Operation, Plan, Reason, Refusal, Summary, UpdateStrategy,
    Verb, VerbKind, WallTime,
};

/// Longer values are cut: a plan is read, not parsed.
const VALUE_COLUMNS_MAX: usize = 48;

/// What is before the name: `  -/+ `.
const SIGN_COLUMNS: usize = 6;

/// Of what two long values have in common, at least this much is shown before the difference.
const COLUMNS_BEFORE_MIN: usize = 12;

/// What surrounds a plan on the terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// The files, as a user would name them.
    pub files: &'a [String],
    /// The profile in use.
    pub profile: Option<&'a str>,
    /// Now, for "2h ago".
    pub now: WallTime,
    /// Whether the terminal shows colours.
    pub is_coloured: bool,
    /// Columns of the terminal.
    pub width: Option<usize>,
}

/// What a rename does with processes, unless they are replaced, too.
const PID_KEPT: &str = "pid kept";

/// Appends the whole plan to `out`.
pub fn write_plan(out: &mut String, plan: &Plan, view: &View) {
    write_heading(out, plan, view);
    let is_replaced = |app: &AppName| {
        let replaces = |verb: &Verb| matches!(verb, Verb::Roll { .. } | Verb::Restart { .. });
        plan.operations.iter().any(|operation| operation.app == *app && replaces(&operation.verb))
    };
    let shown = |operation: &Operation| {
        let row = row(operation, view.now)?;
        // The next line of the same app says that its processes are not kept.
        let is_over = matches!(operation.verb, Verb::Rename { .. }) && is_replaced(&operation.app);
        let why =
            if is_over { row.why.trim_start_matches(PID_KEPT).trim_start_matches(", ").to_owned() } else { row.why };
        Some(PlanRow { why, ..row })
    };
    let rows: Vec<PlanRow> = plan.operations.iter().filter_map(shown).collect();
    let width = |cell: fn(&PlanRow) -> &str| rows.iter().map(|row| cell(row).width()).max().unwrap_or(0);
    let (name_columns, action_columns) = (width(|row| &row.name), width(|row| &row.action));
    for row in &rows {
        let PlanRow { sign, name, action, why } = row;
        let mut line = format!("{}{}  {}{}  {why}", name, pad(name, name_columns), action, pad(action, action_columns));
        line.truncate(line.trim_end().len());
        let is_too_long = view.width.is_some_and(|width| SIGN_COLUMNS + line.width() > width);
        if is_too_long && !why.is_empty() {
            line = format!("{}{}  {action}", name, pad(name, name_columns));
        }
        let _ = writeln!(out, "  {} {line}", painted(&format!("{:<3}", sign.text()), sign.style(), view));
        if is_too_long && !why.is_empty() {
            let indent = SIGN_COLUMNS + name_columns + 2;
            wrap_hanging(out, &format!("{}{why}", " ".repeat(indent)), view.width, indent + 2);
        }
    }
    if let Some(rest) = rest(plan) {
        let _ = writeln!(out, "  {} {rest}", painted(".  ", Style::new().effects(Effects::DIMMED), view));
    }
    let is_still_so =
        |note: &&Note| !matches!(note, Note::NextStart { app, field } if field == "name" && is_replaced(app));
    for note in plan.notes.iter().filter(is_still_so).filter_map(note) {
        let _ = writeln!(
            out,
            "  {}",
            painted(&clean(&format!("note: {note}")), Style::new().effects(Effects::DIMMED), view)
        );
    }
    out.push_str(&last_line(plan));
    out.push('\n');
}

/// What an apply or a rollback is refused for, and what it asks for; empty if it is not refused.
pub fn refused(verb: &str, refusals: &[Refusal]) -> String {
    let mut text = String::new();
    for Refusal { message, hint, confirm, .. } in refusals {
        let _ = writeln!(text, "`pm {verb}` would be refused: {}", clean(message));
        // The flags are named together.
        if let Some(hint) = hint.as_ref().filter(|_| confirm.is_none()) {
            let _ = writeln!(text, "  hint: {}", clean(hint));
        }
    }
    let flags: Vec<&str> = refusals.iter().filter_map(|refusal| refusal.confirm).map(Confirm::flag).collect();
    if !flags.is_empty() {
        let rest = if flags.len() < refusals.len() { ", once the rest is fixed" } else { "" };
        let _ = writeln!(text, "If this is intended{rest}: `pm {verb} {}`", flags.join(" "));
    }
    text
}

/// The counts: `1 roll, 1 start, +2 slots`; empty if nothing is to be done.
pub fn counts(summary: &Summary) -> String {
    let plural = |count: u32, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let Summary {
        start,
        roll,
        reconfigure,
        scheduled,
        slots_added,
        slots_removed,
        rename,
        replace,
        stop,
        delete,
        drift,
        ..
    } = *summary;
    let live = reconfigure.saturating_sub(scheduled);
    let parts = [
        (roll, plural(roll, "roll", "rolls")),
        (replace, plural(replace, "replacement", "replacements")),
        (live, format!("{live} live")),
        (scheduled, format!("{scheduled} scheduled")),
        (start, plural(start, "start", "starts")),
        (slots_added, format!("+{}", plural(slots_added, "slot", "slots"))),
        (slots_removed, format!("-{}", plural(slots_removed, "slot", "slots"))),
        (rename, plural(rename, "rename", "renames")),
        (stop, plural(stop, "stop", "stops")),
        (delete, plural(delete, "delete", "deletes")),
        (drift, format!("{drift} drift")),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    parts.join(", ")
}

/// What is another plan by now: lines that were shown and are gone, and new ones.
pub fn changes(shown: &Plan, now: &Plan, at: WallTime) -> Vec<String> {
    let line = |one: &PlanRow| clean(&format!("{} {}  {}  {}", one.sign.text(), one.name, one.action, one.why));
    let lines = |plan: &Plan| -> Vec<String> {
        let rows = plan.operations.iter().filter_map(|operation| row(operation, at));
        rows.map(|row| line(&row).trim_end().to_owned()).collect()
    };
    let (before, after) = (lines(shown), lines(now));
    let mut changes = Vec::new();
    if shown.generation != now.generation {
        changes.push(format!("the project is at generation {}, no longer {}", now.generation, shown.generation));
    }
    changes.extend(before.iter().filter(|line| !after.contains(line)).map(|line| format!("no longer: {line}")));
    changes.extend(after.iter().filter(|line| !before.contains(line)).map(|line| format!("now: {line}")));
    if shown.summary.interrupted != now.summary.interrupted {
        let (before, after) = (shown.summary.interrupted, now.summary.interrupted);
        changes.push(format!("processes interrupted: {after}, no longer {before}"));
    }
    changes
}

fn last_line(plan: &Plan) -> String {
    if plan.is_empty() {
        let has_change = plan.notes.iter().any(Note::is_about_a_change);
        let words = if has_change { "no process is started or stopped" } else { "nothing to do" };
        return format!("Plan: {words}.");
    }
    format!("Plan: {}. Processes interrupted: {}", counts(&plan.summary), plan.summary.interrupted)
}

fn write_heading(out: &mut String, plan: &Plan, view: &View) {
    let mut parts = vec![format!("project {}", plan.project)];
    parts.extend(Some(view.files.join(", ")).filter(|files| !files.is_empty()));
    parts.extend(view.profile.map(|profile| format!("profile {profile}")));
    parts.push(if plan.generation == 0 { "new".to_owned() } else { format!("generation {}", plan.generation) });
    let _ = writeln!(out, "{}", painted(&clean(&parts.join("   ")), Style::new().effects(Effects::BOLD), view));
}

/// One line of the table.
struct PlanRow {
    sign: Sign,
    name: String,
    action: String,
    why: String,
}

/// What a line is about, at a glance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Appears,
    Leaves,
    IsReplaced,
    Follows,
    Scales,
    IsRenamed,
    Drifted,
}

impl Sign {
    fn text(self) -> &'static str {
        match self {
            Self::Appears => "+",
            Self::Leaves => "-",
            Self::IsReplaced => "-/+",
            Self::Follows => "~",
            Self::Scales => "^",
            Self::IsRenamed => ">",
            Self::Drifted => "!",
        }
    }

    fn style(self) -> Style {
        let colour = match self {
            Self::Appears => AnsiColor::Green,
            Self::Leaves => AnsiColor::Red,
            Self::IsReplaced | Self::Follows => AnsiColor::Yellow,
            Self::Scales | Self::IsRenamed => AnsiColor::Cyan,
            Self::Drifted => AnsiColor::Magenta,
        };
        colour.on_default()
    }
}

/// The line of an operation; none for what is only counted.
fn row(operation: &Operation, now: WallTime) -> Option<PlanRow> {
    let was_stopped = operation.reasons.iter().any(|reason| matches!(reason, Reason::WasStopped { .. }));
    let is_kept_drift = operation.verb == Verb::Keep && operation.reasons.iter().any(is_scaled_by_hand);
    let (sign, action) = match &operation.verb {
        Verb::Start { .. } if was_stopped => (Sign::Drifted, stopped_before(operation, now)),
        Verb::Start { slots } => (Sign::Appears, format!("start {}", slots.len())),
        Verb::Roll { slots, strategy, batch } => (Sign::IsReplaced, roll(slots.len(), *strategy, *batch)),
        Verb::Restart { slots, .. } => (Sign::IsReplaced, format!("restart {}", slots.len())),
        Verb::Scale { from, to, .. } => (Sign::Scales, format!("scale {from} -> {to}")),
        Verb::Reconfigure if operation.kind() == VerbKind::Schedule => (Sign::Appears, "scheduled".to_owned()),
        Verb::Reconfigure if operation.reasons.iter().any(|reason| matches!(reason, Reason::StoppedByHand { .. })) => {
            (Sign::Follows, "declared, not started".to_owned())
        }
        Verb::Reconfigure => (Sign::Follows, "live, 0 restarts".to_owned()),
        Verb::Rename { from } => (Sign::IsRenamed, format!("renamed from {from}")),
        Verb::Replace { old, .. } => (Sign::IsReplaced, format!("replaces {old}")),
        Verb::Stop { slots } => (Sign::Leaves, format!("stop {}", slots.len())),
        Verb::Delete { slots } => (Sign::Leaves, format!("delete {}", slots.len())),
        Verb::Keep if is_kept_drift => (Sign::Drifted, "kept".to_owned()),
        Verb::Keep | Verb::Hold => return None,
    };
    let mut causes = slot_texts(&operation.verb);
    causes.extend(operation.reasons.iter().filter_map(|reason| cause(&operation.verb, reason)));
    Some(PlanRow { sign, name: operation.app.to_string(), action: clean(&action), why: clean(&causes.join(", ")) })
}

fn is_scaled_by_hand(reason: &Reason) -> bool {
    matches!(reason, Reason::ScaledByHand { .. })
}

/// `stopped by alice 2h ago -> start`.
fn stopped_before(operation: &Operation, now: WallTime) -> String {
    let when = operation.reasons.iter().find_map(|reason| match reason {
        Reason::WasStopped { by, at } => Some(format!("stopped by {by} {}", ago(*at, now))),
        _ => None,
    });
    format!("{} -> start", when.unwrap_or_else(|| "stopped".to_owned()))
}

pub(in crate::cli) fn ago(at: WallTime, now: WallTime) -> String {
    let text = Millis(now.0.saturating_sub(at.0)).to_string();
    format!("{} ago", text.split(' ').next().unwrap_or_default())
}

/// `roll 3, 1 at a time, new before old`.
fn roll(count: usize, strategy: UpdateStrategy, batch: u32) -> String {
    let steps = match usize::try_from(batch) {
        _ if count == 1 => "roll 1".to_owned(),
        Ok(batch) if batch < count => format!("roll {count}, {batch} at a time"),
        _ => format!("roll {count}, all at once"),
    };
    match strategy {
        UpdateStrategy::Rolling => format!("{steps}, new before old"),
        UpdateStrategy::Restart | UpdateStrategy::Together => format!("{steps}, brief gap"),
    }
}

/// What happens to which slots, where the action alone does not say it.
fn slot_texts(verb: &Verb) -> Vec<String> {
    match verb {
        Verb::Scale { add, remove, .. } => {
            [slots_text(add, "start"), slots_text(remove, "stop")].into_iter().flatten().collect()
        }
        Verb::Rename { .. } => vec![PID_KEPT.to_owned()],
        _ => Vec::new(),
    }
}

fn slots_text(slots: &[u32], action: &str) -> Option<String> {
    match slots {
        [] => None,
        [slot] => Some(format!("slot {slot} {action}s")),
        [first, .., last] if slots.len() > 3 => Some(format!("slots {first} to {last} {action}")),
        _ => {
            let slots: Vec<_> = slots.iter().map(ToString::to_string).collect();
            Some(format!("slots {} {action}", slots.join(", ")))
        }
    }
}

/// A cause in words; none where the sign and the action have said it already.
fn cause(verb: &Verb, reason: &Reason) -> Option<String> {
    Some(match reason {
        Reason::New | Reason::WasStopped { .. } | Reason::MovedFrom { .. } => return None,
        Reason::Field(change) if matches!(verb, Verb::Scale { .. }) && change.field == "instances" => return None,
        Reason::Field(change) => field(change),
        Reason::RestartAsked => "restart requested".to_owned(),
        Reason::NotRunning => "not running".to_owned(),
        Reason::WasErrored => "retrying after giving up".to_owned(),
        Reason::WasInBackoff => "retrying without waiting for the backoff".to_owned(),
        Reason::RolloutUnfinished => "a rollout was interrupted".to_owned(),
        Reason::DependencyRestarted { app } => format!("{app} got a new process"),
        Reason::SpecLost => "its spec was lost".to_owned(),
        Reason::Unreachable => "nobody can connect to its socket".to_owned(),
        Reason::OutOfDate => "runs an older spec".to_owned(),
        Reason::ScaledByHand { to } => format!("scaled to {to} with `pm scale`"),
        Reason::NotInFile => "no longer in the file".to_owned(),
        Reason::NotInGeneration { generation } => format!("not in generation {generation}"),
        Reason::DeletedByHand => "`pm delete`; an apply of a file that declares it brings it back".to_owned(),
        Reason::LooksLikeRename { old } => format!("looks like {old} under a new name"),
        Reason::StoppedByHand { by, is_held } => {
            let action = if *is_held { "held" } else { "stopped" };
            if by.is_empty() { format!("{action} by a user") } else { format!("{action} by {by}") }
        }
        Reason::NotAutostarted => "autostart = false".to_owned(),
        Reason::TooMany => "more copies than declared".to_owned(),
        Reason::RunsOnTime => "runs at its times".to_owned(),
        Reason::Due => "scheduled run due".to_owned(),
        Reason::RunAsked => "run requested".to_owned(),
    })
}

/// `env.LOG_LEVEL "info" -> "debug"`; of a secret only that it changed.
pub(super) fn field(change: &FieldChange) -> String {
    let FieldChange { field, old, new, is_sensitive, from_shell } = change;
    let mut text = match (old, new, is_sensitive) {
        // What differs is hidden.
        (Some(old), Some(new), true) if old == new => format!("{field} (sensitive) changed"),
        (None, Some(new), true) if new == HIDDEN => format!("{field} (sensitive) set"),
        (Some(_), None, _) => format!("{field} removed"),
        (Some(old), Some(new), _) => {
            let (old, new) = around_difference(old, new);
            format!("{field} {old} -> {new}")
        }
        (old, new, _) => format!("{field} {} -> {}", value(old.as_deref()), value(new.as_deref())),
    };
    if let Some(variable) = from_shell {
        let _ = write!(text, " (from ${variable} of your shell)");
    }
    text
}

fn value(value: Option<&str>) -> String {
    let Some(value) = value else { return "(not set)".to_owned() };
    if value.width() <= VALUE_COLUMNS_MAX {
        return value.to_owned();
    }
    let mut short = String::new();
    for letter in value.chars() {
        if short.width() + 2 > VALUE_COLUMNS_MAX {
            break;
        }
        short.push(letter);
    }
    short + "…"
}

/// Two values, cut so that what differs can be seen.
fn around_difference(old: &str, new: &str) -> (String, String) {
    if old.width().max(new.width()) <= VALUE_COLUMNS_MAX {
        return (old.to_owned(), new.to_owned());
    }
    let is_same = |(one, other): &(char, char)| one == other;
    let same: usize = old.chars().zip(new.chars()).take_while(is_same).map(|(letter, _)| letter.len_utf8()).sum();
    let differing = old[same..].width().max(new[same..].width());
    // At the beginning of a line of its own, what is the same would not be recognised.
    let columns_before = VALUE_COLUMNS_MAX.saturating_sub(differing + 1).max(COLUMNS_BEFORE_MIN);
    let mut start = same;
    for (at, _) in old[..same].char_indices().rev() {
        if old[at..same].width() > columns_before {
            break;
        }
        start = at;
    }
    let shown = |text: &str| match start {
        0 => value(Some(text)),
        _ => value(Some(&format!("…{}", &text[start..]))),
    };
    (shown(old), shown(new))
}

/// `4 unchanged, 1 held (billing)`.
fn rest(plan: &Plan) -> Option<String> {
    let held: Vec<_> = plan.operations.iter().filter(|operation| operation.verb == Verb::Hold).collect();
    let mut parts = Vec::new();
    if plan.summary.unchanged > 0 {
        parts.push(format!("{} unchanged", plan.summary.unchanged));
    }
    if !held.is_empty() {
        let names: Vec<_> = held.iter().map(|operation| operation.app.as_str()).collect();
        parts.push(format!("{} held ({})", held.len(), names.join(", ")));
    }
    Some(parts.join(", ")).filter(|text| !text.is_empty())
}

fn painted(text: &str, style: Style, view: &View) -> String {
    if view.is_coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

fn pad(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(text.width()))
}

/// Names and values come from files: they must not move the cursor.
fn clean(text: &str) -> String {
    harmless(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(app: &str, verb: Verb, reasons: Vec<Reason>) -> Operation {
        Operation { app: app.parse().unwrap(), verb, reasons, after: Vec::new(), interrupts: 0 }
    }

    fn changed(name: &str, old: Option<&str>, new: Option<&str>, is_sensitive: bool) -> Reason {
        let (old, new) = (old.map(Into::into), new.map(Into::into));
        Reason::Field(FieldChange { field: name.into(), old, new, is_sensitive, from_shell: None })
    }

    fn example() -> Plan {
        let held = Reason::StoppedByHand { by: "bob".into(), is_held: true };
        let hours = WallTime(3_600_000);
        Plan {
            project: "shop".parse().unwrap(),
            generation: 41,
            operations: vec![
                operation(
                    "api",
                    Verb::Roll { slots: vec![0, 1, 2], strategy: UpdateStrategy::Rolling, batch: 1 },
                    vec![
                        changed("env.LOG_LEVEL", Some("\"info\""), Some("\"debug\""), false),
                        changed("env.DB_PASS", Some("(sensitive)"), Some("(sensitive)"), true),
                    ],
                ),
                operation("worker", Verb::Reconfigure, vec![changed("kill_timeout", Some("10s"), Some("5s"), false)]),
                operation("mailer", Verb::Start { slots: vec![0] }, vec![Reason::New]),
                operation(
                    "queue",
                    Verb::Scale { from: 2, to: 4, add: vec![2, 3], remove: Vec::new() },
                    vec![changed("instances", Some("2"), Some("4"), false)],
                ),
                operation(
                    "api2",
                    Verb::Rename { from: "old-api".parse().unwrap() },
                    vec![Reason::MovedFrom { old: "old-api".parse().unwrap() }],
                ),
                operation(
                    "sync",
                    Verb::Start { slots: vec![0] },
                    vec![Reason::WasStopped { by: "alice".into(), at: hours }],
                ),
                operation("a", Verb::Keep, Vec::new()),
                operation("billing", Verb::Hold, vec![held]),
                operation("legacy", Verb::Delete { slots: vec![0] }, vec![Reason::NotInFile]),
            ],
            notes: vec![Note::NextStart { app: "a".parse().unwrap(), field: "autostart".into() }],
            summary: Summary {
                start: 1,
                roll: 1,
                reconfigure: 1,
                slots_added: 2,
                rename: 1,
                delete: 1,
                drift: 1,
                unchanged: 1,
                held: 1,
                interrupted: 4,
                ..Summary::default()
            },
        }
    }

    #[test]
    fn a_plan_reads_as_in_the_manual() {
        let files = ["deploy/ecosystem.toml".to_owned()];
        let now = WallTime(3 * 3_600_000 + 60_000);
        let mut out = String::new();
        write_plan(&mut out, &example(), &View { files: &files, profile: Some("production"), now, ..View::default() });
        let expected = r#"project shop   deploy/ecosystem.toml   profile production   generation 41
  -/+ api     roll 3, 1 at a time, new before old  env.LOG_LEVEL "info" -> "debug", env.DB_PASS (sensitive) changed
  ~   worker  live, 0 restarts                     kill_timeout 10s -> 5s
  +   mailer  start 1
  ^   queue   scale 2 -> 4                         slots 2, 3 start
  >   api2    renamed from old-api                 pid kept
  !   sync    stopped by alice 2h ago -> start
  -   legacy  delete 1                             no longer in the file
  .   1 unchanged, 1 held (billing)
  note: autostart of a takes effect when it is next started
Plan: 1 roll, 1 live, 1 start, +2 slots, 1 rename, 1 delete, 1 drift. Processes interrupted: 4
"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let (mut plain, mut coloured) = (String::new(), String::new());
        write_plan(&mut plain, &example(), &View::default());
        write_plan(&mut coloured, &example(), &View { is_coloured: true, ..View::default() });
        let mut pieces = coloured.split('\u{1b}');
        let mut stripped = pieces.next().unwrap().to_owned();
        pieces.for_each(|piece| stripped.push_str(piece.split_once('m').unwrap().1));
        assert_ne!(plain, coloured);
        assert_eq!(stripped, plain);
    }

    #[test]
    fn nothing_to_do_is_one_clear_line() {
        let plan = Plan { operations: vec![operation("a", Verb::Keep, Vec::new())], notes: Vec::new(), ..example() };
        let mut out = String::new();
        write_plan(&mut out, &plan, &View::default());
        assert!(out.ends_with("Plan: nothing to do.\n"), "{out}");
    }

    #[test]
    fn what_is_not_good_is_told_with_its_first_copy() {
        let (app, why) = (|| "api".parse().unwrap(), "HTTP\u{1b} 503".to_owned());
        let text = |it: Note| note(&it).unwrap();
        let not_ready = |slots, why| Note::NotReady { app: app(), slots, why };
        assert_eq!(text(not_ready(vec![1], Some(why.clone()))), "api/1 is not ready yet: HTTP\\u{1b} 503");
        assert_eq!(text(not_ready(vec![0, 2, 3], None)), "api/0 and 2 more are not ready yet");
        let unhealthy = Note::Unhealthy { app: app(), slots: vec![0], why: "HTTP 500".to_owned() };
        assert_eq!(text(unhealthy), "api/0 is unhealthy: HTTP 500");
    }

    #[test]
    fn long_values_are_cut_around_what_differs() {
        let same = "/usr/local/bin:".repeat(8);
        for (old, new, at) in [
            (format!("{same}a{same}"), format!("{same}b{same}"), ('a', 'b')),
            (format!("{same}1"), format!("{same}2"), ('1', '2')),
            (same.clone(), format!("{same}z"), (':', 'z')),
            (format!("x{same}"), format!("y{same}"), ('x', 'y')),
            (format!("{}x{same}", "漢".repeat(60)), format!("{}y{same}", "漢".repeat(60)), ('x', 'y')),
            ("短".to_owned(), same.clone(), ('短', '/')),
        ] {
            let (old, new) = around_difference(&old, &new);
            assert_ne!(old, new);
            assert!(old.contains(at.0) && new.contains(at.1), "{old} -> {new}");
            assert!(old.width() <= VALUE_COLUMNS_MAX && new.width() <= VALUE_COLUMNS_MAX, "{old} -> {new}");
        }
        let text = field(&FieldChange {
            field: "env.PATH".into(),
            old: Some(format!("\"{same}/opt/a/bin\"")),
            new: Some(format!("\"{same}/opt/b/bin\"")),
            is_sensitive: false,
            from_shell: None,
        });
        let kept = "…l/bin:/usr/local/bin:/usr/local/bin:";
        assert!(text.contains(kept) && text.ends_with("/opt/b/bin\""), "{text}");
    }

    #[test]
    fn values_are_cut_and_cannot_move_the_cursor() {
        let long = format!("\"{}\"", "x".repeat(200));
        let plan = Plan {
            operations: vec![operation(
                "a",
                Verb::Reconfigure,
                vec![changed("env.A\u{1b}[2J", Some("1"), Some(&long), false), changed("b", Some("1"), None, true)],
            )],
            ..example()
        };
        let mut out = String::new();
        write_plan(&mut out, &plan, &View::default());
        assert!(out.contains('…') && !out.contains('\u{1b}') && !out.contains(&"x".repeat(60)), "{out}");
        assert!(out.contains("b removed"), "{out}");
    }
}
