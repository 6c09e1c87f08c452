//! The desired state: projects, their apps, and what users changed without a file.

mod accepting;
mod alike;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    App, AppName, Digest, Exit, Failure, GitSource, HealCount, HealPolicy, History, HistoryEntry, InstanceId,
    OnDependencyRestart, Pin, ProjectName, Provenance, RevisionName, Skip, SourceName, WallTime,
};

/// Names and values that a process starts with.
pub type Environment = BTreeMap<String, String>;

/// All projects of this daemon.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Desired {
    /// By name.
    pub projects: BTreeMap<ProjectName, Project>,
    /// The repositories that are followed, by name.
    pub sources: BTreeMap<SourceName, GitSource>,
    /// Set by `pm shutdown`: the next daemon starts nothing until a user does.
    pub is_shut_down: bool,
}

/// One project: the apps that one set of files owns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Project {
    /// Where it came from.
    pub origin: Origin,
    /// Grows by one with every accepted change.
    pub generation: u64,
    /// Its apps.
    pub apps: BTreeMap<AppName, Declared>,
    /// Rollouts that have not completed (yet), or have failed.
    pub rollouts: BTreeMap<AppName, Rollout>,
    /// What was declared at its last generations.
    pub history: History,
}

impl Project {
    /// Whether a user has paused the rollout of an app.
    pub fn is_paused(&self, app: &AppName) -> bool {
        self.rollouts.get(app).is_some_and(|rollout| rollout.is_paused)
    }

    /// Whether new processes of an app may start as soon as possible: the rollout is not paused, and no revision has to prove itself
    /// by them.
    pub fn may_restart_at_once(&self, app: &AppName) -> bool {
        self.rollouts.get(app).is_none_or(|rollout| !rollout.is_paused && rollout.from.is_none())
    }
}

/// What the processes of an app are made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// The spec.
    #[serde(skip, default = "Declared::no_spec")]
    pub spec: Arc<App>,
    /// Its name in the store.
    pub digest: Digest,
    /// The recorded shell environment.
    #[serde(skip)]
    pub base: Arc<Environment>,
    /// Its name in the store.
    pub base_digest: Digest,
}

impl Revision {
    /// Its names in the store.
    pub fn name(&self) -> RevisionName {
        RevisionName { digest: self.digest, base_digest: self.base_digest }
    }

    /// The same under the name of another app.
    #[must_use]
    pub fn renamed(&self, to: &App) -> Self {
        let (project, name, moved_from) = (to.project.clone(), to.name.clone(), to.moved_from.clone());
        let spec = App { project, name, moved_from, ..(*self.spec).clone() };
        Self { digest: Digest::of_content(&spec), spec: Arc::new(spec), ..self.clone() }
    }
}

/// A rollout that has not completed (yet), or has failed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rollout {
    /// What the app is rolled back to: the newest healthy revision. `None`: new processes of the same revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Revision>,
    /// `pm rollout pause`: no further slot is begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_paused: bool,
    /// `pm rollout abort`: it is to be rolled back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_aborted: bool,
    /// What failed: nothing automatic tries it again, and a plan that holds it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    /// What is being built before its first process starts. A daemon that finds it begins the build again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub building: Option<Digest>,
}

impl Rollout {
    /// Whether processes are still to be replaced or evaluated for it.
    pub fn is_open(&self) -> bool {
        self.from.is_some() || self.is_paused || self.is_aborted
    }
}

/// A spec whose rollout failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejected {
    /// Its name in the store.
    pub digest: Digest,
    /// Why it is not tried again.
    pub why: Rejection,
}

/// Why a spec is not rolled out again automatically.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Rejection {
    /// A new process failed.
    Failed {
        /// The copy that failed first.
        instance: InstanceId,
        /// Why, if it was given up or could not be started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// How the process ended, if it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
    },
    /// The rollout was skipped.
    Skipped {
        /// What kept it from being rolled out.
        why: Box<Skip>,
    },
}

/// Where a project was declared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Folder of the first file, as typed, symlinks kept.
    pub folder: PathBuf,
    /// The file names the project itself; a defaulted name is bound to its folder.
    pub is_named: bool,
    /// The complete file set of the last apply.
    pub files: Vec<PathBuf>,
    /// The profile used last, and again when none is named.
    pub profile: Option<String>,
    /// How many of its processes may start at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_concurrency: Option<u32>,
    /// What is put right without an apply.
    #[serde(default, skip_serializing_if = "HealPolicy::is_default")]
    pub heal: HealPolicy,
}

