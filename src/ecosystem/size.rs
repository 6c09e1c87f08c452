//! Checks that command line and environment fit the kernel's limits; otherwise a running process would be stopped in vain.

use crate::model::{App, Environment, ExecLimits, Probe};
use crate::rules::{self, Place, TooLong};

use super::diagnostic::code;
use super::environment::{Collected, From, base};
use super::host::Host as _;
use super::values::Values;

/// Checks the command line and the environment of the first instance, and every command beside the app.
pub(super) fn check_size(values: &mut Values<'_>, app: &App, collected: &Collected) {
    let limits = values.world.exec_limits();
    for (key, command) in commands(app) {
        let bytes = command.len() as u64 + 1;
        if bytes > limits.string_bytes {
            let span = values.item(key).map_or(values.app.name_span, |item| item.key_span);
            let message =
                format!("a command in `{key}` has {bytes} bytes, but the kernel allows {}", limits.string_bytes);
            values.error(code::BAD_VALUE, span, message).hint(TO_A_FILE);
        }
    }
    if is_far_below(values, app, limits) {
        return;
    }
    let Some(argv) = rules::argv(&app.run, 0) else { return };
    if let Err(too_long) = rules::exec_size(&argv.words, &variables(values, app), limits) {
        tell(values, &too_long, collected);
    }
}

/// Whether the app does not come near the limits, however its placeholders are filled in. Nearly every app is such a one,
/// and to find it out takes a fraction of the time.
fn is_far_below(values: &Values<'_>, app: &App, limits: ExecLimits) -> bool {
    /// A placeholder has at least as many bytes as half of what stands for it.
    const GROWTH: u64 = 2;
    /// The end of a string, the `=` of a variable and the address that the kernel stores.
    const EACH: usize = 10;
    let run = &app.run;
    let words = run.command.iter().chain(&run.args).chain(&run.interpreter_args).map(|word| word.source().len());
    let own = run.env.iter().map(|(name, value)| name.len() + value.source().len());
    let shell = values.world.variables().iter().map(|(name, value)| name.len() + value.len());
    let others =
        [&run.script, &run.interpreter, &run.slot_variables.increment_var].into_iter().flatten().map(String::len);
    let names = [app.project.as_str().len(), app.name.as_str().len(), run.slot_variables.instance_var.len()];
    let bytes: usize = words.chain(own).chain(shell).chain(others).chain(names).map(|bytes| bytes + EACH).sum();
    (bytes as u64).saturating_mul(GROWTH) < limits.string_bytes.min(limits.total_bytes / 2)
}

const TO_A_FILE: &str = "put it into a file and use the path of the file";

/// Every command of the app that `sh -c` gets as one word, with its key.
fn commands(app: &App) -> Vec<(&'static str, String)> {
    let hooks = &app.hooks;
    let hooks = [&hooks.pre_start, &hooks.post_ready, &hooks.pre_stop, &hooks.on_crash, &hooks.on_give_up];
    let mut all: Vec<_> = hooks.into_iter().flatten().map(|command| ("hooks", command.clone())).collect();
    all.extend(app.watching.build.iter().map(|command| ("build", command.clone())));
    let ready = app.ready.as_ref().map(|ready| ("ready", &ready.probe));
    let health = app.health.as_ref().map(|health| ("health", &health.probe));
    for (key, probe) in ready.into_iter().chain(health) {
        if let Probe::Exec(command) = probe {
            all.push((key, command.fill(0, app.run.port)));
        }
    }
    all
}

fn variables(values: &Values<'_>, app: &App) -> Environment {
    let instance = app.id().instance(0);
    let place = Place { instance: &instance, home: "", cookie: "", identity: None };
    rules::environment(app, &base(values.world), &place)
}

fn tell(values: &mut Values<'_>, too_long: &TooLong, collected: &Collected) {
    let key = |key: &str| values.item(key).map(|item| item.key_span);
    let mut message = too_long.to_string();
    let span = match too_long {
        TooLong::Variable { name, .. } => match collected.from.get(name) {
            Some(From::File(span)) => Some(*span),
            Some(From::EnvFile(path)) => {
                message = format!("{message}; it comes from `{}`", path.display());
                key("env_file")
            }
            Some(From::Shell) => key("inherit"),
            None => None,
        },
        TooLong::Word { .. } => key("args").or_else(|| key("command")),
        TooLong::Altogether { .. } => key("inherit").or_else(|| key("env_file")),
    };
    values.error(code::BAD_VALUE, span.unwrap_or(values.app.name_span), message).hint(TO_A_FILE);
}
