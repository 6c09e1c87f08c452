//! start: scripts, files, and what exists already.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::fail::{Code, CommandError, Ending};
use super::super::file::{self, Daemon, FileArgs};
use super::super::output::harmless;
use super::super::pm2;
use super::super::session::{self, Session};
use super::super::sudo;
use super::follow::{edit, follow};
use super::kept::{self, StartedScript};
use super::say::{say, say_done};
use super::scene::{DoorScene, ListedProcess};
use super::{NOT_THERE, act, show};
use crate::model::{App, AppId, AppName, ApplyGuard, ApplyOptions, ExecMode, Proposed};
use crate::os;
use crate::pm2::{
    DoorCall, DoorVerb, Export, Remark, TranslatedApp, Translation, app_of, as_through_the_door, translate,
};
use crate::wire::{ApplyRequest, Edit, PlanDetail};

/// What is read from standard input, at most.
const INPUT_BYTES_MAX: u64 = 4 << 20;
/// What `init` writes.
const TEMPLATE: &str = "module.exports = {\n  apps: [\n    { name: 'app', script: './app.js' },\n  ],\n};\n";
/// Options that mean something beside a file, which has the settings of its apps.
const BESIDE_A_FILE: [&str; 6] = ["env", "force", "mini-list", "only", "silent", "update-env"];
const FILE: &str = "ecosystem.config.js";

/// Whether a word names a configuration rather than a script or an app.
pub(super) fn is_configuration(word: &str) -> bool {
    let endings = [".json", ".yml", ".yaml", ".toml", ".config.js", ".config.cjs", ".config.mjs", ".config.ts"];
    endings.iter().any(|ending| word.ends_with(ending)) || word == "-"
}

/// Whether options were given that would be settings of an app.
pub(super) fn has_settings(call: &DoorCall) -> bool {
    app_of("", &call.options, &call.args).as_object().is_some_and(|keys| keys.len() > 1)
}

/// `start`, `startOrRestart`.
pub(super) fn start(session: &mut Session, call: &DoorCall) -> Ending {
    let default = [FILE.to_owned()];
    let targets = if call.targets.is_empty() { &default[..] } else { &call.targets[..] };
    let mut worst = Code::Ok;
    for target in targets {
        let code = if is_configuration(target) {
            file(session, call, target)?
        } else if call.word == "start" {
            one(session, call, target)?
        } else {
            return Err(CommandError::new(Code::Usage, format!("`{}` needs a file, not `{target}`", call.word)));
        };
        if code != Code::Ok {
            worst = code;
        }
    }
    show::after(session, call)?;
    Ok(worst)
}

/// An app that exists, or a script.
fn one(session: &mut Session, call: &DoorCall, target: &str) -> Ending {
    let folder = session::folder()?;
    let is_file = os::file_kind(&folder.join(target)).is_ok_and(|kind| kind == os::FileKind::File);
    let scene = DoorScene::ask(session)?;
    let meant = scene.meant_by(target)?;
    if !meant.is_empty() && !is_file {
        if has_settings(call) {
            let message = format!("`{target}` is an app already, and starting it changes no settings");
            return Err(CommandError::new(Code::Usage, message).hint("`delete` it and start its script with them"));
        }
        return if call.options.has("update-env") {
            with_new_environment(session, call, &scene, &meant)
        } else {
            act::with(session, call, &scene, &meant)
        };
    }
    check_is_there(&folder, target)?;
    script(session, call, &scene, target)
}

/// What is started is a file, a program on the PATH, or a line for a shell.
pub(super) fn check_is_there(folder: &Path, target: &str) -> Result<(), CommandError> {
    let is_file = os::file_kind(&folder.join(target)).is_ok_and(|kind| kind == os::FileKind::File);
    let path = os::variable("PATH").unwrap_or_default();
    let is_line = target.trim().contains(char::is_whitespace);
    if is_file || is_line || os::find_program(target.as_ref(), path.as_ref()).is_some() {
        return Ok(());
    }
    let place = file::absolute(folder, target.as_ref());
    Err(CommandError::new(Code::Error, format!("no script `{}`, and no app `{target}`", place.display())))
}

