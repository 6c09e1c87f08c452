//! Standard output for data, standard error for everything else.

use std::fmt::Write as _;
use std::io;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::gate::{harmless, harmless_lines, json, ours};
use super::outlet::Outlet;
use super::table::cut;
use crate::cli::fail::{CommandError, Rendered};
use crate::os::{self, StandardStream};

/// Data is collected up to this size before it is written.
const BUFFER_BYTES: usize = 32 << 10;

/// The terminal, or whatever replaces it.
///
/// Nothing here fails: what a command does must not depend on whether its text can be written. What could not be
/// written is told by [`Screen::end`]; whoever writes for as long as somebody reads asks [`Screen::is_unread`].
pub(in crate::cli) struct Screen {
    out: Outlet,
    err: Outlet,
    out_bytes: usize,
    /// The command does more than show: it does not wait for a reader before its end.
    pub has_more_to_do: bool,
    /// Standard output is a terminal.
    pub is_out_terminal: bool,
    /// Standard error is a terminal.
    pub is_err_terminal: bool,
    has_colour: bool,
    /// `--json` was given: an error is also printed as data.
    pub is_json: bool,
    /// `-q` was given: only failures are printed.
    pub is_quiet: bool,
    /// Standard error ends with a line that will be overwritten.
    has_status: bool,
}

impl Screen {
    pub(in crate::cli) fn new() -> Self {
        // Two small look-ups instead of the whole environment: this is on the way of every command.
        let colour_is_unwanted = os::variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || os::variable("TERM").is_some_and(|value| value == "dumb");
        Self {
            out: Outlet::new(StandardStream::Output),
            err: Outlet::new(StandardStream::Error),
            out_bytes: 0,
            has_more_to_do: false,
            is_out_terminal: os::is_terminal(&io::stdout()),
            is_err_terminal: os::is_terminal(&io::stderr()),
            has_colour: !colour_is_unwanted,
            is_json: false,
            is_quiet: false,
            has_status: false,
        }
    }

    /// Colours for standard output.
    pub(in crate::cli) fn paint(&self) -> Paint {
        Paint { is_on: self.has_colour && self.is_out_terminal }
    }

    /// Colours for standard error.
    pub(in crate::cli) fn paint_notes(&self) -> Paint {
        Paint { is_on: self.has_colour && self.is_err_terminal }
    }

    /// Columns of the terminal behind standard output.
    pub(in crate::cli) fn width(&self) -> Option<usize> {
        if self.is_out_terminal { os::terminal_width(&io::stdout()).map(usize::from) } else { None }
    }

    /// Text of an answer, in lines made here.
    pub(in crate::cli) fn data(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.raw(ours(&text).as_bytes());
    }

    /// Bytes as they are: what goes into a file or another program, and what has been through the gate.
    pub(in crate::cli) fn raw(&mut self, bytes: &[u8]) {
        self.out.push(bytes);
        self.out_bytes += bytes.len();
        if self.out_bytes >= BUFFER_BYTES {
            if self.has_more_to_do { self.write_now() } else { self.flush() }
        }
    }

    /// A line of data.
    pub(in crate::cli) fn line(&mut self, text: &str) {
        self.data(text.as_bytes());
        self.raw(b"\n");
    }

