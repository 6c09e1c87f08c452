//! PM2's configuration files, read as ecosystem files: `node` evaluates what is JavaScript, as the calling user.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::fail::{Code, CommandError};
use super::output::harmless;
use super::session::Session;
use crate::ecosystem::{self, SourceFile};
use crate::model::Millis;
use crate::os::{self, ToolAnswer, ToolCall};
use crate::pm2::{self, Export, Misfit, Remark, Translation};

pub(super) use running::running;

/// What a file of PM2 is called, where no ecosystem file stands beside it.
pub(super) const NAMES: [&str; 8] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.ts",
    "pm2.config.js",
    "pm2.config.cjs",
    "pm2.config.mjs",
    "pm2.json",
];

const EXPORT: &str = include_str!("export.cjs");
/// A configuration that takes longer waits for something that never comes.
const PATIENCE: Millis = Millis::seconds(10);
/// As for any ecosystem file.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// Lines that a configuration prints and that are passed on.
const PRINTED_LINES_MAX: usize = 20;

/// How a file of PM2 is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pm2Form {
    /// `node` loads it and takes what it exports.
    Module,
    /// JSON, or JavaScript that PM2 takes for JSON.
    Json,
    Yaml,
    /// Only its key `pm2` or `apps` matters.
    Package,
}

impl Pm2Form {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (stem, extension) = name.rsplit_once('.')?;
        let is_config = stem.ends_with(".config") || matches!(stem, "pm2" | "process");
        match extension {
            "js" | "cjs" | "mjs" | "ts" | "mts" | "cts" => stem.ends_with(".config").then_some(Self::Module),
            "json" if name == "package.json" => Some(Self::Package),
            "json" => is_config.then_some(Self::Json),
            "yml" | "yaml" => is_config.then_some(Self::Yaml),
            _ => None,
        }
    }
}

/// Whether this is PM2's configuration, by its name.
pub(super) fn is_of_pm2(path: &Path) -> bool {
    Pm2Form::of(path).is_some()
}

/// Reads a file of PM2.
///
/// # Errors
/// It cannot be evaluated, or declares nothing that can be run; nothing has happened then.
pub(super) fn read(
    session: &mut Session,
    path: &Path,
    text: Vec<u8>,
    profile: Option<&str>,
) -> Result<Translation, CommandError> {
    let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    let form = Pm2Form::of(path).unwrap_or(if is_yaml { Pm2Form::Yaml } else { Pm2Form::Json });
    let (export, mut remarks) = match form {
        Pm2Form::Module => evaluated(session, path, "module", profile)?,
        Pm2Form::Json | Pm2Form::Package => match serde_json::from_slice(&text) {
            Ok(value) => (Export::of_data(value), Vec::new()),
            Err(_) if form == Pm2Form::Json => evaluated(session, path, "expression", profile)?,
            Err(error) => return Err(broken(path, &error.to_string())),
        },
        Pm2Form::Yaml => {
            let file = SourceFile::new(path.to_owned(), text);
            let value = ecosystem::to_json(&file).ok_or_else(|| broken(path, "it is not YAML"))?;
            (Export::of_data(value), Vec::new())
        }
    };
    let mut translation = pm2::translate(&export, profile).map_err(|misfit| unusable(path, misfit))?;
    remarks.append(&mut translation.remarks);
    Ok(Translation { remarks, ..translation })
}

/// Reads what stands on standard input: JSON, or JavaScript that PM2 takes for JSON.
///
/// # Errors
/// It cannot be evaluated, or declares nothing that can be run.
pub(super) fn read_input(session: &mut Session, text: &[u8]) -> Result<Translation, CommandError> {
    let name = Path::new("standard input");
    if let Ok(value) = serde_json::from_slice(text) {
        return pm2::translate(&Export::of_data(value), None).map_err(|misfit| unusable(name, misfit));
    }
    // `node` reads a file: nothing but this evaluation sees it.
    let folder = Session::home()?.root;
    let path = folder.join(format!("pm2-input-{}.js", os::own_pid()));
    let failed = |error: &io::Error| CommandError::system(format!("cannot write `{}`", path.display()), error);
    os::create_private_folder(&folder)
        .and_then(|()| os::write_whole(&path, text, 0o600))
        .map_err(|error| failed(&error))?;
    let evaluated = evaluated(session, &path, "expression", None);
    let _best_effort = os::remove_if_there(&path);
    let (export, mut remarks) = evaluated?;
    let mut translation = pm2::translate(&export, None).map_err(|misfit| unusable(name, misfit))?;
    remarks.append(&mut translation.remarks);
    Ok(Translation { remarks, ..translation })
}

