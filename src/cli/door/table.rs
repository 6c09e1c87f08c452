//! Tables in boxes.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::super::output::{Paint, harmless};
use super::jlist;
use super::scene::ListedProcess;
use super::version::version_of;
use crate::model::{App, Millis};
use crate::os;

/// Terminals that are narrower get fewer columns, and fewer still.
const NARROW: usize = 140;
const SLIM: usize = 70;
/// A name keeps as many columns.
const NAME_MIN: usize = 8;
/// As wide are columns at least where there is room, so that a refreshed table does not jump.
const WIDTHS: [(&str, usize); 13] = [
    ("name", 9),
    ("namespace", 11),
    ("version", 7),
    ("mode", 7),
    ("pid", 8),
    ("uptime", 6),
    ("↺", 4),
    ("status", 9),
    ("user", 8),
    ("watching", 8),
    ("cpu", 8),
    ("mem", 8),
    ("memory", 8),
];

/// A cell: its text, and how it is painted.
type BoxCell = (String, fn(Paint, &str) -> String);

fn plain(_: Paint, text: &str) -> String {
    text.to_owned()
}

fn cell(text: impl Into<String>) -> BoxCell {
    (harmless(&text.into()).into_owned(), plain)
}

fn status(member: &ListedProcess<'_>) -> BoxCell {
    let paint: fn(Paint, &str) -> String = match member.status() {
        "online" => Paint::good,
        "stopped" | "errored" => Paint::bad,
        _ => Paint::warn,
    };
    (member.status().to_owned(), paint)
}

/// `5s`, `3m`, `2h`, `4D`.
fn uptime(length: Option<Millis>) -> String {
    let seconds = length.map_or(0, |length| length.0 / 1000);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}D", seconds / 86400),
    }
}

/// `45.2mb`.
#[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
fn memory(bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1024 => return format!("{bytes}b"),
        1024..1_048_576 => ("kb", 1024.0),
        1_048_576..1_073_741_824 => ("mb", 1_048_576.0),
        _ => ("gb", 1_073_741_824.0),
    };
    format!("{:.1}{unit}", bytes as f64 / size)
}

fn short_mode(app: &App) -> &'static str {
    if app.is_cluster() { "cluster" } else { "fork" }
}

