//! Errors and warnings about a file: code, place, message, hint. They are collected, so reading never stops at the first.

use std::path::PathBuf;

use serde::Serialize;

use super::tree::Span;
use crate::model::{Secrets, masked};

/// One thing that a user should know about the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// Stable, for scripts: one of [`CODES`].
    pub code: &'static str,
    /// Whether it keeps the file from being used.
    pub severity: DiagnosticSeverity,
    /// One line, naming the key or the app.
    pub message: String,
    /// Where; `None` if it concerns no single place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Further places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Whether it is [`Self::of_pm2`].
    pub fn is_of_pm2(&self) -> bool {
        self.code == code::PM2
    }

    /// A warning about a key of a PM2 file.
    pub fn of_pm2(message: String) -> Self {
        let (severity, place, labels, hint) = (DiagnosticSeverity::Warning, None, Vec::new(), None);
        Self { code: code::PM2, severity, message, place, labels, hint }
    }
}

/// Whether a diagnostic keeps the file from being used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosticSeverity {
    /// Nothing is started, stopped or stored.
    Error,
    /// Used as it is.
    Warning,
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// First byte, from 0.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

/// A further place with a note.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Label {
    /// What is underlined.
    pub place: Place,
    /// What is there.
    pub text: String,
}

macro_rules! codes {
    ($($name:ident $text:literal $meaning:literal;)*) => {
        /// The stable codes by name.
        pub(super) mod code {
            $(pub const $name: &str = $text;)*
        }
        /// Every code with its meaning, for the reference.
        pub const CODES: &[(&str, &str)] = &[$(($text, $meaning)),*];
    };
}

codes! {
    SYNTAX "syntax" "The text is not TOML, YAML or JSON.";
    ENCODING "encoding" "The file is not UTF-8.";
    TOO_LARGE "too-large" "More than 4 MiB, 100,000 values, 64 levels, or 1 MiB in one value; or all apps together, including defaults, aliases, variables and env files, exceed 48 MiB.";
    EMPTY_FILE "empty-file" "The file is empty.";
    UNKNOWN_FORMAT "unknown-format" "The file name does not reveal the format, or it is the file of another tool.";
    DUPLICATE_KEY "duplicate-key" "A key appears twice in a table.";
    UNKNOWN_KEY "unknown-key" "No such key.";
    WRONG_TYPE "wrong-type" "The value has the wrong type.";
    BAD_VALUE "bad-value" "The type is right, but the value is not accepted.";
    MISSING_UNIT "missing-unit" "A duration or size without a unit.";
    ALIAS_BESIDE_ORIGINAL "alias-beside-original" "A key appears under two of its spellings.";
    MISSING_KEY "missing-key" "A required key is missing.";
    CONFLICTING_KEYS "conflicting-keys" "Two keys that contradict each other.";
    UNSUPPORTED "unsupported" "Planned but not implemented yet: refused, not ignored.";
    UNSET_VARIABLE "unset-variable" "`${VAR}` has no value and no default.";
    BAD_VARIABLE "bad-variable" "`${…}` is malformed, or not allowed here.";
    UNKNOWN_PROFILE "unknown-profile" "No app defines the selected profile.";
    BAD_PROJECT "bad-project" "The project has no valid name.";
    SEVERAL_PROJECTS "several-projects" "The files name different projects.";
    DUPLICATE_APP "duplicate-app" "Two apps have the same name.";
    ENV_FILE "env-file" "An env file is missing, unreadable or malformed.";
    CWD "cwd" "The working folder does not exist.";
    SCRIPT_MISSING "script-missing" "The script or program cannot be found.";
    NOT_EXECUTABLE "not-executable" "The file is not executable and has no interpreter.";
    INTERPRETER "interpreter" "The interpreter is unknown or not installed.";
    UNKNOWN_USER "unknown-user" "No such user or group.";
    USER_NOT_PERMITTED "user-not-permitted" "The process is not allowed to run as that user or group.";
    UNKNOWN_DEPENDENCY "unknown-dependency" "`depends_on` names an app that is not in the project.";
    DEPENDENCY_CYCLE "dependency-cycle" "Apps wait for each other.";
    PORT "port" "Ports collide or exceed 65535.";
    CRON "cron" "A schedule is malformed, never runs, or names an unknown time zone.";
    GLOB "glob" "A pattern is malformed or matches too many files.";
    WATCH "watch" "A watched path does not exist.";
    PM2 "pm2" "A key of a PM2 file that is ignored, or means something else here.";
    TOO_MANY "too-many" "More than 200 findings; the others are not shown.";
}

const FINDINGS_MAX: usize = 200;
/// Longest text of a finding: what is wrong may be a value of a megabyte.
const TEXT_BYTES_MAX: usize = 1000;

/// A diagnostic whose place is still a byte range.
pub(super) struct Finding {
    pub code: &'static str,
    pub severity: DiagnosticSeverity,
    pub message: String,
    pub span: Option<Span>,
    pub labels: Vec<(Span, String)>,
    pub hint: Option<String>,
}