fn script(session: &mut Session, call: &DoorCall, scene: &DoorScene, target: &str) -> Ending {
    let folder = session::folder()?;
    let value = app_of(target, &call.options, &call.args);
    let (mut app, remarks) = translated(&folder, &value)?;
    remark(session, &remarks);
    let path = file::absolute(&folder, target.as_ref()).to_string_lossy().into_owned();
    let of_name: Vec<ListedProcess<'_>> = scene.members().filter(|member| member.known.name == app.name).collect();
    let same: Vec<ListedProcess<'_>> = of_name.iter().filter(|member| member.known.script == path).copied().collect();
    if !same.is_empty() && !call.options.has("force") {
        if same.iter().any(ListedProcess::is_online) {
            let message = format!("`{}` is started already", app.name);
            let hint = format!("`restart {}` restarts it, `start -f` starts it a second time", app.name);
            return Err(CommandError::new(Code::Error, message).hint(hint));
        }
        if same.iter().any(|member| !member.id().project.is_nobody()) {
            return act::with(session, call, scene, &same);
        }
    }
    // Another script of that name, or a second one on purpose: names are unique here.
    let is_taken = |name: &str| scene.members().any(|member| member.known.name == name);
    if is_taken(&app.name) && (same.is_empty() || call.options.has("force")) {
        let first = app.name.clone();
        let free = (2..=u32::MAX).map(|number| format!("{first}-{number}")).find(|name| !is_taken(name));
        app.name = free.unwrap_or_else(|| first.clone());
        say(session, &format!("there is an app `{first}` already: this one becomes `{}`", app.name));
    }
    declare(session, &folder, &value, app)
}

/// One app of the command line, in the keys of an ecosystem file.
pub(super) fn translated(folder: &Path, value: &Value) -> Result<(TranslatedApp, Vec<Remark>), CommandError> {
    let unusable =
        |why: &dyn std::fmt::Display| CommandError::new(Code::Usage, why.to_string().replace("apps[0].", ""));
    let export = Export::of_data(value.clone());
    let mut translation = translate(&export, None).map_err(|misfit| unusable(&misfit))?;
    as_through_the_door(&mut translation, folder.to_str());
    let Translation { apps, remarks, .. } = translation;
    let first = apps.into_iter().next().map(|app| (app, remarks));
    first.ok_or_else(|| unusable(&"there is nothing to start"))
}

/// What is different.
pub(super) fn remark(session: &mut Session, remarks: &[Remark]) {
    for remark in remarks {
        session.screen.note(&format!("[PM2][WARN] {}", harmless(&remark.line())));
    }
}

/// Declares an app of the command line, as `pm start SCRIPT` does, and remembers how.
fn declare(session: &mut Session, folder: &Path, value: &Value, app: TranslatedApp) -> Ending {
    let name = app.name.clone();
    let mut keys: serde_json::Map<String, Value> =
        app.keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    keys.insert("name".to_owned(), Value::from(name.clone()));
    let proposed = file::accept(session, file::from_words(folder, &[Value::Object(keys)], ExecMode::Fork))?;
    let started = StartedScript { folder: folder.to_owned(), app: value.clone() };
    let only = proposed.apps.iter().map(|app| app.name.clone()).collect();
    let request = ApplyRequest { proposed, options: options(only) };
    let change = follow(session, Session::client()?.apply(&request, PlanDetail::Whole)?)?;
    kept::update(|kept| {
        kept.scripts.insert(name.clone(), started.clone());
    })?;
    say_done(session, change.code, &format!("started {name}"));
    Ok(change.code)
}

/// Nothing is ever deleted, and the file or the call at hand is what is meant.
fn options(only: Vec<AppName>) -> ApplyOptions {
    let guard = ApplyGuard { again: true, ..ApplyGuard::default() };
    ApplyOptions { only, no_prune: true, replace_files: true, guard, ..ApplyOptions::default() }
}

