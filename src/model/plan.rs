//! Plans: how to get from the live to the desired state, as a value.

mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use refusal::{Confirm, Refusal, RefusalKind};

use super::{AppName, ApplyGuard, Digest, HealPolicy, ProjectName, Rejection, SourceApply, Verb, VerbKind};

/// Ordered operations for one project. Same inputs, same plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The one project that it changes.
    pub project: ProjectName,
    /// The generation that it was made from.
    pub generation: u64,
    /// What is done, in order: later operations may depend on earlier ones, never the reverse.
    pub operations: Vec<Operation>,
    /// What a user should also know.
    pub notes: Vec<Note>,
    /// The counts of the last line.
    pub summary: Summary,
}

impl Plan {
    /// Leaves out what is none of this command's business.
    pub fn keep_only(&mut self, is_meant: impl Fn(&AppName) -> bool) {
        self.operations.retain(|operation| is_meant(&operation.app));
        self.summary = Summary::of(&self.operations);
    }

    /// Leaves out what nobody is shown: that an app stays as it is. The summary still counts it.
    pub fn leave_out_kept(&mut self) {
        self.operations.retain(|operation| operation.verb != Verb::Keep || !operation.reasons.is_empty());
    }

    /// Turns rolls of these apps into plain restarts: a user or a sensor requested new processes now.
    pub fn restart_at_once(&mut self, is_meant: impl Fn(&AppName) -> bool) {
        for operation in self.operations.iter_mut().filter(|operation| is_meant(&operation.app)) {
            if let Verb::Roll { slots, strategy, batch } = &mut operation.verb {
                operation.verb = Verb::Restart { slots: std::mem::take(slots), strategy: *strategy, batch: *batch };
            }
        }
    }

    /// Slots that an apply of a user also waits for: the plan leaves their processes alone, and these are
    /// not ready yet. A plan that nothing waits for has none.
    pub fn awaited(&self) -> BTreeMap<AppName, Vec<u32>> {
        let not_ready = self.notes.iter().filter_map(|note| match note {
            Note::NotReady { app, slots, .. } => Some((app.clone(), slots.clone())),
            _ => None,
        });
        not_ready.collect()
    }

    /// What it does with which apps.
    pub fn changes(&self) -> BTreeMap<VerbKind, Vec<AppName>> {
        let mut changes: BTreeMap<VerbKind, Vec<AppName>> = BTreeMap::new();
        for operation in self.operations.iter().filter(|operation| operation.verb.is_change()) {
            changes.entry(operation.kind()).or_default().push(operation.app.clone());
        }
        changes
    }

    /// Apps that it is about under another name: what they were called, or whom they replace.
    pub fn other_apps(&self) -> Vec<AppName> {
        let others = self.operations.iter().filter_map(|operation| operation.verb.other_app());
        others.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Names what it does and what it was made from: a person who agrees to a plan agrees to this.
    pub fn digest(&self) -> Digest {
        Digest::of_content(&(self.generation, &self.operations))
    }

    /// Whether applying it would do anything.
    pub fn is_empty(&self) -> bool {
        self.operations.iter().all(|operation| !operation.verb.is_change())
    }
}

impl Operation {
    /// What users call it.
    pub fn kind(&self) -> VerbKind {
        match self.verb.kind() {
            VerbKind::Reconfigure if self.reasons.contains(&Reason::New) => VerbKind::Schedule,
            kind => kind,
        }
    }
}

/// What is done about each app, in order. Who asks for many apps asks here, and not each time all of them.
pub fn by_app(operations: &[Operation]) -> BTreeMap<&AppName, Vec<&Operation>> {
    let mut all: BTreeMap<&AppName, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        all.entry(&operation.app).or_default().push(operation);
    }
    all
}

/// One step about one app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The app, by its new name.
    pub app: AppName,
    /// What is done.
    pub verb: Verb,
    /// Why; never empty for a change.
    pub reasons: Vec<Reason>,
    /// Operations (by app) that must have succeeded first.
    pub after: Vec<AppName>,
    /// Running processes that this ends.
    pub interrupts: u32,
}

