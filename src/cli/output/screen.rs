//! Standard output for data, standard error for everything else.

use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::colours::Colours;
use super::gate::{harmless_lines, json, ours};
use super::outlet::Outlet;
use super::region::{self, Region};
use super::wrap::{wrap_findings, wrap_lines};
use crate::cli::fail::{CommandError, Rendered};
use crate::cli::remote_caller::{CallerTerminal, TerminalSize, remote_caller};
use crate::os::{self, StandardStream};

/// Data is collected up to this size before it is written.
const BUFFER_BYTES: usize = 32 << 10;

/// Rows of a terminal that does not say how many it has.
const ROWS: usize = 24;
/// Lines of progress that are overwritten, at most.
const LIVE_LINES_MAX: usize = 8;

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
    colours: Colours,
    /// The terminal understands no more than text.
    is_dumb: bool,
    /// `--json` was given: an error is also printed as data.
    pub is_json: bool,
    /// `-q` was given: only failures are printed.
    pub is_quiet: bool,
    /// Standard error ends with lines that will be overwritten.
    live: Region,
}

impl Screen {
    pub(in crate::cli) fn new() -> Self {
        let caller = remote_caller().map(|caller| &caller.terminal);
        Self {
            out: Outlet::new(StandardStream::Output),
            err: Outlet::new(StandardStream::Error),
            out_bytes: 0,
            has_more_to_do: false,
            is_out_terminal: caller.map_or_else(|| os::is_terminal(&io::stdout()), |at| at.output.is_some()),
            is_err_terminal: caller.map_or_else(|| os::is_terminal(&io::stderr()), |at| at.notes.is_some()),
            colours: match caller {
                Some(terminal) => Colours::named(&terminal.colours).unwrap_or_default(),
                None => Colours::of_environment(),
            },
            is_dumb: match caller {
                Some(terminal) => terminal.is_dumb,
                None => os::variable("TERM").is_some_and(|value| value == "dumb"),
            },
            is_json: false,
            is_quiet: false,
            live: Region::default(),
        }
    }

    /// From now on there are colours as the option says.
    pub(in crate::cli) fn use_colours(&mut self, colours: Colours) {
        self.colours = colours;
    }

    /// Colours for standard output.
    pub(in crate::cli) fn paint(&self) -> Paint {
        Paint { is_on: self.colours.are_on(self.is_out_terminal) }
    }

    /// Colours for standard error.
    pub(in crate::cli) fn paint_notes(&self) -> Paint {
        Paint { is_on: self.colours.are_on(self.is_err_terminal) }
    }

    /// Columns of the terminal behind standard output.
    pub(in crate::cli) fn width(&self) -> Option<usize> {
        size_of(StandardStream::Output).filter(|_| self.is_out_terminal).and_then(columns)
    }

    /// Columns of the terminal behind standard error.
    pub(in crate::cli) fn notes_width(&self) -> Option<usize> {
        size_of(StandardStream::Error).filter(|_| self.is_err_terminal).and_then(columns)
    }

    /// Text of an answer, in lines made here that are broken between words where the terminal is too narrow.
    pub(in crate::cli) fn wrapped(&mut self, text: &str) {
        let text = wrap_lines(text, self.width());
        self.data(text.as_bytes());
    }

    /// A text that takes the place of the one before: on a terminal what fits on it, elsewhere one after the other.
    pub(in crate::cli) fn redraw(&mut self, text: &str, is_first: bool) {
        if !self.can_redraw() {
            let gap = if is_first { "" } else { "\n" };
            return self.data(format!("{gap}{text}").as_bytes());
        }
        let rows = size_of(StandardStream::Output).and_then(rows).unwrap_or(ROWS);
        let drawn = region::screenful(&ours(text), rows);
        self.raw(drawn.as_bytes());
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
        self.is_err_terminal && can_answer()
    }

    /// Whether lines of standard error can be overwritten.
    pub(in crate::cli) fn has_live_region(&self) -> bool {
        self.is_err_terminal && !self.is_dumb
    }