/// All processes.
pub(super) fn list(members: &[ListedProcess<'_>], paint: Paint, width: Option<usize>) -> String {
    let is_slim = width.is_some_and(|width| width < SLIM);
    let is_narrow = width.is_some_and(|width| width < NARROW);
    let heading: &[&str] = if is_slim {
        &["id", "name", "status", "cpu", "mem"]
    } else if is_narrow {
        &["id", "name", "mode", "↺", "status", "cpu", "memory"]
    } else {
        &[
            "id",
            "name",
            "namespace",
            "version",
            "mode",
            "pid",
            "uptime",
            "↺",
            "status",
            "cpu",
            "mem",
            "user",
            "watching",
        ]
    };
    let user = os::user_name(os::user_id());
    let rows = members.iter().map(|member| {
        let row = member.row;
        let id = || cell(member.number.to_string());
        let name = || cell(member.known.name.as_str());
        let mode = || cell(short_mode(&member.app.spec));
        let restarts = || cell(member.restarts().to_string());
        let cpu = || cell(format!("{}%", row.cpu_percent.unwrap_or(0.0).round()));
        let size = || cell(memory(row.memory_bytes.map_or(0, |bytes| bytes.0)));
        if is_slim {
            return vec![id(), name(), status(member), cpu(), size()];
        }
        if is_narrow {
            return vec![id(), name(), mode(), restarts(), status(member), cpu(), size()];
        }
        let watching = if member.app.spec.watching.watch.is_some() { "enabled" } else { "disabled" };
        let runs_as = member.app.spec.run.user.clone().unwrap_or_else(|| user.clone());
        vec![
            id(),
            name(),
            cell(member.known.namespace.as_str()),
            cell(version_of(&member.known.script)),
            mode(),
            cell(row.pid.unwrap_or(0).to_string()),
            cell(uptime(row.uptime_ms)),
            restarts(),
            status(member),
            cpu(),
            size(),
            cell(runs_as),
            cell(watching),
        ]
    });
    boxed(Some(heading), rows.collect(), paint, width)
}

/// A few lines for each.
pub(super) fn mini(members: &[ListedProcess<'_>]) -> String {
    let mut text = String::new();
    for member in members {
        let row = member.row;
        let _ = writeln!(text, "+--- {}", harmless(&member.known.name));
        for (name, value) in [
            ("namespace", member.known.namespace.clone()),
            ("version", version_of(&member.known.script)),
            ("pid", row.pid.unwrap_or(0).to_string()),
            ("pm2 id", member.number.to_string()),
            ("status", member.status().to_owned()),
            ("mode", short_mode(&member.app.spec).to_owned()),
            ("restarted", member.restarts().to_string()),
            ("uptime", uptime(row.uptime_ms)),
            ("memory usage", memory(row.memory_bytes.map_or(0, |bytes| bytes.0))),
        ] {
            let _ = writeln!(text, "{name} : {}", harmless(&value));
        }
    }
    text
}

/// Everything about one.
pub(super) fn details(member: &ListedProcess<'_>, paint: Paint) -> String {
    let (app, [out_file, error_file]): (&App, _) = (&member.app.spec, member.log_paths());
    let or_none = |text: String| if text.is_empty() { "N/A".to_owned() } else { text };
    let words =
        |words: &[crate::model::Template]| or_none(words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let path =
        |path: Option<std::path::PathBuf>| or_none(path.map_or(String::new(), |path| path.display().to_string()));
    let rows = vec![
        ("status", member.status().to_owned()),
        ("name", member.known.name.clone()),
        ("namespace", member.known.namespace.clone()),
        ("version", version_of(&member.known.script)),
        ("project", app.project.to_string()),
        ("restarts", member.restarts().to_string()),
        ("uptime", uptime(member.row.uptime_ms)),
        ("script path", member.known.script.clone()),
        ("script args", words(&app.run.args)),
        ("error log path", path(error_file)),
        ("out log path", path(out_file)),
        ("interpreter", app.run.interpreter.clone().unwrap_or_else(|| "none".to_owned())),
        ("interpreter args", words(&app.run.interpreter_args)),
        ("script id", member.number.to_string()),
        ("exec cwd", app.run.cwd.display().to_string()),
        ("exec mode", jlist::mode(app).to_owned()),
        ("watch & reload", if app.watching.watch.is_some() { "✔" } else { "✘" }.to_owned()),
        ("unstable restarts", member.row.status.count.unwrap_or(0).to_string()),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![cell(name), cell(value)]).collect();
    format!("Process {}, name {}\n{}", member.number, harmless(&member.known.name), boxed(None, rows, paint, None))
}

fn boxed(heading: Option<&[&str]>, mut rows: Vec<Vec<BoxCell>>, paint: Paint, width: Option<usize>) -> String {
    let columns = heading.map_or_else(|| rows.first().map_or(0, Vec::len), <[&str]>::len);
    let widest = |at: usize| {
        let of_rows = rows.iter().map(|row| row[at].0.width()).max().unwrap_or(0);
        of_rows.max(heading.map_or(0, |heading| heading[at].width()))
    };
    let needed: Vec<usize> = (0..columns).map(widest).collect();
    let roomy = (0..columns).map(|at| needed[at].max(heading.map_or(0, |heading| least(heading[at]))));
    let roomy: Vec<usize> = roomy.collect();
    let fits = |widths: &[usize]| width.is_none_or(|width| widths.iter().sum::<usize>() + columns * 3 < width);
    let mut widths = if fits(&roomy) { roomy } else { needed };
    // The name is what can be cut.
    if let (Some(width), Some(_)) = (width, heading) {
        let whole = widths.iter().sum::<usize>() + columns * 3 + 1;
        widths[1] = widths[1].saturating_sub(whole.saturating_sub(width)).max(NAME_MIN.min(widths[1]));
        for row in &mut rows {
            cut(&mut row[1].0, widths[1]);
        }
    }
    let rule = |left: &str, middle: &str, right: &str| {
        let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", bars.join(middle))
    };
    let mut text = rule("┌", "┬", "┐");
    let padding = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()));
    if let Some(heading) = heading {
        for (name, width) in heading.iter().zip(&widths) {
            let _ = write!(text, "│ {}{} ", paint.strong(name), padding(name, *width));
        }
        text.push_str("│\n");
        if !rows.is_empty() {
            text.push_str(&rule("├", "┼", "┤"));
        }
    }
    for row in &rows {
        for ((cell, how), width) in row.iter().zip(&widths) {
            let _ = write!(text, "│ {}{} ", how(paint, cell), padding(cell, *width));
        }
        text.push_str("│\n");
    }
    text + &rule("└", "┴", "┘")
}

/// How wide a column is at least where there is room.
fn least(heading: &str) -> usize {
    let known = WIDTHS.iter().find(|(name, _)| *name == heading);
    known.map_or(0, |(_, width)| *width)
}

/// Shortens a text to so many columns.
fn cut(text: &mut String, columns: usize) {
    if text.width() <= columns {
        return;
    }
    while text.width() >= columns && text.pop().is_some() {}
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_have_one_unit() {
        for (ms, text) in [(0, "0s"), (59_999, "59s"), (60_000, "1m"), (7_200_000, "2h"), (345_600_000, "4D")] {
            assert_eq!(uptime(Some(Millis(ms))), text);
        }
        for (bytes, text) in [(0, "0b"), (1024, "1.0kb"), (47_395_635, "45.2mb"), (1_610_612_736, "1.5gb")] {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn a_box_fits_its_terminal_and_its_lines_are_equally_long() {
        let row = |name: &str| vec![cell("0"), cell(name), cell("online")];
        let rows = || vec![row("a"), row("a-very-long-name-of-an-app"), row("grün")];
        for width in [None, Some(40), Some(26)] {
            let text = boxed(Some(&["id", "name", "status"]), rows(), Paint::default(), width);
            let lengths: Vec<usize> = text.lines().map(UnicodeWidthStr::width).collect();
            assert!(lengths.iter().all(|length| *length == lengths[0]), "{text}");
            assert!(width.is_none_or(|width| lengths[0] <= width), "{text}");
        }
        assert_eq!(boxed(Some(&["id"]), Vec::new(), Paint::default(), None), "┌────┐\n│ id │\n└────┘\n");
    }
}