fn broken(path: &Path, why: &str) -> CommandError {
    CommandError::new(Code::File, format!("cannot read `{}`: {}", path.display(), harmless(why)))
}

fn unusable(path: &Path, Misfit(reasons): Misfit) -> CommandError {
    let message = format!("`{}` cannot be used", path.display());
    let details = reasons.iter().map(|reason| harmless(reason).into_owned()).collect();
    CommandError { details, ..CommandError::new(Code::File, message) }
}

/// What `export.cjs` prints.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Evaluated {
    value: Value,
    read: BTreeSet<String>,
    added: BTreeMap<String, String>,
    lost: Vec<String>,
    error: Option<String>,
    code: Option<Value>,
    line: Option<u32>,
}

/// Has `node` load the file.
fn evaluated(
    session: &mut Session,
    path: &Path,
    kind: &str,
    profile: Option<&str>,
) -> Result<(Export, Vec<Remark>), CommandError> {
    let mark = format!("pm-export-{}-{}:", os::own_pid(), os::wall().0);
    let file = path.to_str().ok_or_else(|| broken(path, "its path is not UTF-8"))?;
    let args = ["-e", EXPORT, "--", file, kind, &mark, profile.unwrap_or_default()].map(str::to_owned);
    let tool = ToolCall {
        program: "node",
        args: &args,
        variables: &[],
        patience: PATIENCE,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    let answer = os::run_tool(&tool).map_err(|error| not_run(path, &error))?;
    let (before, printed) = parts(&answer, &mark);
    for line in
        before.lines().chain(answer.complaint.lines()).filter(|line| !line.trim().is_empty()).take(PRINTED_LINES_MAX)
    {
        session.screen.note(&format!("{}: {}", name_of(path), harmless(line)));
    }
    let Some(printed) = printed else { return Err(without_answer(path, &answer)) };
    if let Some(error) = printed.error {
        let place = printed.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let message = format!("`{}`{place}: {}", path.display(), harmless(&error));
        let error = CommandError::new(Code::File, message);
        let is_missing = printed.code.is_some_and(|code| code == "MODULE_NOT_FOUND" || code == "ERR_MODULE_NOT_FOUND");
        let is_typescript = path.extension().is_some_and(|extension| extension.to_string_lossy().ends_with("ts"));
        return Err(match (is_missing, is_typescript) {
            (true, _) => error.hint("install what it needs, for example with `npm install`"),
            (_, true) => error.hint("Node reads TypeScript by itself since 22.18"),
            _ => error,
        });
    }
    let remarks = printed.lost.into_iter().map(|key| {
        let says = "ignored: a function, a regular expression, or a number that is none".to_owned();
        Remark { app: None, key, says }
    });
    let export = Export { value: printed.value, shell: os::environment(), read: printed.read, added: printed.added };
    Ok((export, remarks.collect()))
}

/// What the file itself has printed, and the answer behind the mark.
fn parts<'a>(answer: &'a ToolAnswer, mark: &str) -> (&'a str, Option<Evaluated>) {
    match answer.output.rsplit_once(mark) {
        Some((before, json)) => (before, serde_json::from_str(json.trim_end()).ok()),
        None => (&answer.output, None),
    }
}

fn not_run(path: &Path, error: &io::Error) -> CommandError {
    match error.kind() {
        io::ErrorKind::NotFound => CommandError::new(
            Code::File,
            format!("`node` is needed to read `{}`, and it is not on the PATH", path.display()),
        )
        .hint("`pm import` on a machine with Node makes an ecosystem.toml of it"),
        io::ErrorKind::TimedOut => CommandError::new(
            Code::File,
            format!("`{}` was not evaluated within {} s", path.display(), PATIENCE.0 / 1000),
        )
        .hint("a configuration must not wait for anything"),
        _ => CommandError::system(format!("cannot run `node` to read `{}`", path.display()), error),
    }
}

fn without_answer(path: &Path, answer: &ToolAnswer) -> CommandError {
    let why = match answer.exit_code {
        _ if answer.is_cut => "it exports or prints more than 4 MiB".to_owned(),
        Some(code) => format!("it ended `node` with exit code {code} before it exported anything"),
        None => "`node` was killed while it read it".to_owned(),
    };
    broken(path, &why)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
