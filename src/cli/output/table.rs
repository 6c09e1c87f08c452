//! Columns that line up, whatever the width of the characters.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::Paint;
use super::gate::{harmless, is_plain, steers};

/// How a cell is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::cli) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
}

#[derive(Clone, Debug)]
struct Cell<'a> {
    text: Cow<'a, str>,
    columns: usize,
    tone: Tone,
    /// A path or a command line: its end distinguishes it from others.
    is_path: bool,
}

impl<'a> Cell<'a> {
    /// A line break would tear the table apart, and whatever steers the terminal all the more.
    fn new(text: Cow<'a, str>, tone: Tone) -> Self {
        if is_plain(&text, false) {
            return Self { columns: text.len(), text, tone, is_path: false };
        }
        let text = if text.contains(steers) {
            Cow::Owned(harmless(&text.replace(['\n', '\t'], " ")).into_owned())
        } else {
            text
        };
        Self { columns: columns(&text), text, tone, is_path: false }
    }
}

/// Rows of cells under a heading.
#[derive(Clone, Debug)]
pub(in crate::cli) struct TextTable<'a> {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell<'a>>>,
    /// Columns that give way in a narrow terminal, the first ones first, down to so many columns.
    narrowed: Vec<(&'static str, usize)>,
}

impl<'a> TextTable<'a> {
    pub(in crate::cli) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new(), narrowed: Vec::new() }
    }

    /// Begins a row.
    pub(in crate::cli) fn row(&mut self) -> &mut Self {
        self.rows.push(Vec::with_capacity(self.heading.len()));
        self
    }

    /// Adds a cell to the last row.
    pub(in crate::cli) fn cell(&mut self, text: impl Into<Cow<'a, str>>) -> &mut Self {
        self.toned(text, Tone::Plain)
    }

    /// Adds a painted cell.
    pub(in crate::cli) fn toned(&mut self, text: impl Into<Cow<'a, str>>, tone: Tone) -> &mut Self {
        if let Some(row) = self.rows.last_mut() {
            row.push(Cell::new(text.into(), tone));
        }
        self
    }

    /// Adds a path or a command line: of a path, the folder is cut first.
    pub(in crate::cli) fn path(&mut self, text: impl Into<Cow<'a, str>>, tone: Tone) -> &mut Self {
        if let Some(row) = self.rows.last_mut() {
            row.push(Cell { is_path: true, ..Cell::new(text.into(), tone) });
        }
        self
    }

    /// Which columns give way in a narrow terminal, in this order, and how many columns they keep.
    pub(in crate::cli) fn narrowed(&mut self, narrowed: &[(&'static str, usize)]) -> &mut Self {
        self.narrowed = narrowed.to_vec();
        self
    }

    fn narrow(&self, widths: &mut [usize], limit: usize) {
        let gaps = 2 * widths.len().saturating_sub(1);
        for (name, least) in &self.narrowed {
            let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
            let column = self.heading.iter().position(|heading| heading == name);
            if let Some(width) = column.and_then(|column| widths.get_mut(column)) {
                *width = (*width).min((*width).saturating_sub(excess).max(*least));
            }
        }
    }

    /// The text; lines are cut at `width` columns.
    pub(in crate::cli) fn render(&self, paint: Paint, width: Option<usize>) -> String {
        let heading: Vec<Cell<'_>> =
            self.heading.iter().map(|text| Cell::new(Cow::Borrowed(text), Tone::Faint)).collect();
        let mut widths: Vec<usize> = heading.iter().map(|cell| cell.columns).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.columns);
            }
        }
        self.narrow(&mut widths, width.unwrap_or(usize::MAX));
        let line_bytes = widths.iter().map(|width| width + 2).sum::<usize>();
        let mut text = String::with_capacity(line_bytes * (self.rows.len() + 1));
        for row in std::iter::once(&heading).chain(&self.rows) {
            line(&mut text, row, &widths, paint, width.unwrap_or(usize::MAX));
        }
        text
    }
}

