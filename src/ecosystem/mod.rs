//! Turns the texts of ecosystem files into resolved apps, or into everything that is wrong with them.
//!
//! In:    file texts, options, [`Host`]      Out:  [`Proposed`] + [`Diagnostic`]s
//! Never: I/O, clocks, defaults left open, a guess, a stop at the first error
//! Walk:  [`crate::cli`] → here → [`crate::client`] → [`crate::plan`]
//!
//! ```text
//! text ─syntax─► tree ─document─► keys, checked against their shapes ─merge─► one set per app
//!      ─values/program/environment─► App ─across─► Proposed
//! ```

#![allow(clippy::single_match_else, clippy::match_bool, reason = "both outcomes of a question stand side by side")]

mod across;
mod app;
mod built;
mod cluster;
mod diagnostic;
mod document;
mod dotenv;
mod environment;
#[cfg(test)]
mod every_row;
mod explain;
#[cfg(test)]
mod fake;
mod formats;
mod hidden;
mod host;
mod limits;
mod merge;
#[cfg(test)]
mod mistakes_tests;
mod nearest;
mod program;
#[cfg(test)]
mod properties;
mod render;
mod schedule;
mod schema;
mod shape;
mod size;
mod sockets;
mod sources;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod upkeep;
mod values;
mod variables;
mod watching;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{App, Digest, ExecMode, Origin, ProjectName, Proposed, Provenance, Secrets};

pub use diagnostic::{CODES, Diagnostic, DiagnosticSeverity, Label, Place};
pub use explain::{Explanation, explain, reference};
pub use host::{Host, Look, NoAccount, Unreadable};
pub use render::render;
pub use schema::schema;
pub use sources::{Source, SourceFrom};

use built::Built;
use diagnostic::{Findings, Places, code};
use document::Document;
use environment::EnvFiles;
use host::Remembering;
use merge::Merged;
use sources::Notes;
use tree::Span;
use values::Values;

/// One file as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Absolute, as typed: symlinks kept. The extension determines the format.
    pub path: PathBuf,
    /// What is read.
    pub text: Vec<u8>,
    /// It is a JSON document made from the file: no place of it is shown.
    pub is_translated: bool,
    /// Names the bytes of the file, where `text` is not exactly these.
    original: Option<Digest>,
}

impl SourceFile {
    /// A file as it was found.
    pub fn new(path: PathBuf, text: Vec<u8>) -> Self {
        Self { path, text, is_translated: false, original: None }
    }

    /// A file of another format, and the JSON document that was made from it.
    pub fn translated(path: PathBuf, original: Digest, document: Vec<u8>) -> Self {
        Self { path, text: document, is_translated: true, original: Some(original) }
    }

    /// Names the bytes of the file on the disk.
    pub fn digest(&self) -> Digest {
        self.original.unwrap_or_else(|| Digest::of(&self.text))
    }
}

/// Options besides the files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadOptions {
    /// Which profile is laid over the apps.
    pub profile: Profile,
    /// `--var K=V`: values for `${K}`.
    pub vars: BTreeMap<String, String>,
    /// Whether [`Reading::sources`] is wanted.
    pub with_sources: bool,
    /// Whether an app without the key `watch` watches its `cwd` (`pm dev`).
    pub watches_by_default: bool,
    /// The linked worktree that the files are in, where it is to have apps of its own.
    pub worktree: Option<String>,
    /// Which mode an app has that does not name one and is run by Node, Deno or Bun (`pm start -i`).
    pub exec_mode: ExecMode,
}

/// Which profile is laid over the apps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// None: nothing remembered, or `--profile none`.
    #[default]
    None,
    /// The one used last for this project.
    Remembered(String),
    /// `--profile NAME`.
    Named(String),
}

impl Profile {
    /// From `--profile` and what is remembered; `none` is the word that clears it.
    pub fn choose(asked: Option<&str>, remembered: Option<&str>) -> Self {
        match (asked, remembered) {
            (Some("none"), _) | (None, None) => Self::None,
            (Some(name), _) => Self::Named(name.to_owned()),
            (None, Some(name)) => Self::Remembered(name.to_owned()),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Remembered(name) | Self::Named(name) => Some(name),
        }
    }
}

/// What became of the files.
#[derive(Debug)]
pub struct Reading {
    /// The resolved apps; `None` exactly if there is an error among the diagnostics.
    pub proposed: Option<Proposed>,
    /// Everything found, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Where each value came from, if requested.
    pub sources: Vec<Source>,
    /// The files that it came from, and that places refer to: those that were given, and env files, also those that
    /// do not exist.
    pub files: Vec<SourceFile>,
    /// What messages about the files must not show; empty if there is none.
    pub secrets: Secrets,
    /// The profiles that some app has.
    pub profiles: Vec<String>,
}

