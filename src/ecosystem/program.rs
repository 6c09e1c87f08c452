//! What is executed: script, command, interpreter, folder; checked against the disk before anything starts.

use std::path::{Path, PathBuf};

use crate::model::{Run, Template};

use super::diagnostic::code;
use super::host::{Host, Look, tidy};
use super::tree::Span;
use super::values::Values;

/// Interpreters by extension.
const INTERPRETERS: &[(&str, &str)] = &[
    ("js", "node"),
    ("cjs", "node"),
    ("mjs", "node"),
    ("py", "python3"),
    ("rb", "ruby"),
    ("php", "php"),
    ("pl", "perl"),
    ("lua", "lua"),
    ("sh", "sh"),
    ("bash", "bash"),
];

/// Fills in the program of an app: `script` … `cwd`.
pub(super) fn program(values: &mut Values<'_>, run: &mut Run) {
    let is_foreign = values.item("user").is_some();
    let cwd = folder(values, is_foreign);
    run.shell = values.boolean("shell", false);
    let is_placed = cwd.is_some();
    run.cwd = cwd.unwrap_or_default();
    let script = values.item("script").map(|item| (item.key_span, item.node.span));
    let command = values.item("command").map(|item| item.key_span);
    match (script, command) {
        (Some((key, _)), Some(other)) => {
            values
                .error(code::CONFLICTING_KEYS, key, "`script` and `command` exclude each other")
                .label(other, "the other one")
                .hint("keep one; in a profile, `script = { unset = true }` removes it");
        }
        (None, None) => {
            let span = values.app.name_span;
            values
                .error(code::MISSING_KEY, span, "neither `script` nor `command` is set")
                .hint("set one of them to the program to run");
        }
        // Without its folder the rest would only give follow-up errors.
        _ if !is_placed => {}
        (Some((_, span)), None) => script_program(values, run, span, is_foreign),
        (None, Some(_)) => command_program(values, run),
    }
    for (key, fits) in [("shell", command.is_some()), ("interpreter", script.is_some()), ("args", script.is_some())] {
        if let Some(item) = values.item(key).filter(|_| !fits && (script.is_some() != command.is_some())) {
            let (span, is_idle) = (item.key_span, item.node.as_scalar().is_some_and(|scalar| scalar.text == "false"));
            let other = if key == "shell" { "command" } else { "script" };
            if !is_idle {
                values.error(code::CONFLICTING_KEYS, span, format!("`{key}` only works with `{other}`"));
            }
        }
    }
}

/// The working folder with its links resolved.
fn folder(values: &mut Values<'_>, is_foreign: bool) -> Option<PathBuf> {
    let (path, span) = match values.node("cwd") {
        Some(node) => (values.path("cwd", node), node.span),
        None => {
            let span = values.app.name_span;
            (Some(values.folder_of(span).to_path_buf()), span)
        }
    };
    let path = path?;
    match values.world.look(&path) {
        Look::Folder => {
            let resolved = values.world.resolve(&path).unwrap_or(path);
            if resolved.to_str().is_none() {
                let message = format!("the name of the working folder `{}` is not UTF-8", resolved.display());
                values.error(code::CWD, span, message).hint("rename it, or choose another folder with `cwd`");
                return None;
            }
            Some(resolved)
        }
        Look::Forbidden if is_foreign => Some(path),
        look => {
            let problem = match look {
                Look::Missing => "does not exist",
                Look::Forbidden => "is not accessible to you",
                _ => "is not a folder",
            };
            values.error(code::CWD, span, format!("the working folder `{}` {problem}", path.display()));
            None
        }
    }
}

/// The file with the links of its folder resolved: when `current` points elsewhere, that is another program. The file
/// itself may be a link; many look at the name by which they were called.
pub(super) fn through_links(world: &dyn Host, file: &Path) -> PathBuf {
    let resolved = || Some(world.resolve(file.parent()?)?.join(file.file_name()?));
    resolved().unwrap_or_else(|| file.to_owned())
}

fn command_program(values: &mut Values<'_>, run: &mut Run) {
    let Some(node) = values.node("command") else { return };
    if run.shell {
        run.command = values.template("command", node).into_iter().collect();
        return;
    }
    run.command = values.words("command", node);
    let Some(first) = run.command.first().filter(|first| !first.is_per_instance()).map(ToString::to_string) else {
        if run.command.is_empty() && !node.as_text().unwrap_or_default().contains(['$', '"', '\'']) {
            values.error(code::BAD_VALUE, node.span, "`command` is empty");
        }
        return;
    };
    warn_about_shell_words(values, &run.command, node.span);
    let is_foreign = values.item("user").is_some();
    if first.contains('/') {
        let typed = tidy(&run.cwd.join(&first));
        let file = through_links(values.world, &typed);
        if file != typed
            && let Some(program) = run.command.first_mut()
        {
            *program = Template::literal(file.to_string_lossy().as_ref());
        }
        check_runnable(values, &file, node.span, is_foreign);
    } else if !values.world.has_program(&first) {
        not_on_path(values, &first, &run.cwd.clone(), node.span);
    }
}