    /// A value as JSON: readable on a terminal, on one line elsewhere.
    pub(in crate::cli) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), CommandError> {
        let text =
            if self.is_out_terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.json_line(text)
    }

    /// A value as JSON on one line: one document of many.
    pub(in crate::cli) fn compact<T: Serialize>(&mut self, value: &T) -> Result<(), CommandError> {
        self.json_line(serde_json::to_string(value))
    }

    fn json_line(&mut self, text: serde_json::Result<String>) -> Result<(), CommandError> {
        let text = text.map_err(|error| CommandError::system("cannot write the answer as JSON", &error))?;
        self.raw(json(&text).as_bytes());
        self.raw(b"\n");
        Ok(())
    }

    /// Whether the user can be asked.
    pub(in crate::cli) fn is_in_terminal(&self) -> bool {
        self.is_err_terminal && os::is_terminal(&io::stdin())
    }

    /// Whether lines can be overwritten.
    pub(in crate::cli) fn is_err_terminal(&self) -> bool {
        self.is_err_terminal
    }

    /// Asks a question; anything but yes is no.
    pub(in crate::cli) fn ask(&mut self, question: &str) -> io::Result<bool> {
        self.flush();
        self.err.push(ours(question).as_bytes());
        self.err.write_all();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Writes what was collected, however long a reader takes: for a command that does nothing but show.
    pub(in crate::cli) fn flush(&mut self) {
        self.out_bytes = 0;
        self.out.write_all();
    }

    /// Writes what can be written at this moment: for a command that has more to do.
    pub(in crate::cli) fn write_now(&mut self) {
        self.out_bytes = 0;
        self.out.write_now();
        self.err.write_now();
    }

    /// Whether so much waits for a reader that no more should be made.
    pub(in crate::cli) fn is_full(&self) -> bool {
        self.out.is_full() || self.err.is_full()
    }

    /// Whether the reader of standard output is gone.
    pub(in crate::cli) fn is_unread(&self) -> bool {
        self.out.has_failed()
    }

    /// A line for the user. The command does not wait until it is read.
    pub(in crate::cli) fn note(&mut self, text: &str) {
        let clear = self.clear_status();
        self.err.push(format!("{clear}{}\n", ours(text)).as_bytes());
        self.write_now();
    }

    /// A line that the next one overwrites. Only on a terminal.
    pub(in crate::cli) fn status(&mut self, text: &str) {
        if !self.is_err_terminal {
            return;
        }
        let clear = self.clear_status();
        let width = os::terminal_width(&io::stderr()).map_or(80, usize::from);
        let text = cut(&harmless(text), width.saturating_sub(1)).into_owned();
        self.has_status = !text.is_empty();
        self.err.push(format!("{clear}{text}").as_bytes());
        self.write_now();
    }

    fn clear_status(&mut self) -> &'static str {
        if std::mem::take(&mut self.has_status) { "\r\x1b[K" } else { "" }
    }

    /// An error: what, why, what to do. With `--json` also as data.
    pub(in crate::cli) fn fail(&mut self, error: &CommandError) {
        if let Some(rendered) = &error.rendered {
            return self.rendered(rendered);
        }
        if error.is_told {
            return;
        }
        let paint = self.paint_notes();
        let mut text = format!("{}: {}", paint.bad("error"), harmless_lines(&error.message));
        for cause in &error.causes {
            let _ = write!(text, "\n  because: {}", harmless_lines(cause));
        }
        for detail in &error.details {
            let _ = write!(text, "\n  {}", harmless_lines(detail));
        }
        if let Some(hint) = &error.hint {
            let _ = write!(text, "\n  {}: {}", paint.strong("hint"), harmless_lines(hint));
        }
        self.note(&text);
        if self.is_json {
            let data = serde_json::json!({
                "format": crate::wire::FORMAT,
                "exit_code": error.exit_code,
                "error": { "message": error.message, "causes": error.causes, "hint": error.hint, "details": error.details },
            });
            self.raw(json(&data.to_string()).as_bytes());
            self.raw(b"\n");
        }
    }

    /// Help is an answer, what is wrong with a call is none.
    fn rendered(&mut self, Rendered { text, is_answer }: &Rendered) {
        let paint = if *is_answer { self.paint() } else { self.paint_notes() };
        let text = if paint.is_on { text.ansi().to_string() } else { text.to_string() };
        if *is_answer { self.data(text.as_bytes()) } else { self.note(text.trim_end()) }
    }

    /// Writes what is left, as long as it is read, and returns why an answer could not be written.
    pub(in crate::cli) fn end(&mut self) -> Option<io::Error> {
        self.out.write_all();
        self.err.write_all();
        self.out.take_error()
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Paint {
    /// Whether there are any.
    pub is_on: bool,
}

impl Paint {
    pub(in crate::cli) fn good(self, text: &str) -> String {
        self.with(text, AnsiColor::Green.on_default())
    }

    pub(in crate::cli) fn bad(self, text: &str) -> String {
        self.with(text, AnsiColor::Red.on_default().bold())
    }

    pub(in crate::cli) fn warn(self, text: &str) -> String {
        self.with(text, AnsiColor::Yellow.on_default())
    }

    pub(in crate::cli) fn faint(self, text: &str) -> String {
        self.with(text, Style::new().dimmed())
    }

    pub(in crate::cli) fn strong(self, text: &str) -> String {
        self.with(text, Style::new().bold())
    }

    /// One of a few colours that tell things apart.
    pub(in crate::cli) fn nth(self, number: usize, text: &str) -> String {
        const COLOURS: [AnsiColor; 6] =
            [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Green, AnsiColor::Yellow, AnsiColor::Blue, AnsiColor::Red];
        self.with(text, COLOURS[number % COLOURS.len()].on_default())
    }

    fn with(self, text: &str, style: Style) -> String {
        if self.is_on { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
