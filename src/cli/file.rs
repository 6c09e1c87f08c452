//! Finding and reading the ecosystem file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::fail::{Code, CommandError};
use super::foreign;
use super::git;
use super::host::{LocalHost, Pipes};
use super::output::harmless;
use super::pm2;
use super::remote_caller::{self, remote_caller};
use super::session::{self, Session};
use crate::client::Client;
use crate::ecosystem::{self, Diagnostic, Host as _, Profile, ReadOptions, Reading, SourceFile};
use crate::model::{Digest, ExecMode, FileDigest, Origin, ProjectName, Proposed, Provenance, Secrets};
use crate::os;
use crate::pm2::as_through_the_door;
use crate::wire::{FORMAT, ProjectRow};

/// Largest file that is read; `ecosystem` says the same with more words.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// What is looked for when no file is named.
const NAMES: [&str; 4] = ["ecosystem.toml", "ecosystem.yaml", "ecosystem.yml", "ecosystem.json"];

/// Which files, and what is laid over them.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct FileArgs {
    /// Files to read, merged in this order; default: ecosystem.{toml,yaml,yml,json} of this folder or the nearest above
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The same as FILE
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub more_files: Vec<PathBuf>,
    /// Apply this profile to the apps; remembered until another is chosen (`none` clears it)
    #[arg(long, visible_alias = "env", value_name = "NAME")]
    pub profile: Option<String>,
    /// A value for `${NAME}` in the file
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    pub vars: Vec<(String, String)>,
    /// In a linked git worktree: a project of its own, `shop@WORKTREE` (the default of `pm dev`)
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub worktree: Option<bool>,
    /// `pm dev`: an app without the key `watch` watches its folder.
    #[arg(skip)]
    pub watches_by_default: bool,
    /// `pm pm2`: what PM2 gives every app, and the folder in which it was called.
    #[arg(skip)]
    pub through_the_door: Option<PathBuf>,
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A file that was read, right or wrong.
pub(super) struct Resolved {
    pub reading: Reading,
    /// The connection that was needed to know the remembered profile.
    pub client: Option<Client>,
    /// The profile in use.
    pub profile: Option<String>,
}

/// Whether reading may start a daemon (which alone knows the remembered profile).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    MayStart,
    IfRunning,
}

/// Finds and reads the files; findings are kept, not shown.
///
/// # Errors
/// There is no file, or it cannot be read.
pub(super) fn resolve(
    session: &mut Session,
    args: &FileArgs,
    with_sources: bool,
    daemon: Daemon,
) -> Result<Resolved, CommandError> {
    let (paths, is_found) = paths_here(args)?;
    if let ([found], true) = (paths.as_slice(), is_found && !session.screen.is_quiet) {
        session.screen.note(&format!("file {}", harmless(&found.to_string_lossy())));
    }
    let Loaded { files, mut remarks, profiles } = load_all(session, &paths, args)?;
    let machine = LocalHost::new(&session.pipes);
    let mut named = args.profile.as_deref();
    // PM2 only warns of one that no app has.
    let is_of_pm2_only = files.iter().all(|file| file.is_translated);
    if let Some(name) = named.take_if(|name| is_of_pm2_only && *name != "none" && !profiles.contains(*name)) {
        remarks.push(Diagnostic::of_pm2(format!("--env {name}: ignored: no app has `env_{name}`")));
    }
    let mut options = ReadOptions {
        profile: Profile::choose(named, None),
        vars: args.vars.iter().cloned().collect::<BTreeMap<_, _>>(),
        with_sources,
        watches_by_default: args.watches_by_default,
        worktree: if args.worktree == Some(true) { worktree_of(&paths) } else { None },
        exec_mode: ExecMode::Fork,
    };
    let read = |options: &ReadOptions| {
        let mut reading = ecosystem::read(&files, options, &machine);
        reading.diagnostics.extend(remarks.iter().cloned());
        reading
    };
    let reading = read(&options);
    if args.profile.is_some() {
        let profile = named.filter(|name| *name != "none").map(str::to_owned);
        return Ok(Resolved { reading, client: None, profile });
    }
    let mut client = match daemon {
        Daemon::MayStart if reading.proposed.is_some() => Some(Session::client()?),
        Daemon::MayStart | Daemon::IfRunning => Session::client_if_running().unwrap_or(None),
    };
    let projects = client.as_mut().map(Client::projects).transpose()?.map(|answer| answer.projects);
    let Some(profile) = remembered(&projects.unwrap_or_default(), &reading, &paths) else {
        return Ok(Resolved { reading, client, profile: None });
    };
    // A large one need not be held twice.
    drop(reading);
    options.profile = Profile::Remembered(profile.clone());
    let reading = read(&options);
    Ok(Resolved { reading, client, profile: Some(profile) })
}

