//! `self_heal`: looks at the contents of files of `restart_on`, and has the reconciler put right what is due.
//!
//! Nothing is kept: the next daemon looks again. How often an app was put right is declared, and outlives everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

use super::SensorDeps;
use crate::model::{AppId, ChangedFile, ChangedFiles, Desired, Digest, Fact, HealWhen, SelfHeal, Subject, WallTime};
use crate::os::{self, Stamp, Worker};
use crate::rules;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A disk that takes longer does not hold up the rest.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest file whose contents are compared, as when a file is applied.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// What is read in one look; the next one goes on.
const LOOK_BYTES_MAX: u64 = 64 << 20;

/// What is known of one file.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Known {
    stamp: Stamp,
    digest: Digest,
    since: WallTime,
}

type KnownFiles = BTreeMap<PathBuf, Known>;

/// Lives as long as the reconciler. Costs nothing while no project heals itself.
pub(super) async fn run(deps: SensorDeps) {
    let mut desired = deps.reconciler.desired_changes();
    let (mut known, mut looking, mut told) = (KnownFiles::new(), None, BTreeSet::new());
    loop {
        let now = desired.borrow_and_update().clone();
        if now.is_shut_down || !now.projects.values().any(|project| project.origin.heal.mode != SelfHeal::Off) {
            (known, looking, told) = (KnownFiles::new(), None, BTreeSet::new());
            deps.reconciler.heal(ChangedFiles::new()).await;
            if desired.changed().await.is_err() {
                return;
            }
            continue;
        }
        known = look(&deps.reader, &mut looking, files_of(&now), known).await;
        let changed = changed(&now, &known);
        tell_pauses(&deps, &now, &changed, &mut told);
        deps.reconciler.heal(changed).await;
        tokio::time::sleep(LOOK_EVERY).await;
        if desired.has_changed().is_err() {
            return;
        }
    }
}

/// The files of `restart_on` in projects that heal themselves.
fn files_of(desired: &Desired) -> BTreeSet<PathBuf> {
    let healing = desired.projects.values().filter(|project| project.origin.heal.mode != SelfHeal::Off);
    let files = healing.flat_map(|project| project.apps.values()).flat_map(|app| app.spec.run.restart_on.keys());
    files.cloned().collect()
}

/// Those that are not as some app was applied with.
fn changed(desired: &Desired, known: &KnownFiles) -> ChangedFiles {
    let healing = desired.projects.values().filter(|project| project.origin.heal.mode != SelfHeal::Off);
    let files = healing.flat_map(|project| project.apps.values()).flat_map(|app| &app.spec.run.restart_on);
    let other = files.filter_map(|(path, then)| Some((path, known.get(path).filter(|now| now.digest != *then)?)));
    other.map(|(path, now)| (path.clone(), ChangedFile { digest: now.digest, since: now.since })).collect()
}

/// Looks at the files on a thread of its own. While that does not come back, what is known stays, and nobody else is sent.
async fn look(
    reader: &Worker,
    looking: &mut Option<oneshot::Receiver<KnownFiles>>,
    files: BTreeSet<PathBuf>,
    known: KnownFiles,
) -> KnownFiles {
    if files.is_empty() && looking.is_none() {
        return KnownFiles::new();
    }
    if looking.is_none() {
        let (reply, answer) = oneshot::channel();
        let before = known.clone();
        // Who does not wait any longer leaves with the daemon.
        let work = move || drop(reply.send(look_at(files, &before)));
        if reader.submit(Box::new(work)).is_err() {
            return known;
        }
        *looking = Some(answer);
    }
    let Some(answer) = looking.as_mut() else { return known };
    let Ok(found) = tokio::time::timeout(LOOK_TIMEOUT, answer).await else { return known };
    *looking = None;
    found.unwrap_or(known)
}

/// What is gone or cannot be read is not known: nothing is done for it.
fn look_at(files: BTreeSet<PathBuf>, before: &KnownFiles) -> KnownFiles {
    let mut left = LOOK_BYTES_MAX;
    let one = |path: PathBuf| {
        let known = before.get(&path).copied();
        let stamp = os::stamp(&path).filter(|stamp| stamp.is_file)?;
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Some((path, known));
        }
        if left == 0 {
            return Some((path, known?));
        }
        left = left.saturating_sub(stamp.size.max(1));
        let bytes = os::read_contents(&path, FILE_BYTES_MAX, LOOK_TIMEOUT).ok()?;
        let digest = Digest::of(&bytes);
        // Touched, and still the same: that is no change.
        let since = known.filter(|known| known.digest == digest).map_or_else(os::wall, |known| known.since);
        Some((path, Known { stamp, digest, since }))
    };
    files.into_iter().filter_map(one).collect()
}

/// Says once that an app is not put right for a while.
fn tell_pauses(deps: &SensorDeps, desired: &Desired, files: &ChangedFiles, told: &mut BTreeSet<(AppId, WallTime)>) {
    let mut paused = BTreeSet::new();
    for (name, project) in &desired.projects {
        for app in project.apps.keys() {
            for heal in rules::heals(project, app, files, os::wall()) {
                let HealWhen::Paused { until, count } = heal.when else { continue };
                let key = (AppId::new(name.clone(), app.clone()), until);
                if !told.contains(&key) && paused.insert(key) {
                    let fact = Fact::SelfHealPaused { until, count };
                    deps.events.emit(Subject::App(name.clone(), app.clone()), fact);
                }
            }
        }
    }
    let now = os::wall();
    told.retain(|(_, until)| *until > now);
    told.append(&mut paused);
}
