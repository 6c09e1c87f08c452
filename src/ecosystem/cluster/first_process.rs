//! What the first process of an app is. Only that one can be a worker of a cluster: it uses up the channel to its primary.

use std::path::Path;

use crate::model::{Run, Template};

use super::super::host::{Host as _, Look, Remembering};

/// What speaks the protocol of Node's `cluster`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Runtime {
    Node,
    Deno,
    Bun,
}

/// What the command line of an app starts.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum FirstProcess {
    /// One of the runtimes, with a file of the app.
    Of(Runtime),
    /// Nobody can tell: a shell's line, a placeholder, a file that is not readable.
    Unknown,
    /// Something that cannot be a worker.
    Refused(NoWorker),
}

/// Why it cannot be a worker.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct NoWorker {
    /// What a cluster needs instead.
    pub message: String,
    /// What to write.
    pub hint: &'static str,
}

const FILE: &str = "write `script = \"server.js\"`: the file that the package script starts";
const OTHER: &str = "use `listen`, which shares sockets among the copies of any program; see `pm explain listen`";
const SHELL: &str = "write `script = \"server.js\"`, or `command = \"exec node server.js\"` with `shell = true`";

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// Programs that run the app in a second process, and what to write instead.
const WRAPPERS: [(&str, &str); 9] = [
    ("npm", FILE),
    ("npx", FILE),
    ("yarn", FILE),
    ("pnpm", FILE),
    ("pnpx", FILE),
    ("bunx", FILE),
    ("tsx", "write `script` with `interpreter = \"node\"` and `interpreter_args = [\"--import\", \"tsx\"]`"),
    (
        "ts-node",
        "write `script` with `interpreter = \"node\"` and `interpreter_args = [\"--require\", \"ts-node/register\"]`",
    ),
    ("nodemon", "write `script = \"server.js\"` and `watch = true`"),
];

/// Options by which Node runs no file.
const WITHOUT_FILE: [&str; 8] = ["-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive", "-"];

/// Node's options whose value is a word of its own.
const WITH_VALUE: [&str; 11] = [
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--env-file",
    "--env-file-if-exists",
    "--title",
    "--disable-warning",
];

/// Looks at the program and its arguments.
pub(super) fn first_process(world: &Remembering<'_>, run: &Run) -> FirstProcess {
    let Some(words) = words(world, run) else { return FirstProcess::Unknown };
    let words: Vec<&str> = behind_env(&words).collect();
    let Some((first, rest)) = words.split_first() else { return FirstProcess::Unknown };
    let result = match file_name(first) {
        "node" | "nodejs" => of_node(rest).map(|()| Runtime::Node),
        "deno" => of_deno(rest).map(|()| Runtime::Deno),
        "bun" => Ok(Runtime::Bun),
        shell if SHELLS.contains(&shell) && is_line_of_shell(rest) => return FirstProcess::Unknown,
        other => Err(of_other(other)),
    };
    result.map_or_else(FirstProcess::Refused, FirstProcess::Of)
}

/// The words that are executed, with those of a `#!` line.
fn words(world: &Remembering<'_>, run: &Run) -> Option<Vec<String>> {
    if run.shell || run.command.first().is_some_and(Template::is_per_instance) {
        return None;
    }
    let Some(script) = &run.script else {
        return Some(run.command.iter().map(ToString::to_string).collect());
    };
    let before = match &run.interpreter {
        Some(interpreter) => {
            let args = run.interpreter_args.iter().map(ToString::to_string);
            std::iter::once(interpreter.clone()).chain(args).collect()
        }
        None if runtime_or_wrapper(script) || !script.contains('/') => Vec::new(),
        None => first_line(world, Path::new(script))?,
    };
    Some(before.into_iter().chain([script.clone()]).chain(run.args.iter().map(ToString::to_string)).collect())
}

/// The words of the `#!` line of a file that runs itself; none if it has no such line.
fn first_line(world: &Remembering<'_>, file: &Path) -> Option<Vec<String>> {
    if world.look(file) != (Look::File { is_executable: true }) {
        return None;
    }
    let line = world.first_line(file)?;
    let line = line.strip_prefix(b"#!").unwrap_or_default();
    Some(String::from_utf8_lossy(line).split_whitespace().map(str::to_owned).collect())
}

fn runtime_or_wrapper(word: &str) -> bool {
    let name = file_name(word);
    ["node", "nodejs", "deno", "bun"].contains(&name) || wrapper(name).is_some()
}

fn wrapper(name: &str) -> Option<&'static str> {
    WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name).map(|(_, hint)| *hint)
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// `env` becomes the program that it is given.
fn behind_env(words: &[String]) -> impl Iterator<Item = &str> {
    let is_env = words.first().is_some_and(|first| file_name(first) == "env");
    let is_own = move |word: &&str| is_env && (word.starts_with('-') || word.contains('='));
    words.iter().map(String::as_str).skip(usize::from(is_env)).skip_while(is_own)
}

/// `sh -c "exec node server.js"`.
fn is_line_of_shell(words: &[&str]) -> bool {
    words.iter().take_while(|word| word.starts_with('-')).any(|word| !word.starts_with("--") && word.ends_with('c'))
}

fn of_other(name: &str) -> NoWorker {
    let wrapper = wrapper(name);
    let what = match wrapper {
        Some(_) => format!("`{name}`, which starts the app in another process"),
        None => format!("`{name}`"),
    };
    let hint = wrapper.unwrap_or(if SHELLS.contains(&name) { SHELL } else { OTHER });
    NoWorker { message: format!("Node (or Deno, Bun) as the first process, but it runs {what}"), hint }
}

/// Node's own options, as far as its file.
fn of_node(words: &[&str]) -> Result<(), NoWorker> {
    let second_process = |option: &str, hint| {
        let message = format!("the app in the first process, but `node {option}` starts it in another one");
        Err(NoWorker { message, hint })
    };
    let without_file = |what: &str| {
        Err(NoWorker {
            message: format!("a file for its workers, but {what} has none"),
            hint: "write `script = \"server.js\"`",
        })
    };
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        let option = word.split_once('=').map_or(word, |(option, _)| option);
        match option {
            _ if option.starts_with("--watch") => {
                return second_process(option, "write `watch = true`, which restarts the app when files change");
            }
            "--run" => return second_process(option, FILE),
            _ if WITHOUT_FILE.contains(&option) => return without_file(&format!("`node {option}`")),
            "--" => {}
            _ if WITH_VALUE.contains(&word) => _ = words.next(),
            _ if option.starts_with('-') => {}
            _ => return wrapper(file_name(word)).map_or(Ok(()), |_| Err(of_other(file_name(word)))),
        }
    }
    without_file("`node`")
}

fn of_deno(words: &[&str]) -> Result<(), NoWorker> {
    match words.iter().find(|word| !word.starts_with('-')) {
        Some(&"task") => Err(NoWorker {
            message: "the app in the first process, but `deno task` starts it in another one".to_owned(),
            hint: FILE,
        }),
        _ => Ok(()),
    }
}