/// The files of a call, and whether they were found because none is named.
///
/// # Errors
/// There is no file, or the current folder is gone.
pub(super) fn paths(args: &FileArgs) -> Result<(Vec<PathBuf>, bool), CommandError> {
    let folder = session::folder()?;
    let named: Vec<PathBuf> = args.files.iter().chain(&args.more_files).map(|path| absolute(&folder, path)).collect();
    let named = named.into_iter().map(of_folder).collect::<Result<Vec<_>, _>>()?;
    if named.is_empty() { Ok((vec![find(&folder)?], true)) } else { Ok((named, false)) }
}

/// The same, where the caller may be at another machine and have sent its files along.
fn paths_here(args: &FileArgs) -> Result<(Vec<PathBuf>, bool), CommandError> {
    let Some(caller) = remote_caller().filter(|caller| !caller.files.is_empty()) else { return paths(args) };
    let path = |file: &remote_caller::SentFile| {
        if file.is_sent { Ok(file.path.clone()) } else { of_folder(file.path.clone()) }
    };
    Ok((caller.files.iter().map(path).collect::<Result<_, _>>()?, caller.is_found))
}

/// The linked worktree that the first file is in.
fn worktree_of(paths: &[PathBuf]) -> Option<String> {
    match remote_caller() {
        Some(caller) if !caller.files.is_empty() => caller.worktree.clone(),
        _ => git::worktree_of(paths.first()?.parent()?),
    }
}

/// The profile used last: of the project that the files name, or, if they are broken, of the one they were.
fn remembered(projects: &[ProjectRow], reading: &Reading, paths: &[PathBuf]) -> Option<String> {
    let of = |project: &&ProjectRow| match &reading.proposed {
        Some(proposed) => project.project == proposed.project,
        None => project.files == paths,
    };
    projects.iter().find(of)?.profile.clone()
}

/// Shows what is to be said about the file, and gives back what it proposes.
///
/// # Errors
/// The file is wrong; it has been said.
pub(super) fn accept(session: &mut Session, reading: Reading) -> Result<Proposed, CommandError> {
    let code = code_of(&reading);
    let Reading { proposed, diagnostics, files, secrets, .. } = reading;
    if proposed.is_none() || !session.screen.is_quiet {
        show(session, &diagnostics, &files, &secrets, Remarks::Counted);
    }
    if proposed.is_none() && session.screen.is_json {
        session.screen.json(&Findings { format: FORMAT, exit_code: code as u8, diagnostics: &diagnostics })?;
    }
    if let (None, Some(caller)) = (&proposed, remote_caller()) {
        session.screen.note(&format!("paths, users and variables in it are those of `{}`", harmless(&caller.host)));
    }
    let mut proposed = proposed.ok_or_else(|| CommandError::told(code as u8))?;
    proposed.provenance = provenance(&proposed.origin, &files);
    Ok(proposed)
}