impl Reading {
    /// Whether the files do not belong together: then the call is wrong, not a file.
    pub fn is_of_several_projects(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.code == code::SEVERAL_PROJECTS)
    }
}

/// Reads, checks, merges and resolves a set of files. Never stops at the first error.
pub fn read(inputs: &[SourceFile], options: &ReadOptions, world: &dyn Host) -> Reading {
    let mut report = Findings::default();
    let mut files: Vec<SourceFile> = inputs.iter().map(without_mark).collect();
    if files.is_empty() {
        report.error(code::EMPTY_FILE, None, "no file given");
    }
    let documents = documents_of(&files, &mut report);
    let is_complete = documents.len() == files.len();
    let (start_concurrency, heal) = document::of_project(&documents);
    let (project, is_named) = project(&documents, &files, options, &mut report);
    let all = merge::merge(documents, options.profile.name(), &mut report);
    let is_complete = is_complete && all.is_some();
    let merged = all.unwrap_or_default();
    if is_complete {
        check_profile(&options.profile, &merged, &mut report);
        across::dependencies(&merged, &mut report);
    }
    let folders: Vec<PathBuf> =
        files.iter().map(|file| file.path.parent().unwrap_or(Path::new("/")).to_path_buf()).collect();
    let world = Remembering::new(world);
    let resolver = Resolver { project: &project, options, world: &world, folders: &folders };
    let mut env_files = EnvFiles::default();
    let mut apps = Vec::with_capacity(merged.len());
    let (mut notes, mut of_whole_folder) = (Notes::default(), Vec::new());
    let mut built = Built::default();
    for app in &merged {
        if !app.is_sound {
            if app.can_be_checked() {
                let mut others = Findings::default();
                resolver.app(app, &mut built, &mut env_files, &mut notes, &mut others);
                report.add_independent(others);
            }
            continue;
        }
        if watching::is_of_whole_folder(app) {
            of_whole_folder.push(apps.len());
        }
        apps.extend(resolver.app(app, &mut built, &mut env_files, &mut notes, &mut report));
        if built.is_over(&mut report) {
            break;
        }
    }
    across::ports(&apps, &mut report);
    sockets::sockets(&merged, &apps, &mut report);
    across::completions(&merged, &apps, &mut report);
    let origin = Origin {
        folder: folders.first().cloned().unwrap_or_default(),
        is_named,
        files: files.iter().map(|file| file.path.clone()).collect(),
        profile: options.profile.name().map(str::to_owned),
        start_concurrency,
        heal,
    };
    let secrets = if report.findings.is_empty() {
        Secrets::default()
    } else {
        hidden::secrets(&files, &env_files, options.vars.iter(), &world)
    };
    files.append(&mut env_files.texts);
    if options.watches_by_default {
        for index in of_whole_folder {
            if let Some((app, _)) = apps.get_mut(index) {
                watching::leave_out(app, &files, &world);
            }
        }
    }
    let sources = if options.with_sources { notes.sources(&Places::new(&files)) } else { Vec::new() };
    let proposed = Proposed {
        project,
        origin,
        apps: apps.into_iter().map(|(app, _)| app).collect(),
        base: environment::base(&world),
        from_shell: notes.from_shell,
        provenance: Provenance::default(),
    };
    if report.errors == 0 {
        built::must_be_acceptable(&proposed, &built, &mut report);
    }
    let proposed = (report.errors == 0).then_some(proposed);
    let profiles = known_profiles(&merged).into_iter().map(str::to_owned).collect();
    Reading { proposed, diagnostics: report.finish(&files, &secrets), sources, files, secrets, profiles }
}

/// What the files say; one that cannot be parsed says nothing.
fn documents_of(files: &[SourceFile], report: &mut Findings) -> Vec<Document> {
    let mut documents = Vec::new();
    for (index, file) in (0_u32..).zip(files) {
        if let Some(tree) = syntax::parse(file, index, report) {
            documents.push(document::understand(tree, report));
        }
    }
    documents
}

/// The tree of one file as JSON, for the schema; `None` if it does not parse.
pub fn to_json(file: &SourceFile) -> Option<serde_json::Value> {
    let mut report = Findings::default();
    let tree = syntax::parse(&without_mark(file), 0, &mut report)?;
    (report.errors == 0).then(|| tree.to_json())
}

