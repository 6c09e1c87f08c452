//! A plan in a file: what it was made from, so that exactly this is carried out later, or nothing.
//!
//! It holds the plan as it was shown, and of everything that may be secret (specs, variables, the shell) only digests. The
//! files are read again by the apply; the daemon makes the plan again, and refuses another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fail::{Code, CommandError};
use super::file::{self, FileArgs};
use super::host::LocalHost;
use super::output::harmless;
use super::remote_caller::remote_caller;
use super::session::{self, Session};
use crate::ecosystem::{Host as _, Reading};
use crate::model::{AppName, ApplyOptions, Digest, FileDigest, Millis, Origin, Plan, Proposed, WallTime};
use crate::os;
use crate::wire::{PlanAnswer, Problem, ProblemCode};

/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// How long a plan can be applied.
const VALID_FOR: Millis = Millis(24 * 60 * 60 * 1000);
/// Larger files are no plans of ours.
const BYTES_MAX: u64 = 16 << 20;
/// The first key.
const MARK: &str = "\"pm_plan\"";

/// The document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedPlan {
    /// Its format. The first key, by which the file is recognised.
    pm_plan: u32,
    saved_at: WallTime,
    expires_at: WallTime,
    /// The home whose daemon made it.
    home: PathBuf,
    /// Names the plan.
    pub digest: Digest,
    pub plan: Plan,
    pub origin: Origin,
    pub options: ApplyOptions,
    /// All files that were read.
    inputs: Vec<FileDigest>,
    /// `--var`, by name.
    vars: BTreeMap<String, Digest>,
    /// The recorded variables of the shell.
    shell: BTreeMap<String, Digest>,
    /// The resolved specs.
    apps: BTreeMap<AppName, Digest>,
}

/// All files that were read.
pub(super) fn inputs(reading: &Reading) -> Vec<FileDigest> {
    reading.files.iter().map(|file| FileDigest { path: file.path.clone(), digest: file.digest() }).collect()
}

fn of_values<'a>(values: impl IntoIterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, Digest> {
    values.into_iter().map(|(name, value)| (name.clone(), Digest::of(value.as_bytes()))).collect()
}

fn of_apps(proposed: &Proposed) -> BTreeMap<AppName, Digest> {
    proposed.apps.iter().map(|app| (app.name.clone(), Digest::of_content(app))).collect()
}

impl SavedPlan {
    pub(super) fn new(
        answer: &PlanAnswer,
        proposed: &Proposed,
        inputs: Vec<FileDigest>,
        (options, args): (ApplyOptions, &FileArgs),
    ) -> Result<Self, CommandError> {
        let now = os::wall();
        let mut options = options;
        options.guard.if_generation = Some(answer.plan.generation);
        Ok(Self {
            pm_plan: FORMAT,
            saved_at: now,
            expires_at: WallTime(now.0.saturating_add(VALID_FOR.0)),
            home: Session::home()?.root,
            digest: answer.digest,
            plan: answer.plan.clone(),
            origin: proposed.origin.clone(),
            options,
            inputs,
            vars: of_values(args.vars.iter().map(|(name, value)| (name, value))),
            shell: of_values(&proposed.base),
            apps: of_apps(proposed),
        })
    }

