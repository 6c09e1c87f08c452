//! Columns that line up, whatever the width of the characters.

use unicode_width::UnicodeWidthStr;

use super::Paint;

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

#[derive(Clone, Debug, Default)]
struct Cell {
    text: String,
    tone: Tone,
}

/// Rows of cells under a heading.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(in crate::cli) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Begins a row.
    pub(in crate::cli) fn row(&mut self) -> &mut Self {
        self.rows.push(Vec::with_capacity(self.heading.len()));
        self
    }

    /// Adds a cell to the last row. A line break would tear the table apart.
    pub(in crate::cli) fn cell(&mut self, text: impl Into<String>) -> &mut Self {
        self.toned(text, Tone::Plain)
    }

    /// Adds a painted cell.
    pub(in crate::cli) fn toned(&mut self, text: impl Into<String>, tone: Tone) -> &mut Self {
        let text: String = text.into();
        let text = if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text };
        if let Some(row) = self.rows.last_mut() {
            row.push(Cell { text, tone });
        }
        self
    }

    /// The text; lines are cut at `width` columns.
    pub(in crate::cli) fn render(&self, paint: Paint, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.heading.iter().map(|text| text.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let heading: Vec<Cell> =
            self.heading.iter().map(|text| Cell { text: (*text).to_owned(), tone: Tone::Faint }).collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            line(&mut text, row, &widths, paint, width.unwrap_or(usize::MAX));
        }
        text
    }
}

fn line(text: &mut String, row: &[Cell], widths: &[usize], paint: Paint, limit: usize) {
    let mut used = 0;
    for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
        let gap = if at == 0 { 0 } else { 2 };
        if used + gap >= limit {
            break;
        }
        text.push_str(&"  "[..gap]);
        used += gap;
        let shown = cut(&cell.text, limit - used);
        let is_last = at + 1 == row.len();
        let padding = if is_last { 0 } else { width.min(&(limit - used)).saturating_sub(shown.width()) };
        used += shown.width() + padding;
        text.push_str(&match cell.tone {
            Tone::Plain => shown,
            Tone::Good => paint.good(&shown),
            Tone::Bad => paint.bad(&shown),
            Tone::Warn => paint.warn(&shown),
            Tone::Faint => paint.faint(&shown),
        });
        text.extend(std::iter::repeat_n(' ', padding));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// At most `width` columns of a text; what is cut off leaves an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
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
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["app", "status", "script"]);
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