/// Why an operation is in the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Reason {
    /// The file declares an app that is not known yet.
    New,
    /// A field has another value.
    Field(FieldChange),
    /// A user requested new processes (`pm restart`).
    RestartAsked,
    /// It should run and does not.
    NotRunning,
    /// It was given up, and a user applies again.
    WasErrored,
    /// It waited for its next start, and a user applies again.
    WasInBackoff,
    /// Its spec is unknown: the state that held it was lost.
    SpecLost,
    /// No client can connect to its socket any more: the file was removed or replaced, or the socket shut down.
    Unreachable,
    /// It was stopped by a user; this apply starts it again.
    WasStopped {
        /// Name of the user who stopped it.
        by: String,
        /// When, milliseconds since 1970.
        at: super::WallTime,
    },
    /// Something that it depends on has had a new process since.
    DependencyRestarted {
        /// Which app.
        app: AppName,
    },
    /// A rollout whose daemon is gone: what it has replaced is still to be evaluated.
    RolloutUnfinished,
    /// The process runs another spec than the last applied one (an apply was cut short).
    OutOfDate,
    /// An operator scaled it; the file says otherwise.
    ScaledByHand {
        /// What the operator had set.
        to: u32,
    },
    /// No longer in the file.
    NotInFile,
    /// `pm rollback --prune`: it was not declared then.
    NotInGeneration {
        /// The generation that is gone back to.
        generation: u64,
    },
    /// A user deleted it.
    DeletedByHand,
    /// The same script and folder, or the same port, as the app that leaves.
    LooksLikeRename {
        /// The app that leaves.
        old: AppName,
    },
    /// `moved_from` names it.
    MovedFrom {
        /// The old name.
        old: AppName,
    },
    /// A user stopped it.
    StoppedByHand {
        /// Name of the user who stopped it.
        by: String,
        /// `--hold`.
        is_held: bool,
    },
    /// The file says `autostart = false`.
    NotAutostarted,
    /// More slots exist than should.
    TooMany,
    /// A task with a schedule: it runs at its times.
    RunsOnTime,
    /// A scheduled run is due.
    Due,
    /// A user requested a run now.
    RunAsked,
}

impl Reason {
    /// Whether it asks for new processes of slots that are as declared.
    pub fn asks_for_new_processes(&self) -> bool {
        matches!(self, Self::Due | Self::RunAsked | Self::DependencyRestarted { .. } | Self::Unreachable)
    }
}

/// One field with its two values, ready to print: secrets are masked already.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FieldChange {
    /// The key as in the file: `env.LOG_LEVEL`, `kill_timeout`.
    pub field: String,
    /// The old value; `None` = was not set.
    pub old: Option<String>,
    /// The new value; `None` = is not set any more.
    pub new: Option<String>,
    /// The values are secret and not shown.
    pub is_sensitive: bool,
    /// The shell variable that the new value came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_shell: Option<String>,
}