fn warn_about_shell_words(values: &mut Values<'_>, command: &[Template], span: Span) {
    const SHELL_WORDS: [&str; 9] = ["|", "&&", "||", ";", ">", ">>", "<", "&", "2>&1"];
    if let Some(word) = SHELL_WORDS.iter().find(|word| command.iter().any(|part| part.source() == **word)) {
        let message = format!("app `{}`: `{word}` in `command` is passed on as an argument", values.app.name);
        values.report.warning(code::BAD_VALUE, span, message).hint("add `shell = true` if a shell should see it");
    }
}

fn script_program(values: &mut Values<'_>, run: &mut Run, span: Span, is_foreign: bool) {
    run.args = values.arguments("args");
    run.interpreter_args = values.arguments("interpreter_args");
    let Some(script) = values.text("script").and_then(|script| values.home("script", &script, span)) else { return };
    let interpreter = values.text("interpreter");
    let is_bare = !script.contains(['/', '.']);
    if is_bare && interpreter.as_deref().is_none_or(|word| word == "none") {
        if !values.world.has_program(&script) {
            not_on_path(values, &script, &run.cwd.clone(), span);
        }
        run.script = Some(script);
        return;
    }
    let file = through_links(values.world, &tidy(&run.cwd.join(&script)));
    run.script = Some(file.to_string_lossy().into_owned());
    let look = values.world.look(&file);
    match look {
        Look::File { .. } => {}
        Look::Forbidden if is_foreign => {}
        _ if script.contains(' ') && look == Look::Missing => {
            values
                .error(code::SCRIPT_MISSING, span, format!("no file `{}`", file.display()))
                .hint("`script` is one file; arguments go to `args`, a whole line to `command`");
            return;
        }
        Look::Missing => {
            let message = format!("no file `{}`", file.display());
            let cwd = format!("`script` is relative to `cwd`, which is `{}`", run.cwd.display());
            values.error(code::SCRIPT_MISSING, span, message).hint(cwd);
            return;
        }
        Look::Forbidden | Look::Folder | Look::Other => {
            let problem = if look == Look::Forbidden { "is not readable by you" } else { "is not a file" };
            values.error(code::SCRIPT_MISSING, span, format!("`{}` {problem}", file.display()));
            return;
        }
    }
    match interpreter {
        Some(word) if word == "none" => {
            check_runnable(values, &file, span, is_foreign);
            check_hashbang(values, &file, span);
        }
        Some(word) => run.interpreter = named_interpreter(values, &word, &run.cwd),
        None => run.interpreter = guess(values, &file, look, span, &mut run.interpreter_args),
    }
    if run.interpreter.is_none()
        && !run.interpreter_args.is_empty()
        && let Some(item) = values.item("interpreter_args")
    {
        let span = item.key_span;
        values.error(code::CONFLICTING_KEYS, span, "`interpreter_args` needs an interpreter, but the file runs itself");
    }
}

fn named_interpreter(values: &mut Values<'_>, word: &str, cwd: &Path) -> Option<String> {
    let span = values.item("interpreter")?.node.span;
    let word = values.home("interpreter", word, span)?;
    if word.contains('/') {
        let file = tidy(&cwd.join(&word));
        let is_foreign = values.item("user").is_some();
        check_runnable(values, &file, span, is_foreign);
        return Some(file.to_string_lossy().into_owned());
    }
    if !values.world.has_program(&word) {
        let message = format!("the interpreter `{word}` is not on your PATH");
        let found = values.error(code::INTERPRETER, span, message);
        if word.contains(' ') {
            found.hint("`interpreter` is one program; its arguments go to `interpreter_args`");
        } else {
            found.hint("install it, or give its full path");
        }
    }
    Some(word)
}