/// `start FILE`, `restart FILE`, `startOrReload FILE`: what is new is started, what has changed is replaced, and what is
/// as it was is restarted or reloaded all the same: its code may be another one.
pub(super) fn file(session: &mut Session, call: &DoorCall, target: &str) -> Ending {
    if target == "-" {
        return standard_input(session, call);
    }
    let idle = call.options.names().filter(|name| !BESIDE_A_FILE.contains(name) && !NOT_THERE.contains(name));
    let idle = idle.map(|name| format!("`--{name}`"));
    let idle: Vec<String> = idle.chain((!call.args.is_empty()).then(|| "arguments after `--`".to_owned())).collect();
    if !idle.is_empty() {
        session.screen.note(&format!("[PM2][WARN] no effect beside a file: {}", idle.join(", ")));
    }
    let profile = call.options.text("env");
    let only = only(call)?;
    renew(session, call, (&[PathBuf::from(target)], profile), &only)
}

fn renew(
    session: &mut Session,
    call: &DoorCall,
    (files, profile): (&[PathBuf], Option<&str>),
    only: &[AppName],
) -> Ending {
    let args = FileArgs {
        files: files.to_vec(),
        profile: Some(profile.unwrap_or("none").to_owned()),
        through_the_door: Some(session::folder()?),
        ..FileArgs::default()
    };
    let before: Vec<AppId> = DoorScene::ask(session)?.members().map(|member| member.id()).collect();
    let resolved = file::resolve(session, &args, false, Daemon::MayStart)?;
    let proposed = file::accept(session, resolved.reading)?;
    sudo::check(&Session::home()?, &proposed.project)?;
    let wanted = chosen(&proposed, only);
    let read = proposed.origin.files.clone();
    let client = resolved.client.map_or_else(Session::client, Ok)?;
    let change =
        follow(session, client.apply(&ApplyRequest { proposed, options: options(only.to_vec()) }, PlanDetail::Whole)?)?;
    kept::update(|kept| kept.files.extend(read.iter().cloned()))?;
    // Their numbers are given in the order of the file.
    DoorScene::ask_in_order(session, &wanted)?;
    let unchanged = wanted.iter().filter(|id| before.contains(id) && !change.renewed.contains(id));
    let selectors: Vec<String> = unchanged.map(ToString::to_string).collect();
    let again = if call.verb == DoorVerb::Reload { Edit::Reload } else { Edit::Restart };
    let code = edit(session, again, selectors)?;
    for id in &wanted {
        let done = match (before.contains(id), call.verb) {
            (false, _) => "started",
            (true, DoorVerb::Reload) => "reloaded",
            (true, _) => "restarted",
        };
        say(session, &format!("{done} {}", id.name));
    }
    Ok(if change.code == Code::Ok { code } else { change.code })
}

/// The services that a file is about; what runs at its own times is not restarted by hand.
fn chosen(proposed: &Proposed, only: &[AppName]) -> Vec<AppId> {
    let apps = proposed.apps.iter().filter(|app| only.is_empty() || only.contains(&app.name));
    apps.filter(|app| app.autostart && !app.is_timed_task()).map(App::id).collect()
}

/// `--only api,worker`.
fn only(call: &DoorCall) -> Result<Vec<AppName>, CommandError> {
    let names = call.options.text("only").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let wrong = |error: crate::model::NameError| CommandError::new(Code::Usage, error.to_string());
    names.map(|name| AppName::new(name).map_err(wrong)).collect()
}