/// Something that a user should know, without an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "note")]
pub enum Note {
    /// `--no-prune`: the app left the file and stays.
    NotPruned {
        /// The app that the note is about.
        app: AppName,
    },
    /// `pm rollback` without `--prune`: the app was not declared then, and stays.
    NotInGeneration {
        /// The app that the note is about.
        app: AppName,
        /// The generation that is gone back to.
        generation: u64,
    },
    /// The file declares what was rolled back, or leaves out what a rollback brought back: the app stays as it is.
    Pinned {
        /// The app that the note is about.
        app: AppName,
        /// The generation that was gone back to.
        generation: u64,
    },
    /// The new value is used when the app is next started.
    NextStart {
        /// The app that the note is about.
        app: AppName,
        /// The key.
        field: String,
    },
    /// `moved_from = ["old"]` would keep the process.
    WriteMovedFrom {
        /// The app that appears.
        app: AppName,
        /// The app that leaves.
        old: AppName,
    },
    /// The remembered profile is used.
    Profile {
        /// The profile, as requested.
        name: String,
    },
    /// It runs and nothing declares it, because the state that held its spec was lost: it is left alone.
    SpecLost {
        /// The app that the note is about.
        app: AppName,
    },
    /// It was stopped: no run of its schedule is due until it is started again.
    ScheduleSuspended {
        /// The app that the note is about.
        app: AppName,
    },
    /// It does not run; the new number of copies counts when it is started.
    ScaledForLater {
        /// The app that the note is about.
        app: AppName,
        /// How many there will be.
        instances: u32,
    },
    /// What is put right without an apply, from now on.
    SelfHeal {
        /// As it was declared.
        from: HealPolicy,
        /// As it is declared now.
        to: HealPolicy,
    },
    /// Its build before a start has been ended: nothing of it was running.
    BuildCalledOff {
        /// The app that the note is about.
        app: AppName,
    },
    /// Its build command runs before it is started.
    BuildsFirst {
        /// The app that the note is about.
        app: AppName,
    },
    /// Its ports (`port = "auto"`) are chosen; they stay until somebody else takes them.
    PortChosen {
        /// The app that the note is about.
        app: AppName,
        /// That of its first copy.
        first: u16,
        /// That of its last copy.
        last: u16,
        /// That of its first copy so far, which somebody else has taken, or which the file no longer allows.
        instead_of: Option<u16>,
    },
    /// Another process listens on one of its ports.
    PortTaken {
        /// The app that the note is about.
        app: AppName,
        /// The port.
        port: u16,
        /// Who has it.
        pid: u32,
        /// What that process calls itself.
        name: String,
    },
    /// Processes that the plan leaves alone are not ready yet: an apply waits for them.
    NotReady {
        /// The app that the note is about.
        app: AppName,
        /// Of these slots.
        slots: Vec<u32>,
        /// What the last probe of the first one that was asked found.
        why: Option<String>,
    },
    /// Processes that the plan leaves alone fail their health probes. Nothing waits for them.
    Unhealthy {
        /// The app that the note is about.
        app: AppName,
        /// Of these slots.
        slots: Vec<u32>,
        /// What the last probe of the first one found.
        why: String,
    },
    /// Some of its limits cannot be had on this machine.
    LimitsMissing {
        /// The app that the note is about.
        app: AppName,
        /// Which limits, and why.
        message: String,
    },
    /// A user applies what failed when it was last rolled out.
    FailedBefore {
        /// The app that the note is about.
        app: AppName,
        /// What failed.
        why: Rejection,
    },
    /// Its paused rollout is superseded by this other revision.
    PauseEnded {
        /// The app that the note is about.
        app: AppName,
    },
    /// It is restarted afterwards, since it follows the restarts of what it depends on.
    RestartsWith {
        /// The app that the note is about.
        app: AppName,
        /// What gets new processes.
        dependency: AppName,
    },
    /// These apps get what this shell has of some variables: no process of them is left that has anything else.
    ShellTaken {
        /// The apps that the note is about.
        apps: Vec<AppName>,
        /// Variables that are not as before.
        names: Vec<String>,
    },
    /// These apps keep what the shell had that they were started from.
    ShellKept {
        /// The apps that the note is about.
        apps: Vec<AppName>,
        /// Variables that are another value in this shell.
        names: Vec<String>,
    },
    /// An operator's `pm scale` is undone or kept; the text of the operation says which.
    OverrideCleared {
        /// The app that the note is about.
        app: AppName,
    },
}

impl Note {
    /// Whether it is about something that changes although no process is started or stopped.
    pub fn is_about_a_change(&self) -> bool {
        matches!(
            self,
            Self::ScheduleSuspended { .. }
                | Self::ScaledForLater { .. }
                | Self::BuildCalledOff { .. }
                | Self::SelfHeal { .. }
        )
    }
}

/// The last line of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Apps that start.
    pub start: u32,
    /// Apps whose processes are replaced.
    pub roll: u32,
    /// Apps that get new values only.
    pub reconfigure: u32,
    /// How many of those are new tasks, which wait for their time.
    #[serde(default)]
    pub scheduled: u32,
    /// Slots added.
    pub slots_added: u32,
    /// Slots removed.
    pub slots_removed: u32,
    /// Apps renamed.
    pub rename: u32,
    /// Apps that replace another.
    pub replace: u32,
    /// Apps stopped.
    pub stop: u32,
    /// Apps deleted.
    pub delete: u32,
    /// Apps that differ from the file by an operator's hand.
    pub drift: u32,
    /// Apps with nothing to do.
    pub unchanged: u32,
    /// Apps held by a user.
    pub held: u32,
    /// Running processes that will be ended.
    pub interrupted: u32,
}