/// The interpreter of a file that none was named for; `None` = it runs itself.
fn guess(
    values: &mut Values<'_>,
    file: &Path,
    look: Look,
    span: Span,
    interpreter_args: &mut Vec<Template>,
) -> Option<String> {
    let is_executable = look == Look::File { is_executable: true };
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let known = INTERPRETERS.iter().find(|(known, _)| *known == extension).map(|(_, interpreter)| *interpreter);
    // An executable file with its own `#!` line knows best (a virtual environment's Python, say),
    // unless arguments for the interpreter have to be put in between.
    let needs_first_line = match known {
        Some("sh" | "bash") => true,
        Some(_) => is_executable,
        None => !is_executable,
    };
    let first_line = needs_first_line.then(|| values.world.first_line(file)).flatten();
    let hashbang = first_line.as_deref().and_then(hashbang);
    if is_executable && (known.is_none() || (hashbang.is_some() && interpreter_args.is_empty())) {
        check_hashbang(values, file, span);
        return None;
    }
    if let Some(interpreter) = known.filter(|known| !(matches!(*known, "sh" | "bash") && hashbang.is_some())) {
        check_on_path(values, interpreter, span);
        return Some(interpreter.to_owned());
    }
    if let Some((program, argument)) = hashbang {
        check_on_path(values, &program, span);
        if let Some(argument) = argument {
            interpreter_args.insert(0, Template::literal(&argument));
        }
        return Some(program);
    }
    let message = format!("`{}` is not executable and has no known interpreter", file.display());
    match extension {
        "ts" | "mts" | "cts" | "tsx" | "jsx" => values
            .error(code::INTERPRETER, span, message)
            .hint("set `interpreter = \"node\"` (22.18 or later), \"bun\" or \"tsx\""),
        _ => values
            .error(code::NOT_EXECUTABLE, span, message)
            .hint(format!("make it executable (`chmod +x {}`), or set `interpreter`", file.display())),
    };
    None
}

/// The program of a `#!` line, `env` seen through, and its one argument.
fn hashbang(line: &[u8]) -> Option<(String, Option<String>)> {
    let line = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?.trim();
    let (program, argument) = line.split_once([' ', '\t']).map_or((line, ""), |(program, rest)| (program, rest.trim()));
    let (program, argument) = match (program.rsplit('/').next(), argument) {
        (Some("env"), argument) if !argument.is_empty() && !argument.starts_with('-') => {
            argument.split_once(' ').unwrap_or((argument, ""))
        }
        _ => (program, argument),
    };
    let argument = (!argument.is_empty()).then(|| argument.trim().to_owned());
    (!program.is_empty()).then(|| (program.to_owned(), argument))
}

/// A file that runs itself needs the program of its `#!` line; without it the kernel says that the *script* is missing.
fn check_hashbang(values: &mut Values<'_>, file: &Path, span: Span) {
    let line = values.world.first_line(file).unwrap_or_default();
    if line.starts_with(b"#!") && line.ends_with(b"\r") {
        let message =
            format!("the first line of `{}` ends with a carriage return, which becomes part of it", file.display());
        values
            .error(code::INTERPRETER, span, message)
            .hint("save the script with the line ends of Unix (LF), or set `interpreter`");
        return;
    }
    let Some(line) = line.strip_prefix(b"#!").and_then(|line| std::str::from_utf8(line).ok()) else { return };
    let Some(program) = line.split_whitespace().next().filter(|program| program.starts_with('/')) else { return };
    if values.world.look(Path::new(program)) == Look::Missing {
        let message = format!("the interpreter `{program}` of script `{}` does not exist", file.display());
        values
            .error(code::INTERPRETER, span, message)
            .hint("install it, fix the first line of the script, or set `interpreter`");
    }
}

fn check_on_path(values: &mut Values<'_>, program: &str, span: Span) {
    let is_there = match program.contains('/') {
        true => values.world.look(Path::new(program)) == Look::File { is_executable: true },
        false => values.world.has_program(program),
    };
    if !is_there {
        let message = format!("the interpreter `{program}` of this script is not on your PATH");
        values.error(code::INTERPRETER, span, message).hint("install it, or set `interpreter`");
    }
}

fn check_runnable(values: &mut Values<'_>, file: &Path, span: Span, is_foreign: bool) {
    match values.world.look(file) {
        Look::File { is_executable: true } => {}
        Look::File { .. } | Look::Forbidden if is_foreign => {}
        Look::File { .. } => {
            values
                .error(code::NOT_EXECUTABLE, span, format!("`{}` is not executable", file.display()))
                .hint(format!("`chmod +x {}`", file.display()));
        }
        Look::Missing => {
            values.error(code::SCRIPT_MISSING, span, format!("no file `{}`", file.display()));
        }
        Look::Folder | Look::Other | Look::Forbidden => {
            values.error(code::SCRIPT_MISSING, span, format!("`{}` is not a file that you may run", file.display()));
        }
    }
}

fn not_on_path(values: &mut Values<'_>, word: &str, cwd: &Path, span: Span) {
    let is_beside = matches!(values.world.look(&cwd.join(word)), Look::File { .. });
    let found = values.error(code::SCRIPT_MISSING, span, format!("no program `{word}` on your PATH"));
    if is_beside {
        found.hint(format!("write `./{word}` for the file in `cwd`"));
    } else {
        found.hint("install it, or write the path of a file");
    }
}