    /// Writes it, for its owner only. Another file than a saved plan is not overwritten.
    pub(super) fn write(&self, path: &Path) -> Result<PathBuf, CommandError> {
        let path = file::absolute(&session::folder()?, path);
        if os::exists(&path) && !matches!(load(&path), Ok(Some(_))) {
            let message = format!("`{}` exists and is not a saved plan", path.display());
            return Err(CommandError::new(Code::Usage, message).hint("name another file"));
        }
        let cannot = |error: &dyn std::error::Error| {
            CommandError::system(format!("cannot write the plan to `{}`", path.display()), error)
        };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| cannot(&error))?;
        text.push(b'\n');
        os::write_atomically(&path, &text, 0o600).map_err(|error| cannot(&error))?;
        Ok(path)
    }

    /// What an apply of it reads.
    pub(super) fn files(&self, vars: &[(String, String)]) -> FileArgs {
        FileArgs {
            files: self.origin.files.clone(),
            profile: Some(self.origin.profile.clone().unwrap_or_else(|| "none".to_owned())),
            vars: vars.to_vec(),
            worktree: Some(self.plan.project.is_of_worktree()),
            ..FileArgs::default()
        }
    }

    /// How long it can still be applied, in words.
    pub(super) fn validity(&self) -> String {
        let now = os::wall();
        let ago = Millis(now.0.saturating_sub(self.saved_at.0));
        match self.expires_at.0.checked_sub(now.0) {
            Some(left) if left > 0 => format!("saved {} ago, valid for {} more", brief(ago), brief(Millis(left))),
            _ => format!("saved {} ago, expired", brief(ago)),
        }
    }

    /// Before anything is read as an ecosystem file: time, home, variables, files.
    ///
    /// # Errors
    /// It does not fit any more; what has changed is in the details.
    pub(super) fn check_inputs(&self, session: &Session, vars: &[(String, String)]) -> Result<(), CommandError> {
        let mut changed = Vec::new();
        let now = os::wall();
        if now >= self.expires_at {
            let hours = VALID_FOR.0 / 3_600_000;
            changed.push(format!("it was saved more than {hours} hours ago"));
        } else if now < self.saved_at {
            changed.push("it was saved in the future: the clock was set back".to_owned());
        }
        let home = Session::home()?.root;
        if home != self.home {
            changed.push(format!("it is a plan of `{}`, not of `{}`", self.home.display(), home.display()));
        }
        let vars = of_values(vars.iter().map(|(name, value)| (name, value)));
        for name in differing(&self.vars, &vars) {
            changed.push(match (self.vars.contains_key(name), vars.contains_key(name)) {
                (true, false) => format!("it was made with `--var {name}=…`: give it again"),
                (false, true) => format!("it was made without `--var {name}=…`"),
                _ => format!("`--var {name}` is another value"),
            });
        }
        let machine = LocalHost::new(&session.pipes);
        for input in &self.inputs {
            let text = machine.read(&input.path, BYTES_MAX).unwrap_or_default();
            if Digest::of(&text) != input.digest {
                let what = if os::exists(&input.path) { "has changed" } else { "is gone" };
                changed.push(format!("`{}` {what}", input.path.display()));
            }
        }
        fits(&changed)
    }

    /// What the files say now, in this shell.
    ///
    /// # Errors
    /// As [`Self::check_inputs`].
    pub(super) fn check(&self, proposed: &Proposed) -> Result<(), CommandError> {
        let mut changed = Vec::new();
        for name in differing(&self.shell, &of_values(&proposed.base)) {
            changed.push(format!("`{name}` is another value in this shell"));
        }
        for name in differing(&self.apps, &of_apps(proposed)) {
            changed.push(format!("`{name}` is declared otherwise (by a variable of the shell, or a file beside it)"));
        }
        if proposed.project != self.plan.project {
            changed.push(format!("the files are of project `{}`", proposed.project));
        }
        fits(&changed)
    }
}

fn brief(time: Millis) -> String {
    time.to_string().split(' ').next().unwrap_or_default().to_owned()
}

fn differing<'a, K: Ord>(old: &'a BTreeMap<K, Digest>, new: &'a BTreeMap<K, Digest>) -> Vec<&'a K> {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    new.keys().filter(|name| old.get(*name) != new.get(*name)).chain(gone).collect()
}

fn fits(changed: &[String]) -> Result<(), CommandError> {
    if changed.is_empty() {
        return Ok(());
    }
    let problem = Problem::new(ProblemCode::Stale, "the saved plan does not fit any more; nothing was done");
    let details = changed.iter().map(|line| harmless(line).into_owned()).collect();
    Err(problem.details(details).hint("make a new one: `pm plan -o FILE`").into())
}

/// What every format has.
#[derive(Deserialize)]
struct FormatOnly {
    pm_plan: u32,
}

/// The saved plan that a call names in the place of its ecosystem file.
///
/// # Errors
/// It is one, and cannot be used.
pub(super) fn named(args: &FileArgs) -> Result<Option<SavedPlan>, CommandError> {
    match args.files.iter().chain(&args.more_files).collect::<Vec<_>>().as_slice() {
        // A caller at another machine has sent no plan.
        [one] if remote_caller().is_none() => load(&file::absolute(&session::folder()?, one)),
        _ => Ok(None),
    }
}

/// A saved plan, if that is what the file is.
///
/// # Errors
/// It is one, and damaged or of another version.
pub(super) fn load(path: &Path) -> Result<Option<SavedPlan>, CommandError> {
    if !matches!(os::file_kind(path), Ok(os::FileKind::File)) {
        return Ok(None);
    }
    let Ok(bytes) = os::read_limited(path, BYTES_MAX) else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
    if !head.trim_start().strip_prefix('{').is_some_and(|head| head.trim_start().starts_with(MARK)) {
        return Ok(None);
    }
    let wrong = |message: String| CommandError::new(Code::File, message).hint("make a new one: `pm plan -o FILE`");
    if let Ok(FormatOnly { pm_plan }) = serde_json::from_slice(&bytes)
        && pm_plan != FORMAT
    {
        let message = format!("the saved plan `{}` has format {pm_plan}; this version knows {FORMAT}", path.display());
        return Err(wrong(message));
    }
    let damaged = |error| wrong(format!("the saved plan `{}` is damaged: {error}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}