impl Finding {
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(clipped(hint.into()));
        self
    }

    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, clipped(text.into())));
        self
    }
}

/// Collects findings.
#[derive(Default)]
pub(super) struct Findings {
    pub findings: Vec<Finding>,
    pub errors: usize,
}

impl Findings {
    pub fn error(
        &mut self,
        code: &'static str,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.errors += 1;
        self.push(code, DiagnosticSeverity::Error, span.into(), message.into())
    }

    pub fn warning(
        &mut self,
        code: &'static str,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(code, DiagnosticSeverity::Warning, span.into(), message.into())
    }

    /// The same for a place that several apps share, once.
    pub fn warning_once(&mut self, code: &'static str, span: Span, message: String, hint: &str) {
        if !self.findings.iter().any(|finding| finding.code == code && finding.span == Some(span)) {
            self.warning(code, span, message).hint(hint);
        }
    }

    /// Adds what was found out about an app of which something else is wrong already: only what is no consequence of that.
    pub fn add_independent(&mut self, others: Self) {
        let is_independent = |finding: &Finding| {
            finding.severity == DiagnosticSeverity::Error && !matches!(finding.code, code::MISSING_KEY)
        };
        for finding in others.findings.into_iter().filter(is_independent) {
            let Finding { code, severity, message, span, labels, hint } = finding;
            self.errors += 1;
            let added = self.push(code, severity, span, message);
            (added.labels, added.hint) = (labels, hint);
        }
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: DiagnosticSeverity,
        span: Option<Span>,
        message: String,
    ) -> &mut Finding {
        let message = clipped(message);
        // Bounded: the last place is overwritten by a note once the list is full.
        if self.findings.len() >= FINDINGS_MAX {
            let last = FINDINGS_MAX - 1;
            self.findings.truncate(last);
            let message = format!("more than {FINDINGS_MAX} findings; fix these first");
            self.findings.push(Finding {
                code: code::TOO_MANY,
                severity: DiagnosticSeverity::Warning,
                message,
                span: None,
                labels: Vec::new(),
                hint: None,
            });
        }
        self.findings.push(Finding { code, severity, message, span, labels: Vec::new(), hint: None });
        let at = self.findings.len() - 1;
        &mut self.findings[at]
    }

    /// The findings with lines and columns, in the order of the files, without secrets.
    pub fn finish(mut self, files: &[super::SourceFile], secrets: &Secrets) -> Vec<Diagnostic> {
        let shown = |text: String| without_secrets(&text, secrets);
        self.findings.truncate(FINDINGS_MAX);
        let places = Places::new(files);
        self.findings.sort_by_key(|finding| finding.span.map_or((u32::MAX, 0), |span| (span.file, span.start)));
        self.findings
            .into_iter()
            .map(|finding| Diagnostic {
                code: finding.code,
                severity: finding.severity,
                message: shown(finding.message),
                place: finding.span.and_then(|span| places.place(span)),
                labels: finding
                    .labels
                    .into_iter()
                    .filter_map(|(span, text)| Some(Label { place: places.place(span)?, text: shown(text) }))
                    .collect(),
                hint: finding.hint.map(shown),
            })
            .collect()
    }
}

/// What is known to be secret is hidden wherever it stands. What only looks so is hidden between the first and the last
/// backquote, where words of the files stand: the rest is ours, or the parser's.
fn without_secrets(text: &str, secrets: &Secrets) -> String {
    let text = secrets.hide_known(text);
    let (Some(first), Some(last)) = (text.find('`'), text.rfind('`')) else { return text.into_owned() };
    format!("{}{}{}", &text[..first], masked(&text[first..last]), &text[last..])
}

/// The beginning of a text that is too long to be read.
fn clipped(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Turns byte ranges into lines and columns; a file's lines are counted once.
pub(super) struct Places<'a> {
    files: &'a [super::SourceFile],
    line_starts: Vec<std::cell::OnceCell<Vec<u32>>>,
}

impl<'a> Places<'a> {
    pub fn new(files: &'a [super::SourceFile]) -> Self {
        Self { files, line_starts: files.iter().map(|_| std::cell::OnceCell::new()).collect() }
    }

    pub fn place(&self, span: Span) -> Option<Place> {
        let file = self.files.get(span.file as usize).filter(|file| !file.is_translated)?;
        let starts = self.line_starts[span.file as usize].get_or_init(|| {
            let after_newline =
                |(at, byte): (usize, &u8)| (*byte == b'\n').then(|| u32::try_from(at + 1).ok()).flatten();
            std::iter::once(0).chain(file.text.iter().enumerate().filter_map(after_newline)).collect()
        });
        let line = starts.partition_point(|start| *start <= span.start).max(1);
        let before = file.text.get(starts[line - 1] as usize..span.start as usize).unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        Some(Place {
            file: file.path.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            start: span.start,
            end: span.end,
        })
    }
}