    /// Whether standard output can be drawn over.
    fn can_redraw(&self) -> bool {
        self.is_out_terminal && !self.is_dumb
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

    /// Lines for the user, broken between words on a terminal. The command does not wait until they are read.
    pub(in crate::cli) fn note(&mut self, text: &str) {
        let text = wrap_lines(text, self.notes_width());
        self.verbatim(&text);
    }

    /// Findings as a compiler shows them.
    pub(in crate::cli) fn findings(&mut self, text: &str) {
        let text = wrap_findings(text, self.notes_width());
        self.verbatim(text.trim_end());
    }

    /// Lines that say by their columns what they mean.
    fn verbatim(&mut self, text: &str) {
        let clear = self.live.clear();
        self.err.push(format!("{clear}{}\n", ours(text)).as_bytes());
        self.write_now();
    }

    /// Lines that the next ones overwrite. Only on a terminal.
    pub(in crate::cli) fn live(&mut self, lines: &[String]) {
        if !self.has_live_region() {
            return;
        }
        let text = self.live.show(lines, self.notes_width().unwrap_or(80));
        self.err.push(text.as_bytes());
        self.write_now();
    }

    /// How many such lines there may be: a third of the terminal.
    pub(in crate::cli) fn live_lines_max() -> usize {
        let rows = size_of(StandardStream::Error).and_then(rows);
        rows.map_or(LIVE_LINES_MAX, |rows| rows / 3).clamp(1, LIVE_LINES_MAX)
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
        if *is_answer { self.data(text.as_bytes()) } else { self.verbatim(text.trim_end()) }
    }

    /// What a command at another machine has to know of it.
    pub(in crate::cli) fn described(&self) -> CallerTerminal {
        CallerTerminal {
            output: size_of(StandardStream::Output).filter(|_| self.is_out_terminal),
            notes: size_of(StandardStream::Error).filter(|_| self.is_err_terminal),
            colours: self.colours.name().to_owned(),
            is_dumb: self.is_dumb,
            can_answer: can_answer(),
        }
    }

    /// Passes on what a command at another machine printed: it has been through the gate there. Whether it is read.
    pub(in crate::cli) fn pass_on(&mut self, stream: StandardStream, bytes: &[u8]) -> bool {
        let outlet = match stream {
            StandardStream::Output => &mut self.out,
            StandardStream::Error => &mut self.err,
        };
        outlet.push(bytes);
        outlet.write_all();
        !self.is_unread()
    }

    /// Writes what is left, as long as it is read, and returns why an answer could not be written.
    pub(in crate::cli) fn end(&mut self) -> Option<io::Error> {
        self.out.write_all();
        self.err.write_all();
        self.out.take_error()
    }
}

/// The terminal behind a stream; of one that does not say it, 0 columns and rows.
fn size_of(stream: StandardStream) -> Option<TerminalSize> {
    match (remote_caller(), stream) {
        (Some(caller), StandardStream::Output) => caller.terminal.output,
        (Some(caller), StandardStream::Error) => caller.terminal.notes,
        (None, StandardStream::Output) => Some(own_size(&io::stdout())),
        (None, StandardStream::Error) => Some(own_size(&io::stderr())),
    }
}

fn own_size(stream: &impl AsFd) -> TerminalSize {
    let (columns, rows) = (os::terminal_width(stream), os::terminal_height(stream));
    TerminalSize { columns: columns.unwrap_or(0), rows: rows.unwrap_or(0) }
}

fn columns(size: TerminalSize) -> Option<usize> {
    Some(usize::from(size.columns)).filter(|columns| *columns > 0)
}

fn rows(size: TerminalSize) -> Option<usize> {
    Some(usize::from(size.rows)).filter(|rows| *rows > 0)
}

fn can_answer() -> bool {
    remote_caller().map_or_else(|| os::is_terminal(&io::stdin()), |caller| caller.terminal.can_answer)
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