/// Where the history says that it came from. Apps of the command line came from no file.
pub(super) fn provenance(origin: &Origin, files: &[SourceFile]) -> Provenance {
    if origin.files.is_empty() {
        return Provenance::default();
    }
    let own = files.iter().filter(|file| origin.files.contains(&file.path));
    let digest = |file: &SourceFile| FileDigest { path: file.path.clone(), digest: file.digest() };
    let commit = match remote_caller() {
        Some(caller) if !caller.files.is_empty() => caller.commit.clone(),
        _ => git::commit_of(&origin.folder),
    };
    Provenance { files: own.map(digest).collect(), commit, source: None }
}

/// The exit code of a reading that proposes nothing.
pub(super) fn code_of(reading: &Reading) -> Code {
    if reading.is_of_several_projects() { Code::Usage } else { Code::File }
}

/// What is wrong with a file, as `--json`.
#[derive(Serialize)]
pub(super) struct Findings<'a> {
    pub format: u32,
    pub exit_code: u8,
    pub diagnostics: &'a [Diagnostic],
}

/// How keys of PM2 that are ignored or mean something else are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remarks {
    /// Each in a line.
    Listed,
    /// Their number: who applies a file has read them already.
    Counted,
}

/// Diagnostics as a compiler shows them.
pub(super) fn show(
    session: &mut Session,
    diagnostics: &[Diagnostic],
    files: &[SourceFile],
    secrets: &Secrets,
    remarks: Remarks,
) {
    let (of_pm2, own): (Vec<Diagnostic>, Vec<Diagnostic>) =
        diagnostics.iter().cloned().partition(Diagnostic::is_of_pm2);
    if !own.is_empty() {
        let text = ecosystem::render(&own, files, secrets, session.screen.paint_notes().is_on);
        session.screen.findings(text.trim_end());
    }
    match (remarks, of_pm2.len()) {
        (_, 0) => {}
        (Remarks::Counted, count) => {
            let keys = if count == 1 { "1 key is".to_owned() } else { format!("{count} keys are") };
            session.screen.note(&format!("{keys} ignored or different from PM2; `pm check` lists them"));
        }
        (Remarks::Listed, _) => {
            for remark in of_pm2 {
                session.screen.note(&format!("note: {}", harmless(&remark.message)));
            }
        }
    }
}

/// The files as they are read.
struct Loaded {
    files: Vec<SourceFile>,
    /// What is to be said about those of PM2.
    remarks: Vec<Diagnostic>,
    /// The profiles that apps in those of PM2 have.
    profiles: BTreeSet<String>,
}

fn load_all(session: &mut Session, paths: &[PathBuf], args: &FileArgs) -> Result<Loaded, CommandError> {
    let profile = args.profile.as_deref();
    let mut loaded = Loaded { files: Vec::new(), remarks: Vec::new(), profiles: BTreeSet::new() };
    for path in paths {
        let text = load(path, &LocalHost::new(&session.pipes))?;
        let is_ours = path.extension().is_some_and(|extension| extension == "toml");
        if !pm2::is_of_pm2(path) && (args.through_the_door.is_none() || is_ours) {
            loaded.files.push(SourceFile::new(path.clone(), text));
            continue;
        }
        let original = Digest::of(&text);
        let mut translation = pm2::read(session, path, text, profile.filter(|name| *name != "none"))?;
        if let Some(folder) = &args.through_the_door {
            let elsewhere = Some(folder.as_path()).filter(|folder| path.parent() != Some(*folder));
            as_through_the_door(&mut translation, elsewhere.and_then(Path::to_str));
        }
        loaded.remarks.extend(translation.remarks.iter().map(|remark| Diagnostic::of_pm2(remark.line())));
        loaded.profiles.extend(translation.apps.iter().flat_map(|app| &app.profiles).map(|(name, _)| name.clone()));
        let document = translation.document().to_string().into_bytes();
        loaded.files.push(SourceFile::translated(path.clone(), original, document));
    }
    Ok(loaded)
}