/// One app as last accepted, with what users changed since.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Declared {
    /// The last applied spec.
    #[serde(skip, default = "Declared::no_spec")]
    pub spec: Arc<App>,
    /// Its name in the store.
    pub digest: Digest,
    /// The shell environment recorded when it was applied, below everything in the file.
    #[serde(skip)]
    pub base: Arc<Environment>,
    /// The base environment's name in the store.
    pub base_digest: Digest,
    /// Should it run?
    pub desired_state: DesiredState,
    /// `pm scale`: how many copies an operator requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled: Option<u32>,
    /// When that was, by the clock of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_at: Option<WallTime>,
    /// Restart counter of the whole app; a process started under a lower one is out of date.
    pub restart_requests: u64,
    /// Restart counters of single slots that are ahead of `restart_requests`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "as_pairs")]
    pub slot_restart_requests: BTreeMap<u32, u64>,
    /// Slots that a user stopped one by one (`pm stop api/1`) while the rest of the app runs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stopped_slots: BTreeSet<u32>,
    /// An apply removes it, once everything else that this apply does has succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
    /// A rollback has changed it: what was rolled back is not applied again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// How often `self_heal` has put it right lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heals: Option<HealCount>,
}

impl Declared {
    /// A first declaration: nothing was done to it by hand yet.
    pub fn new(spec: Arc<App>, base: Arc<Environment>, desired_state: DesiredState) -> Self {
        let base_digest = Digest::of_content(&*base);
        Self::with_base(spec, (base, base_digest), desired_state)
    }

    /// The same with an environment whose digest is known: many apps have the same.
    pub fn with_base(
        spec: Arc<App>,
        (base, base_digest): (Arc<Environment>, Digest),
        desired_state: DesiredState,
    ) -> Self {
        Self {
            digest: Digest::of_content(&*spec),
            base_digest,
            spec,
            base,
            desired_state,
            scaled: None,
            scaled_at: None,
            restart_requests: 0,
            slot_restart_requests: BTreeMap::new(),
            stopped_slots: BTreeSet::new(),
            is_leaving: false,
            pin: None,
            heals: None,
        }
    }

    /// Whether a process should live in `slot`. Of a timed task none has to: the clock starts it.
    pub fn should_run(&self, slot: u32) -> bool {
        self.may_run(slot) && !self.spec.is_timed_task()
    }

    /// Whether a process in `slot` is allowed to run.
    pub fn may_run(&self, slot: u32) -> bool {
        self.desired_state == DesiredState::Up
            && !self.is_leaving
            && slot < self.instances()
            && !self.stopped_slots.contains(&slot)
    }

    /// How many copies should exist: an operator's `pm scale`, else the file, else one.
    pub fn instances(&self) -> u32 {
        self.scaled.or(self.spec.instances).unwrap_or(1)
    }

    /// Its slots in words, for who names one that does not exist.
    pub fn slots_text(&self) -> String {
        match self.instances() {
            0 => "it has no instances".to_owned(),
            1 => "its only slot is 0".to_owned(),
            count => format!("its slots are 0 to {}", count - 1),
        }
    }

    /// The restart counter that a process in `slot` must have been started under.
    pub fn restart_requests_of(&self, slot: u32) -> u64 {
        self.slot_restart_requests.get(&slot).copied().unwrap_or(0).max(self.restart_requests)
    }

    /// Whether it is as it was in `before`, but for single slots that were stopped since.
    pub fn is_but_for_stops(&self, before: &Self) -> bool {
        if self.stopped_slots == before.stopped_slots {
            return self == before;
        }
        let stopped_slots = self.stopped_slots.clone();
        stopped_slots.is_superset(&before.stopped_slots) && *self == Self { stopped_slots, ..before.clone() }
    }

    /// Whether everything that may run of it might run in `before`, too, and as the same process.
    fn is_less_than(&self, before: &Self) -> bool {
        let is_same = |other: &Self| {
            (self.digest, self.base_digest, self.restart_requests)
                == (other.digest, other.base_digest, other.restart_requests)
        };
        let slots = 0..self.instances();
        is_same(before)
            && self.slot_restart_requests.iter().all(|entry| before.slot_restart_requests.get(entry.0) == Some(entry.1))
            && self.instances() <= before.instances()
            && slots.into_iter().all(|slot| before.may_run(slot) || !self.may_run(slot))
    }

    /// What its processes are made from.
    pub fn revision(&self) -> Revision {
        Revision {
            spec: Arc::clone(&self.spec),
            digest: self.digest,
            base: Arc::clone(&self.base),
            base_digest: self.base_digest,
        }
    }

    /// The names of that in the store.
    pub fn revision_name(&self) -> RevisionName {
        RevisionName { digest: self.digest, base_digest: self.base_digest }
    }

    /// The same app at another revision; what users changed is kept.
    #[must_use]
    pub fn at_revision(&self, revision: &Revision) -> Self {
        let Revision { spec, digest, base, base_digest } = revision.clone();
        // What was rolled back is declared again: nothing has to be kept from it.
        let pin = self.pin.filter(|pin| pin.from != Some(digest));
        Self { spec, digest, base, base_digest, pin, ..self.clone() }
    }

