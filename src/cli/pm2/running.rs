//! What a PM2 on this machine runs: by its own `jlist`, or by the list that `pm2 save` has left.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::fail::{Code, CommandError};
use super::super::output::harmless;
use super::super::session::Session;
use crate::model::Millis;
use crate::os::{self, ToolCall};
use crate::pm2::{Misfit, Translation, of_processes};

const LIST_BYTES_MAX: usize = 64 << 20;
const PATIENCE: Millis = Millis::seconds(20);

/// The apps of PM2, and where they were found, in words.
///
/// # Errors
/// There is no PM2 that runs, and no list of its apps; or they cannot be expressed.
pub(in crate::cli) fn running(session: &mut Session) -> Result<(Translation, String), CommandError> {
    let home = home()?;
    let (list, from) = match program().filter(|_| does_run(&home)) {
        Some(program) => {
            if let Some(list) = asked(&program, &home) {
                (list, "`pm2 jlist`".to_owned())
            } else {
                session.screen.note("warning: `pm2 jlist` gave no answer: its saved list is read");
                saved(&home)?
            }
        }
        None => saved(&home)?,
    };
    let translation = of_processes(&list, &os::environment()).map_err(|Misfit(reasons)| {
        let details = reasons.iter().map(|reason| harmless(reason).into_owned()).collect();
        CommandError { details, ..CommandError::new(Code::File, format!("{from} cannot be imported")) }
    })?;
    Ok((translation, from))
}

/// `$PM2_HOME`, or where PM2 has it by itself.
fn home() -> Result<PathBuf, CommandError> {
    let named = os::variable("PM2_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let usual = || os::variable("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(".pm2"));
    named.or_else(usual).ok_or_else(|| {
        CommandError::new(Code::File, "PM2 is not found: neither HOME nor PM2_HOME is set")
            .hint("set PM2_HOME to its folder")
    })
}

/// The real one, not a link of that name to this program.
fn program() -> Option<PathBuf> {
    let path = os::variable("PATH")?;
    let found = os::find_program("pm2".as_ref(), path.as_ref())?;
    let own = os::current_exe().and_then(|own| os::canonicalize(&own)).ok();
    let is_ours = own.is_some() && os::canonicalize(&found).ok() == own;
    (!is_ours).then_some(found)
}

/// Its commands start a daemon where none runs: nothing is asked of one that does not run.
fn does_run(home: &Path) -> bool {
    os::connect(&home.join("rpc.sock")).is_ok()
}

fn asked(program: &Path, home: &Path) -> Option<Value> {
    let args = ["-s", "jlist"].map(str::to_owned);
    let variables = [("PM2_HOME".to_owned(), home.to_str()?.to_owned())];
    let tool = ToolCall {
        program: program.to_str()?,
        args: &args,
        variables: &variables,
        patience: PATIENCE,
        output_bytes_max: LIST_BYTES_MAX,
    };
    let answer = os::run_tool(&tool).ok().filter(|answer| answer.exit_code == Some(0) && !answer.is_cut)?;
    let list: Value = answer.output.lines().find_map(|line| serde_json::from_str(line).ok())?;
    list.is_array().then_some(list)
}

/// The list that `pm2 save` has left, or the one before it.
fn saved(home: &Path) -> Result<(Value, String), CommandError> {
    let mut why = None;
    for name in ["dump.pm2", "dump.pm2.bak"] {
        let path = home.join(name);
        match os::read_limited(&path, LIST_BYTES_MAX as u64) {
            Ok(text) => match serde_json::from_slice::<Value>(&text) {
                Ok(list) if list.as_array().is_some_and(|list| !list.is_empty()) => {
                    return Ok((list, format!("`{}`", path.display())));
                }
                Ok(_) => why = why.or_else(|| Some(format!("`{}` is empty", path.display()))),
                Err(error) => why = why.or_else(|| Some(format!("`{}` is not JSON: {error}", path.display()))),
            },
            Err(error) => why = why.or_else(|| Some(format!("cannot read `{}`: {error}", path.display()))),
        }
    }
    let message =
        format!("no PM2 runs for `{}`, or it cannot be asked, and there is no list of its apps", home.display());
    let error =
        CommandError::new(Code::File, message).hint("`pm2 save` writes the list; PM2_HOME names another folder");
    Err(CommandError { details: why.into_iter().collect(), ..error })
}