/// The data of a file of another tool: YAML, or JSON with comments.
///
/// # Errors
/// It is not UTF-8, does not parse, or is too large; the first reason.
pub fn data(path: &Path, text: &[u8]) -> Result<serde_json::Value, String> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    syntax::data(path, text)
}

/// Without the byte order mark that some editors write.
fn without_mark(file: &SourceFile) -> SourceFile {
    match file.text.strip_prefix(b"\xEF\xBB\xBF") {
        Some(text) => SourceFile { text: text.to_vec(), original: Some(file.digest()), ..file.clone() },
        None => file.clone(),
    }
}

/// The project of all files, and whether a file names it.
fn project(
    documents: &[Document],
    files: &[SourceFile],
    options: &ReadOptions,
    report: &mut Findings,
) -> (ProjectName, bool) {
    let mut named: Option<(&str, Span)> = None;
    for (name, span) in documents.iter().filter_map(|document| document.project.as_ref()) {
        match named {
            Some((first, label)) if first != name => {
                report
                    .error(
                        code::SEVERAL_PROJECTS,
                        *span,
                        format!("this file belongs to project `{name}`, another to `{first}`"),
                    )
                    .label(label, "the other one")
                    .hint("apply them one by one, or give them the same project");
            }
            _ => named = Some((name, *span)),
        }
    }
    if let Some((name, _)) = named {
        let name = ProjectName::new(name).unwrap_or_else(|_| ProjectName::nobody());
        return (options.worktree.as_ref().map_or_else(|| name.clone(), |worktree| name.in_worktree(worktree)), true);
    }
    // A name that is only the folder's is another one in every worktree.
    let folder = files.first().and_then(|file| file.path.parent()?.file_name()).unwrap_or_default().to_string_lossy();
    match ProjectName::plain(&folder) {
        Ok(name) if !name.is_nobody() => (name, false),
        _ => {
            // Without a document the file itself is the problem, and named already.
            if !documents.is_empty() {
                let message = format!("the folder's name `{folder}` is not a valid project name");
                report
                    .error(code::BAD_PROJECT, Span::default(), message)
                    .hint("set one: `project = \"shop\"` (letters, digits, `.`, `_`, `-`)");
            }
            (ProjectName::nobody(), false)
        }
    }
}

fn known_profiles(merged: &[Merged]) -> Vec<&str> {
    let mut known: Vec<&str> = merged.iter().flat_map(|app| app.profiles.iter().map(String::as_str)).collect();
    known.sort_unstable();
    known.dedup();
    known
}

fn check_profile(profile: &Profile, merged: &[Merged], report: &mut Findings) {
    let Some(name) = profile.name() else { return };
    let known = known_profiles(merged);
    if known.contains(&name) {
        return;
    }
    let hint = match (profile, nearest::did_you_mean(name, known.iter().copied())) {
        (Profile::Remembered(_), _) => "it was used for the last apply; `--profile none` clears it".to_owned(),
        (_, Some(hint)) => hint,
        (_, None) if known.is_empty() => "no app has profiles; add `[apps.profiles.NAME]` or `env_NAME`".to_owned(),
        (_, None) => format!("known profiles: {}", shape::listed(&known)),
    };
    report.error(code::UNKNOWN_PROFILE, None, format!("no app defines the profile `{name}`")).hint(hint);
}

/// What all apps are resolved with.
struct Resolver<'a> {
    project: &'a ProjectName,
    options: &'a ReadOptions,
    world: &'a Remembering<'a>,
    folders: &'a [PathBuf],
}

impl Resolver<'_> {
    fn app(
        &self,
        merged: &Merged,
        built: &mut Built,
        env_files: &mut EnvFiles,
        notes: &mut Notes,
        report: &mut Findings,
    ) -> Option<(App, Span)> {
        let mut values = Values {
            app: merged,
            project: self.project.as_str(),
            has_port: merged.get("port").is_some() || merged.broken.contains(&"port"),
            options: &self.options.vars,
            watches_by_default: self.options.watches_by_default,
            exec_mode: self.options.exec_mode,
            world: self.world,
            folders: self.folders,
            report,
            built,
            from_shell: Vec::new(),
        };
        let (app, collected) = app::app(&mut values, self.project, env_files)?;
        let from_shell = values.from_shell;
        notes.take(merged, &collected, &from_shell, self.options.with_sources);
        let port_span = merged.get("port").map_or(merged.name_span, |item| item.node.span);
        Some((app, port_span))
    }
}