    /// Stands in while a record is read; the store puts the real spec in its place.
    fn no_spec() -> Arc<App> {
        use std::sync::LazyLock;
        static NO_SPEC: LazyLock<Arc<App>> = LazyLock::new(|| {
            let name = AppName::new("_").unwrap_or_else(|_| unreachable!("`_` is a valid name"));
            Arc::new(App::with_lost_spec(super::AppId::new(ProjectName::nobody(), name)))
        });
        Arc::clone(&NO_SPEC)
    }
}

/// A map with numbers for keys as a list of pairs: JSON has no such keys, and a tagged record cannot turn texts back.
mod as_pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(map: &BTreeMap<u32, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, u64>, D::Error> {
        Vec::<(u32, u64)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

/// Whether an app should run, and who stopped it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum DesiredState {
    /// It should run.
    Up,
    /// `autostart = false`, and it has not been started yet.
    NotStarted,
    /// A user stopped it; nothing automatic starts it.
    Stopped {
        /// Name of the user who asked.
        by: String,
        /// Wall clock of the daemon.
        at: WallTime,
        /// `--hold`: an apply respects it too.
        is_held: bool,
    },
}

/// Largest [`Proposed`] that is accepted, in bytes of its JSON: thousands of apps.
pub const PROPOSED_BYTES_MAX: usize = 32 << 20;

/// The proposed state of a project: the resolved files, as the client sends them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposed {
    /// The project that the apps belong to.
    pub project: ProjectName,
    /// Where it was read.
    pub origin: Origin,
    /// The apps in the order of the files.
    #[serde(with = "alike")]
    pub apps: Vec<App>,
    /// The recorded shell environment: PATH, HOME, LANG, …
    pub base: Environment,
    /// Spec paths whose value came from the caller's shell: `api.env.DB_HOST` → `DB_HOST`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from_shell: BTreeMap<String, String>,
    /// The files and the commit that it was read from, for the history.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
}

/// One accepted change to [`Desired`]: what the store writes and replays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The project exists with this origin and generation (its apps are changes of their own).
    Project {
        /// The project that changed.
        name: ProjectName,
        /// Where it was declared.
        origin: Origin,
        /// Its new generation.
        generation: u64,
    },
    /// The project is gone with everything in it.
    ProjectRemoved {
        /// The project that changed.
        name: ProjectName,
    },
    /// The app is declared so from now on.
    App {
        /// The project it belongs to.
        project: ProjectName,
        /// The app that changed.
        name: AppName,
        /// How (boxed: far larger than the other variants).
        declared: Box<Declared>,
    },
    /// The app is gone.
    AppRemoved {
        /// The project it belongs to.
        project: ProjectName,
        /// The app that changed.
        name: AppName,
    },
    /// A rollout begins, is paused or resumed; `None`: it has ended.
    Rollout {
        /// The project it belongs to.
        project: ProjectName,
        /// Of which app.
        name: AppName,
        /// Its state (boxed: far larger than the other variants).
        rollout: Option<Box<Rollout>>,
    },
    /// An entry of the history is new, or says more than before; `None`: it is forgotten.
    History {
        /// The project it belongs to.
        project: ProjectName,
        /// The name of the entry.
        generation: u64,
        /// What it says (boxed: far larger than the other variants).
        entry: Option<Box<HistoryEntry>>,
    },
    /// A source is followed, otherwise, or further than before; `None`: no longer.
    Source {
        /// Its name.
        name: SourceName,
        /// What is kept of it.
        source: Option<Box<GitSource>>,
    },
    /// `pm shutdown` was requested, or undone.
    ShutDown {
        /// Whether nothing starts until a user starts it.
        is_shut_down: bool,
    },
}

impl Desired {
    /// Whether the changes only stop, hold, remove or end: after them nothing may run that might not before.
    pub fn is_only_taken_down_by(&self, changes: &[Change]) -> bool {
        let known = |project: &ProjectName, name: &AppName| self.projects.get(project)?.apps.get(name);
        let is_down = |change: &Change| match change {
            Change::App { project, name, declared } => {
                known(project, name).is_some_and(|before| declared.is_less_than(before))
            }
            Change::Rollout { rollout, .. } => rollout.is_none(),
            Change::ShutDown { is_shut_down } => *is_shut_down,
            Change::Project { .. }
            | Change::ProjectRemoved { .. }
            | Change::AppRemoved { .. }
            | Change::Source { .. }
            | Change::History { .. } => true,
        };
        let is_remark = |change: &Change| matches!(change, Change::History { .. } | Change::Source { .. });
        // History and sources alone take nothing down: on a full disk they wait.
        changes.iter().all(is_down) && !changes.iter().all(is_remark)
    }

    /// Whether some app is restarted together with what it depends on.
    pub fn follows_renewals(&self) -> bool {
        let apps = self.projects.values().flat_map(|project| project.apps.values());
        apps.map(|declared| declared.spec.on_dependency_restart).any(|policy| policy == OnDependencyRestart::Restart)
    }
}
