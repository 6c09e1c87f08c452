//! Standard output for data, standard error for everything else.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::fail::CommandError;
use crate::os;

/// Data is collected up to this size before it is written.
const BUFFER_BYTES: usize = 32 << 10;

/// The terminal, or whatever stands in its place.
pub(in crate::cli) struct Screen {
    out: Vec<u8>,
    /// A person looks at standard output.
    pub is_out_terminal: bool,
    /// A person looks at standard error.
    pub is_err_terminal: bool,
    has_colour: bool,
    /// `--json` was asked for: an error is also told as data.
    pub is_json: bool,
    /// `-q` was asked for: nothing but failures.
    pub is_quiet: bool,
    /// A line that is going to be overwritten stands on standard error.
    has_status: bool,
}

impl Screen {
    pub(in crate::cli) fn new() -> Self {
        // Two small look-ups instead of the whole environment: this is on the way of every command.
        let colour_is_unwanted = os::variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || os::variable("TERM").is_some_and(|value| value == "dumb");
        Self {
            out: Vec::new(),
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

    /// Data, as it is.
    pub(in crate::cli) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        if self.out.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// A line of data.
    pub(in crate::cli) fn line(&mut self, text: &str) -> io::Result<()> {
        self.data(text.as_bytes())?;
        self.data(b"\n")
    }

    /// A value as JSON: readable on a terminal, on one line elsewhere.
    pub(in crate::cli) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), CommandError> {
        let text =
            if self.is_out_terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text = text.map_err(|error| CommandError::system("cannot write the answer as JSON", &error))?;
        Ok(self.line(&text)?)
    }

    /// A value as JSON on one line: one document of many.
    pub(in crate::cli) fn compact<T: Serialize>(&mut self, value: &T) -> Result<(), CommandError> {
        let text = serde_json::to_string(value)
            .map_err(|error| CommandError::system("cannot write the answer as JSON", &error))?;
        Ok(self.line(&text)?)
    }

    /// Whether a person can be asked.
    pub(in crate::cli) fn is_in_terminal(&self) -> bool {
        self.is_err_terminal && os::is_terminal(&io::stdin())
    }

    /// Whether lines can be overwritten.
    pub(in crate::cli) fn is_err_terminal(&self) -> bool {
        self.is_err_terminal
    }

    /// Asks a question; anything but yes is no.
    pub(in crate::cli) fn ask(&mut self, question: &str) -> io::Result<bool> {
        self.flush()?;
        let mut err = io::stderr().lock();
        err.write_all(question.as_bytes())?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Writes what was collected: before waiting, and at the end.
    pub(in crate::cli) fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.out);
        if bytes.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()
    }

    /// A line for the person.
    pub(in crate::cli) fn note(&mut self, text: &str) -> io::Result<()> {
        self.flush()?;
        let clear = self.clear_status();
        io::stderr().lock().write_all(format!("{clear}{text}\n").as_bytes())
    }

    /// A line that the next one overwrites. Only on a terminal.
    pub(in crate::cli) fn status(&mut self, text: &str) -> io::Result<()> {
        if !self.is_err_terminal {
            return Ok(());
        }
        self.flush()?;
        let clear = self.clear_status();
        let width = os::terminal_width(&io::stderr()).map_or(80, usize::from);
        let text: String = text.chars().take(width.saturating_sub(1)).collect();
        self.has_status = !text.is_empty();
        let mut err = io::stderr().lock();
        err.write_all(format!("{clear}{text}").as_bytes())?;
        err.flush()
    }

    fn clear_status(&mut self) -> &'static str {
        if std::mem::take(&mut self.has_status) { "\r\x1b[K" } else { "" }
    }

    /// An error: what, why, what to do. With `--json` also as data.
    pub(in crate::cli) fn fail(&mut self, error: &CommandError) -> io::Result<()> {
        if error.is_told {
            return Ok(());
        }
        let paint = self.paint_notes();
        let mut text = format!("{}: {}", paint.bad("error"), error.message);
        for cause in &error.causes {
            let _ = write!(text, "\n  because: {cause}");
        }
        for detail in &error.details {
            let _ = write!(text, "\n  {detail}");
        }
        if let Some(hint) = &error.hint {
            let _ = write!(text, "\n  {}: {hint}", paint.strong("hint"));
        }
        self.note(&text)?;
        if self.is_json {
            let data = serde_json::json!({
                "format": crate::wire::FORMAT,
                "exit_code": error.exit_code,
                "error": { "message": error.message, "causes": error.causes, "hint": error.hint, "details": error.details },
            });
            self.line(&data.to_string())?;
            self.flush()?;
        }
        Ok(())
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