impl Summary {
    /// Counts operations. An app that an operator changed counts as drift, not as a start.
    pub fn of(operations: &[Operation]) -> Self {
        let mut summary = Self::default();
        let mut drifted = BTreeSet::new();
        for operation in operations {
            summary.interrupted += operation.interrupts;
            let was_stopped = operation.reasons.iter().any(|reason| matches!(reason, Reason::WasStopped { .. }));
            if was_stopped || operation.reasons.iter().any(|reason| matches!(reason, Reason::ScaledByHand { .. })) {
                drifted.insert(&operation.app);
            }
            match &operation.verb {
                Verb::Start { .. } => summary.start += u32::from(!was_stopped),
                Verb::Roll { .. } | Verb::Restart { .. } => summary.roll += 1,
                Verb::Reconfigure => {
                    summary.reconfigure += 1;
                    summary.scheduled += u32::from(operation.kind() == VerbKind::Schedule);
                }
                Verb::Scale { add, remove, .. } => {
                    summary.slots_added += u32::try_from(add.len()).unwrap_or(u32::MAX);
                    summary.slots_removed += u32::try_from(remove.len()).unwrap_or(u32::MAX);
                }
                Verb::Rename { .. } => summary.rename += 1,
                Verb::Replace { .. } => summary.replace += 1,
                Verb::Stop { .. } => summary.stop += 1,
                Verb::Delete { .. } => summary.delete += 1,
                Verb::Keep => summary.unchanged += 1,
                Verb::Hold => summary.held += 1,
            }
        }
        summary.drift = u32::try_from(drifted.len()).unwrap_or(u32::MAX);
        summary
    }
}

/// What a user allows an apply to do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyOptions {
    /// Only these apps (and nothing is pruned).
    pub only: Vec<AppName>,
    /// Keep apps that are no longer in the file.
    pub no_prune: bool,
    /// A file without apps is meant.
    pub allow_empty: bool,
    /// Another file set of the same project is meant.
    pub replace_files: bool,
    /// Accept that more than half of the project is deleted.
    pub yes: bool,
    /// An operator's `pm scale` survives.
    pub keep_overrides: bool,
    /// Not requested by a user: a wake-up compares the stored with the live state.
    pub is_wakeup: bool,
    /// The plan that the person has seen: this one or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Digest>,
    /// What it must not do by accident.
    #[serde(skip_serializing_if = "ApplyGuard::is_none")]
    pub guard: ApplyGuard,
    /// A source deploys a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<SourceApply>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(app: &str, verb: Verb, reason: Reason) -> Operation {
        Operation { app: app.parse().unwrap(), verb, reasons: vec![reason], after: Vec::new(), interrupts: 0 }
    }

    #[test]
    fn a_plan_says_what_it_does_with_which_apps() {
        let start = |name: &str| operation(name, Verb::Start { slots: vec![0] }, Reason::NotRunning);
        let mut operations: Vec<Operation> = (0..300).map(|number| start(&format!("a{number:03}"))).collect();
        operations.push(operation("kept", Verb::Keep, Reason::NotRunning));
        operations.push(operation("task", Verb::Reconfigure, Reason::New));
        operations.push(operation("new", Verb::Rename { from: "old".parse().unwrap() }, Reason::NotRunning));
        let summary = Summary::of(&operations);
        let plan = Plan { project: "shop".parse().unwrap(), generation: 1, operations, notes: Vec::new(), summary };
        let changes = plan.changes();
        let counts: Vec<(VerbKind, usize)> = changes.iter().map(|(kind, apps)| (*kind, apps.len())).collect();
        assert_eq!(counts, [(VerbKind::Start, 300), (VerbKind::Schedule, 1), (VerbKind::Rename, 1)]);
        assert_eq!(plan.other_apps(), ["old".parse().unwrap()]);
        assert_eq!((plan.summary.reconfigure, plan.summary.scheduled), (1, 1));
    }
}
