//! Diagnostics as users read them: the line, a caret, a hint, as a compiler shows them.

use std::collections::BTreeMap;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::diagnostic::{Diagnostic, DiagnosticSeverity, Place};
use super::hidden::{Shown, WrittenFile};
use super::{SourceFile, diagnostic::Label};
use crate::model::Secrets;

/// Longest piece of a file that is shown.
const WINDOW_BYTES_MAX: usize = 64 << 10;

/// Findings of one code that are shown with their lines and hints. In a file that was generated one mistake may stand
/// hundreds of times; the others are a line each.
const SHOWN_IN_FULL: usize = 10;

/// A place to mark, with what is written beside it.
type Mark<'a> = (&'a Place, Option<&'a str>);

/// All diagnostics as one text, with a counting last line. Empty if there are none. `secrets` are those of the reading.
pub fn render(diagnostics: &[Diagnostic], files: &[SourceFile], secrets: &Secrets, with_color: bool) -> String {
    let renderer = if with_color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let files: Vec<WrittenFile<'_>> = files.iter().map(WrittenFile::new).collect();
    let (mut text, mut further) = (String::new(), String::new());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        let count = counts.entry(diagnostic.code).or_default();
        *count += 1;
        if *count <= SHOWN_IN_FULL {
            text.push_str(&one(diagnostic, &files, secrets, &renderer));
            text.push_str("\n\n");
        } else {
            further.push_str(&in_one_line(diagnostic, &renderer));
            further.push('\n');
        }
    }
    if !further.is_empty() {
        text.push_str(&further);
        text.push('\n');
    }
    if !diagnostics.is_empty() {
        text.push_str(&summary(diagnostics));
        text.push('\n');
    }
    text
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == DiagnosticSeverity::Error).count();
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    let parts = [counted(errors, "error"), counted(diagnostics.len() - errors, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn in_one_line(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let place = diagnostic.place.as_ref();
    let place = place.map_or(String::new(), |at| format!(" ({}:{}:{})", at.file.display(), at.line, at.column));
    let message = format!("{}{place}", diagnostic.message);
    let level = level_of(diagnostic);
    renderer.render(&[Group::with_title(level.primary_title(message.as_str()).id(diagnostic.code))])
}

fn level_of(diagnostic: &Diagnostic) -> Level<'static> {
    match diagnostic.severity {
        DiagnosticSeverity::Error => Level::ERROR,
        DiagnosticSeverity::Warning => Level::WARNING,
    }
}

fn one(diagnostic: &Diagnostic, files: &[WrittenFile<'_>], secrets: &Secrets, renderer: &Renderer) -> String {
    let title = level_of(diagnostic).primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = match &diagnostic.place {
        Some(place) => title.elements(snippets(place, &diagnostic.labels, files, secrets)),
        None => Group::with_title(title),
    };
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// One snippet per file, the diagnostic's own first. Only the lines around are handed to the renderer:
/// it would walk a file of megabytes for every message.
fn snippets<'a>(
    place: &'a Place,
    labels: &'a [Label],
    files: &[WrittenFile<'_>],
    secrets: &Secrets,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut windows: Vec<(Vec<Mark<'_>>, bool)> = vec![(vec![(place, None)], true)];
    for label in labels {
        let marked = (&label.place, Some(label.text.as_str()));
        match windows.iter_mut().find(|(marks, _)| marks[0].0.file == label.place.file) {
            Some((marks, _)) => marks.push(marked),
            None => windows.push((vec![marked], false)),
        }
    }
    windows.into_iter().map(|(marks, is_primary)| snippet(&marks, is_primary, files, secrets)).collect()
}

fn snippet<'a>(
    marks: &[Mark<'a>],
    is_primary: bool,
    files: &[WrittenFile<'_>],
    secrets: &Secrets,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let path = marks[0].0.file.to_string_lossy();
    let path = path.replace(char::is_control, "\u{fffd}");
    let file = files.iter().find(|file| file.file().path == marks[0].0.file);
    let bytes = file.map_or(&[][..], |file| file.file().text.as_slice());
    let start = marks.iter().map(|(place, _)| place.start as usize).min().unwrap_or(0).min(bytes.len());
    let end = marks.iter().map(|(place, _)| place.end as usize).max().unwrap_or(0).clamp(start, bytes.len());
    let line_start = bytes[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line_end = bytes[end..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| end + at);
    let line = marks.iter().map(|(place, _)| place.line as usize).min().unwrap_or(1);
    // Not UTF-8 or an overlong line: the place alone has to do.
    let window = &bytes[line_start..line_end];
    let written = std::str::from_utf8(window).ok().filter(|text| text.len() <= WINDOW_BYTES_MAX);
    let known = written.zip(file).map(|(_, file)| file.secrets_in(line_start..line_end, secrets));
    let written = written.unwrap_or("(this line cannot be shown)");
    let above = &bytes[floor_line(bytes, line_start.saturating_sub(WINDOW_BYTES_MAX))..line_start];
    let shown = Shown::new(&String::from_utf8_lossy(above), written, secrets, known.unwrap_or_default());
    let text = shown.text.clone();
    let inside = |at: u32| floor(written, (at as usize).saturating_sub(line_start).min(written.len()));
    let annotations = marks.iter().enumerate().map(|(at, (place, label))| {
        let kind = if at == 0 && is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let start = inside(place.start);
        let end_of_line = written[start..].find('\n').map(|at| at + start);
        // A table over many lines is marked by its first line.
        let end = end_of_line.map_or(inside(place.end), |end| end.min(inside(place.end)));
        let start_shown = shown.at(start, false);
        kind.span(start_shown..shown.at(end.max(start), true).max(start_shown)).label(*label)
    });
    Snippet::source(text).line_start(line).path(path).annotations(annotations)
}

/// The beginning of the line that `at` stands in.
fn floor_line(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::fake::read_toml;
    use super::*;

    #[test]
    fn a_mistake_is_shown_like_a_compiler_shows_it() {
        let reading = read_toml(
            "[[apps]]\nname = \"api\"\nscript = \"server.js\"\ninstnaces = 2\nnode_args = []\ninterpreter_args = []",
        );
        let text = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
        assert_eq!(
            text,
            "\
error[unknown-key]: unknown key `instnaces` in `apps.api`
 --> /srv/shop/pm.toml:4:1
  |
4 | instnaces = 2
  | ^^^^^^^^^
  |
  = help: did you mean `instances`?

error[alias-beside-original]: `interpreter_args` is a second spelling of a key already in `apps.api`
 --> /srv/shop/pm.toml:6:1
  |
5 | node_args = []
  | --------- the same key
6 | interpreter_args = []
  | ^^^^^^^^^^^^^^^^
  |
  = help: keep `interpreter_args`

2 errors
"
        );
    }

    #[test]
    fn of_one_mistake_many_times_all_are_told_but_only_the_first_with_their_lines() {
        let apps: Vec<String> = (0..30).map(|at| format!("[[apps]]\nname = \"a{at}\"\nscript = 1\n")).collect();
        let reading = read_toml(&(apps.concat() + "[[apps]]\nname = \"b\"\nscript = \"server.js\"\ninstnaces = 2\n"));
        let text = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
        for line in (1..=30).map(|at| format!("pm.toml:{}:10", 3 * at)) {
            assert_eq!(text.matches(&line).count(), 1, "{line}: {text}");
        }
        assert_eq!(text.matches("script = 1\n").count(), SHOWN_IN_FULL, "{text}");
        assert!(
            text.contains("| instnaces = 2") && text.ends_with("31 errors\n"),
            "another one is shown in full: {text}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_can_still_be_pointed_at() {
        let file = SourceFile::new("/x/pm.toml".into(), b"a = 1\nb = \"\xFF\"\n".to_vec());
        let reading =
            super::super::read(&[file], &super::super::ReadOptions::default(), &super::super::fake::World::usual());
        let text = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
        assert!(text.contains("error[encoding]") && text.contains("/x/pm.toml:2"), "{text}");
    }
}