/// The bytes of a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn load(path: &Path, machine: &LocalHost<'_>) -> Result<Vec<u8>, CommandError> {
    if let Some(text) = remote_caller::sent(path) {
        return Ok(text);
    }
    machine
        .read(path, FILE_BYTES_MAX)
        .map_err(|why| CommandError::new(Code::File, format!("cannot read `{}`: {why}", path.display())))
}

/// What is named as a file: in place of a folder, the ecosystem file in it.
fn of_folder(path: PathBuf) -> Result<PathBuf, CommandError> {
    match os::file_kind(&path) {
        Ok(os::FileKind::Folder) => find_in(&path)?.ok_or_else(|| {
            let message = format!("no ecosystem file (`{}`, …) in the folder `{}`", NAMES[0], path.display());
            CommandError::new(Code::File, message).hint(way_out(&path))
        }),
        Err(_) if path.file_name().is_some_and(|name| name == "-") => {
            let message =
                "an ecosystem file cannot be read from standard input: paths in it are relative to its folder";
            Err(CommandError::new(Code::Usage, message).hint("write it into a file, and name that"))
        }
        _ => Ok(path),
    }
}

/// The file of this folder, or of the nearest one above that has one.
fn find(folder: &Path) -> Result<PathBuf, CommandError> {
    for folder in folder.ancestors() {
        if let Some(found) = find_in(folder)? {
            return Ok(found);
        }
    }
    let message = format!("no ecosystem file (`{}`, …) in `{}` or its parent folders", NAMES[0], folder.display());
    Err(CommandError::new(Code::File, message).hint(way_out(folder)))
}

fn find_in(folder: &Path) -> Result<Option<PathBuf>, CommandError> {
    let here = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(|name| folder.join(name)).filter(|path| os::exists(path)).collect()
    };
    let mut found = here(&NAMES);
    if found.is_empty() {
        found = here(&pm2::NAMES);
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            let message = format!("several ecosystem files in `{}`", folder.display());
            Err(CommandError { details: names, ..CommandError::new(Code::File, message) }
                .hint("choose one: `pm apply FILE`"))
        }
    }
}

/// What to do in a folder without an ecosystem file: one with the file of another tool is told how to begin.
fn way_out(folder: &Path) -> String {
    match foreign::NAMES.iter().find(|name| os::exists(&folder.join(name))) {
        Some(name) => format!("`{name}` is not an ecosystem file: `pm import` makes one of it"),
        None => "write one, or name it: `pm apply FILE`; `pm start SCRIPT` works without a file".to_owned(),
    }
}

/// Absolute, as typed: symlinks are kept. Only `..` is resolved, which symlinks would make ambiguous.
pub(super) fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let path: PathBuf = folder.join(path).components().collect();
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path };
    os::canonicalize(parent).map_or_else(|_| path.clone(), |parent| parent.join(name))
}

/// Apps given on the command line: read like a file, but without a project and not bound to a folder.
/// Which mode they have if they do not name it, `exec_mode` says.
pub(super) fn from_words(folder: &Path, apps: &[serde_json::Value], exec_mode: ExecMode) -> Reading {
    // A file may not name the project of apps without a file, so another name is used in its place.
    let document = serde_json::json!({ "project": "by-hand", "apps": apps });
    let path = folder.join("command-line.json");
    let text = serde_json::to_vec_pretty(&document).unwrap_or_default();
    let options = ReadOptions { exec_mode, ..ReadOptions::default() };
    let mut reading = ecosystem::read(&[SourceFile::new(path, text)], &options, &LocalHost::new(&Pipes::default()));
    // What is wrong stands in no file.
    for found in &mut reading.diagnostics {
        (found.place, found.labels) = (None, Vec::new());
        found.message = found.message.replace("apps[0].", "");
    }
    if let Some(proposed) = &mut reading.proposed {
        proposed.project = ProjectName::nobody();
        proposed.origin = Origin { is_named: true, ..Origin::default() };
        for app in &mut proposed.apps {
            app.project = ProjectName::nobody();
        }
    }
    reading
}