/// JSON, or JavaScript that PM2 takes for JSON, on standard input.
fn standard_input(session: &mut Session, call: &DoorCall) -> Ending {
    let folder = session::folder()?;
    let translation = input(session)?;
    remark(session, &translation.remarks);
    let apps = translation.apps;
    let mut worst = Code::Ok;
    for app in apps {
        let scene = DoorScene::ask(session)?;
        let meant: Vec<ListedProcess<'_>> = scene.members().filter(|member| member.known.name == app.name).collect();
        let mut translation = Translation { apps: vec![app], remarks: Vec::new(), defaults: Vec::new() };
        as_through_the_door(&mut translation, folder.to_str());
        for app in translation.apps {
            let value = Value::Object(app.keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect());
            let code = if meant.is_empty() {
                declare(session, &folder, &value, app)?
            } else {
                act::with(session, call, &scene, &meant)?
            };
            worst = if code == Code::Ok { worst } else { code };
        }
    }
    Ok(worst)
}

fn input(session: &mut Session) -> Result<Translation, CommandError> {
    let mut text = Vec::new();
    let read = io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|error| CommandError::system("cannot read standard input", &error))?;
    pm2::read_input(session, &text)
}

/// The names of the apps in a file.
pub(super) fn names_in(session: &mut Session, call: &DoorCall, target: &str) -> Result<Vec<String>, CommandError> {
    if target == "-" {
        return Ok(input(session)?.apps.into_iter().map(|app| app.name).collect());
    }
    let args = FileArgs {
        files: vec![PathBuf::from(target)],
        profile: Some(call.options.text("env").unwrap_or("none").to_owned()),
        through_the_door: Some(session::folder()?),
        ..FileArgs::default()
    };
    let resolved = file::resolve(session, &args, false, Daemon::IfRunning)?;
    let proposed = file::accept(session, resolved.reading)?;
    let only = only(call)?;
    let apps = proposed.apps.iter().filter(|app| only.is_empty() || only.contains(&app.name));
    Ok(apps.map(|app| app.name.to_string()).collect())
}

/// `restart APP --update-env`: declared once more, with the environment of this call.
pub(super) fn with_new_environment(
    session: &mut Session,
    call: &DoorCall,
    scene: &DoorScene,
    meant: &[ListedProcess<'_>],
) -> Ending {
    let kept = kept::update(|_| {})?;
    let mut ids: Vec<AppId> = meant.iter().map(ListedProcess::id).collect();
    ids.dedup();
    let lost = |member: &&ListedProcess<'_>| match member.app.files.as_slice() {
        [] => !kept.scripts.contains_key(&member.known.name),
        files => !files.iter().all(|file| kept.files.contains(file)),
    };
    if let Some(member) = meant.iter().find(lost) {
        let message = format!("`{}` was not started by `pm pm2`: its environment cannot be renewed", member.known.name);
        return Err(CommandError::new(Code::Error, message).hint("`delete` it and start it again, or apply its file"));
    }
    let mut worst = Code::Ok;
    for id in ids {
        let Some(member) = meant.iter().find(|member| member.id() == id) else { continue };
        let profile = call.options.text("env").or(member.app.profile.as_deref());
        let code = match kept.scripts.get(&member.known.name).filter(|_| member.app.files.is_empty()) {
            Some(StartedScript { folder, app }) => {
                let (mut translated, _) = translated(folder, app)?;
                translated.name.clone_from(&member.known.name);
                let code = declare(session, folder, app, translated)?;
                let is_renewed = DoorScene::ask(session)?
                    .members()
                    .any(|now| now.row.id == member.row.id && now.row.pid != member.row.pid);
                // The same environment as before: a restart was asked for all the same.
                if is_renewed { code } else { act::with(session, call, scene, &[*member])? }
            }
            None => renew(session, call, (&member.app.files, profile), &[id.name])?,
        };
        worst = if code == Code::Ok { worst } else { code };
    }
    Ok(worst)
}

/// A configuration to begin with.
pub(super) fn init(session: &mut Session) -> Ending {
    let path = session::folder()?.join(FILE);
    if os::exists(&path) {
        return Err(CommandError::new(Code::Error, format!("`{}` is there already", path.display())));
    }
    os::write_whole(&path, TEMPLATE.as_bytes(), 0o644)
        .map_err(|error| CommandError::system(format!("cannot write `{}`", path.display()), &error))?;
    say(session, &format!("wrote {}", path.display()));
    Ok(Code::Ok)
}