fn line(text: &mut String, row: &[Cell<'_>], widths: &[usize], paint: Paint, limit: usize) {
    let mut used = 0;
    for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
        let gap = if at == 0 { 0 } else { 2 };
        if used + gap >= limit {
            break;
        }
        text.push_str(&"  "[..gap]);
        used += gap;
        let room = (limit - used).min(*width);
        let shown = match cell.is_path {
            _ if cell.columns <= room => Cow::Borrowed(&*cell.text),
            true => shorter(&cell.text, room),
            false => cut(&cell.text, room),
        };
        let shown_columns = if shown.len() == cell.text.len() { cell.columns } else { columns(&shown) };
        let is_last = at + 1 == row.len();
        let padding = if is_last { 0 } else { width.min(&(limit - used)).saturating_sub(shown_columns) };
        used += shown_columns + padding;
        match cell.tone {
            _ if !paint.is_on => text.push_str(&shown),
            Tone::Plain => text.push_str(&shown),
            Tone::Good => text.push_str(&paint.good(&shown)),
            Tone::Bad => text.push_str(&paint.bad(&shown)),
            Tone::Warn => text.push_str(&paint.warn(&shown)),
            Tone::Faint => text.push_str(&paint.faint(&shown)),
        }
        text.extend(std::iter::repeat_n(' ', padding));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// How wide a terminal shows it. Nearly every cell is ASCII, which is fast to check.
fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// A path or a command line, the names of its files last to go: `node …/server.js`.
fn shorter(text: &str, width: usize) -> Cow<'_, str> {
    if !text.contains(' ') {
        return cut_left(text, width);
    }
    let short = |word: &str| match word.rsplit_once('/') {
        Some((folder, name)) if !folder.is_empty() && !name.is_empty() => format!("…/{name}"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(short).collect();
    let shortened = words.join(" ");
    let file = words.iter().position(|word| is_file(word));
    let end = file.map_or(0, |file| columns(&words[..=file].join(" ")));
    match file {
        // Rather no interpreter than no file.
        Some(file) if end > width || end == width && file + 1 < words.len() => {
            Cow::Owned(cut_left(&words[file], width).into_owned())
        }
        _ => Cow::Owned(cut(&shortened, width).into_owned()),
    }
}

/// Whether a word of a command line looks like the name of a file: it has a folder, or an ending of letters.
fn is_file(word: &str) -> bool {
    let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_ending = (1..=5).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphabetic());
    !word.starts_with('-') && (word.contains('/') || is_ending)
}

/// At most `width` columns of a text; what is cut off leaves an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut cut = String::new();
    let mut used = 0;
    for char in text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(char).unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(char);
    }
    cut.push('…');
    Cow::Owned(cut)
}

/// At most `width` columns from the end of a text.
fn cut_left(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let reversed: String = text.chars().rev().collect();
    Cow::Owned(cut(&reversed, width).chars().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable<'static> {
        let mut table = TextTable::new(&["app", "status", "script"]);
        table.row().cell("api/0").toned("running", Tone::Good).cell("server.js");
        table.row().cell("漢字/0").cell("x").cell("a\nb");
        table
    }

    #[test]
    fn columns_line_up_whatever_the_characters() {
        let text = table().render(Paint::default(), None);
        assert_eq!(text, "app     status   script\napi/0   running  server.js\n漢字/0  x        a b\n");
    }

    #[test]
    fn of_a_command_the_names_of_its_files_stay() {
        for (text, width, expected) in [
            ("/srv/shop/dist/server.js", 12, "…t/server.js"),
            ("node /srv/shop/dist/server.js", 17, "node …/server.js"),
            ("node /srv/shop/dist/server.js --port 3000", 24, "node …/server.js --port…"),
            ("sh -c 'echo up'", 9, "sh -c 'e…"),
            ("sh packages/worker/dist/server.sh", 10, "…server.sh"),
            ("sh packages/nightly/run.sh --everything", 10, "…/run.sh"),
            ("node server.js --port 3000", 12, "server.js"),
            ("sh -c echo up; sleep 0.2", 12, "sh -c echo …"),
        ] {
            assert_eq!(shorter(text, width), expected);
        }
    }

    #[test]
    fn a_narrow_terminal_cuts_lines_and_colours_do_not_count() {
        let plain = table().render(Paint::default(), Some(20));
        assert_eq!(plain.lines().nth(1).unwrap(), "api/0   running  se…");
        let painted = table().render(Paint { is_on: true }, Some(20));
        assert!(painted.contains("\x1b[32mrunning\x1b[0m  "), "{painted:?}");
        for width in 0..30 {
            for line in table().render(Paint::default(), Some(width)).lines() {
                assert!(line.width() <= width.max(1), "{width}: {line:?}");
            }
        }
    }
}
