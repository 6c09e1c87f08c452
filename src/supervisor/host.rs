//! What the actor needs of the machine that it works on, as a trait: `real` implements it, a test pretends it.
//!
//! Everything is named by the number of a table entry. What the kernel knows a process by (descriptors, control groups,
//! sockets) stays on the other side, so that the actor decides the same on any machine, and on none.

use std::collections::BTreeSet;

use crate::model::{
    App, AppId, Environment, Exit, Fact, Failure, Hook, InstanceId, Launch, LeftProcess, Limits, ListenAddress,
    LogPolicy, Millis, Moment, Run, SpawnError, Subject, WallTime,
};
use crate::rules::{ChannelLine, Notification};

pub(super) use crate::anchor::{EntryState, Record, RowState};
pub(super) use crate::events::StartedProcess;

pub(super) const SIGKILL: i32 = 9;
/// Lets a suspended process go on (the same number on all architectures that are built for).
pub(super) const SIGCONT: i32 = 18;

/// A table entry at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub state: RowState,
    /// The number of its current or last process; 0 = it has had none.
    pub incarnation: u32,
    /// The highest number that the other process of its slot has had.
    pub last_number: u32,
    pub pid: Option<u32>,
    /// How and when the last process ended.
    pub exit: Option<(Exit, Moment)>,
    /// When the current or last process was started.
    pub started: (Moment, WallTime),
}

impl Entry {
    /// Its current or last process.
    pub fn process(&self) -> StartedProcess {
        StartedProcess { incarnation: self.incarnation, pid: self.pid, started: self.started.1 }
    }

    /// One that nobody has.
    pub fn free() -> Self {
        let started = (Moment(0), WallTime(0));
        Self { state: RowState::Free, incarnation: 0, last_number: 0, pid: None, exit: None, started }
    }
}

/// What a start needs to know.
#[derive(Debug)]
pub(super) struct SpawnJob {
    /// The table entry.
    pub row: u32,
    pub id: InstanceId,
    /// The number of the process.
    pub incarnation: u32,
    pub launch: Launch,
    /// Where its output goes now; may be newer than the launch.
    pub logs: LogPolicy,
}

/// A hook that is to run.
#[derive(Debug)]
pub(super) struct HookJob {
    /// The process that it is about, and its context.
    pub spawn: SpawnJob,
    pub hook: Hook,
    pub command: String,
    /// How long it may take.
    pub limit: Millis,
    /// Variables besides those of the app.
    pub more: Environment,
}

/// What became of a start.
#[derive(Debug)]
pub(super) struct SpawnEnd {
    pub row: u32,
    pub incarnation: u32,
    pub launch: Launch,
    pub outcome: Result<Created, SpawnError>,
}

/// A process that was created.
#[derive(Clone, Copy, Debug)]
pub(super) struct Created {
    pub pid: u32,
    /// False: it has already ended and was reaped; its status stands in the table.
    pub is_open: bool,
    /// Whether its end will be told.
    pub is_watched: bool,
}

/// How a hook ended.
#[derive(Debug)]
pub(super) struct HookEnd {
    pub row: u32,
    pub incarnation: u32,
    pub hook: Hook,
    pub result: Result<(), String>,
    /// False: it was ended, and nobody waits for it any more.
    pub is_wanted: bool,
}

/// A way on which a process speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Channel {
    /// The socket of `sd_notify`.
    Notify,
    /// Node's messages.
    Messages,
}

/// What a process has said in one go.
#[derive(Debug)]
pub(super) enum Words {
    Notifications(Vec<Notification>),
    Lines(Vec<ChannelLine>),
}

/// The machine, as the actor sees it. Nothing here waits for a process, a disk or another machine (but for a moment that
/// is bounded, in [`Host::settle_facts`]): what takes time is begun, and its end comes back as an event.
pub(super) trait Host {
    fn now(&self) -> Moment;
    fn wall(&self) -> WallTime;
    /// A place where a test lets the daemon die.
    fn killpoint(&self, name: &'static str);
    /// States a fact for people and the journal.
    fn tell(&self, about: Subject, fact: Fact);
    /// Passes a fact on to those who follow, unrecorded.
    fn pass_on(&self, about: Subject, fact: Fact);
    /// What was told until now is found by the next daemon, whatever happens. Waits for that, but only a moment.
    fn settle_facts(&mut self);
    /// The highest number that a process of this slot has borne, as far as was told.
    fn last_number(&self, id: &InstanceId) -> u32;

    // ---- the table of processes
    fn entry(&self, row: u32) -> Entry;
    /// Takes a free entry, idle and with an empty record.
    fn claim(&mut self) -> Option<u32>;
    /// Changes what is remembered of an instance.
    fn remember(&mut self, row: u32, record: &Record);
    /// The next process of this instance gets a higher number than this.
    fn note_number(&mut self, row: u32, number: u32);
    /// The exit of the process `newest`, or of an earlier one, has been dealt with, and `record` says what follows, in one
    /// change. False: there was none.
    fn conclude(&mut self, row: u32, newest: u32, record: &Record) -> bool;
    /// Closes the outputs of an entry and gives it back.
    fn free(&mut self, row: u32) -> Result<(), String>;
    /// Copies these entries to where they survive the death of both our processes.
    fn mirror(&mut self, rows: BTreeSet<u32>);

    // ---- processes
    /// Begins a start; answered by a [`SpawnEnd`]. What the next daemon has to know of it is remembered already.
    fn spawn(&mut self, job: SpawnJob);
    /// The start did not succeed: what was made for its process is removed.
    fn spawn_failed(&mut self, row: u32);
    /// Lets go of a main process that has ended.
    fn release(&mut self, row: u32);
    /// Signals the main process only.
    fn signal(&mut self, row: u32, signal: i32);
    /// Signals everything of an instance that is known. `has_asked_group`: the group of its main process, which has
    /// ended, was signalled as a whole, with what stayed in it.
    fn signal_tree(&mut self, row: u32, signal: i32, has_asked_group: bool);
    /// SIGKILL for everything of an instance; how many processes that reached.
    fn kill_tree(&mut self, row: u32) -> u32;
    /// Looks what is left of instances whose main process has ended: how many processes, for each. What is not known at
    /// once is answered by a [`SweepEnd`].
    fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)>;
    /// What may have been left by an instance, and may be of others.
    fn unclear(&self, row: u32) -> Vec<LeftProcess>;
    /// Whether something of it may live that nobody can find.
    fn has_lost_sight(&self, row: u32) -> bool;
    /// The instance is gone.
    fn forget(&mut self, row: u32);
    /// Makes another process of the same app its main process, also if the one before has just ended. The number of the one
    /// before, or why it is refused.
    fn succeed(&mut self, row: u32, pid: u32) -> Result<u32, String>;
    /// Whether its process is no child of the present anchor, which will not hear of its end.
    fn is_orphan(&self, row: u32) -> bool;
    /// How an orphan that has ended did so. `None`: not known yet; its end is told again.
    fn orphan_exit(&mut self, row: u32, incarnation: u32) -> Option<Exit>;
    /// The anchor has died under these.
    fn anchor_gone(&mut self, rows: BTreeSet<u32>);

    // ---- limits and memory
    /// Which of these limits cannot be had here, and why.
    fn missing_limits(&self, limits: &Limits) -> Option<String>;
    /// Whether memory was why a process has ended. `is_strange`: by a SIGKILL that nobody here sent.
    fn out_of_memory(&mut self, row: u32, is_strange: bool) -> Option<Fact>;
    /// Whose trees have lost processes to that since the last look, though their first process lives.
    fn lost_children(&mut self) -> Vec<u32>;

    // ---- hooks
    /// Runs a hook; answered by a [`HookEnd`].
    fn run_hook(&mut self, job: HookJob);
    /// Ends a hook with everything that it has started, if it runs.
    fn end_hook(&mut self, row: u32, hook: Hook);
    /// Whether a hook may still open the outputs of this entry.
    fn is_hook_busy(&self, row: u32) -> bool;

    // ---- what processes say
    /// The next that a process has said. It is not taken off before [`Self::acted_on`].
    fn hear(&mut self, row: u32, channel: Channel, id: &InstanceId) -> Option<Words>;
    /// What was heard last was acted on.
    fn acted_on(&mut self, row: u32, channel: Channel);
    /// Says a line to the process. False: it cannot hear.
    fn say(&mut self, row: u32, line: &str) -> bool;
    /// Remembers for the next daemon what the process says of itself.
    fn keep_status(&mut self, row: u32, incarnation: u32, status: &str);
    /// The worker in this row gets no more connections.
    fn retire(&mut self, row: u32);
    /// The same, and it is to end those that it has; answered by [`super::cluster::WorkerSaid::Left`].
    fn drain(&mut self, row: u32, spec: &App);
    /// Says a line to the worker in this row.
    fn say_to_worker(&mut self, row: u32, line: &str);
    /// None of the workers of this app runs or is about to: its sockets are closed.
    fn close_cluster(&mut self, app: &AppId);
    /// The app has another name from now on.
    fn rename_cluster(&mut self, from: &AppId, to: &AppId);
    /// The process is over: closes what it spoke on.
    fn silence(&mut self, row: u32, incarnation: u32, spec: &App);

    // ---- outputs
    /// Output goes where this policy wants it from now on; an instance without outputs is ignored.
    fn retarget(&mut self, row: u32, id: &InstanceId, logs: &LogPolicy, run: &Run);
    /// Takes back what earlier processes have set on these sockets.
    fn reset_listeners(&mut self, addresses: &[ListenAddress]);
}

/// What a sweep has found that was not answered at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SweepEnd {
    pub row: u32,
    /// The process that had ended.
    pub incarnation: u32,
    /// How many processes of its tree live.
    pub left: u32,
}

/// What a new daemon asks of its host before it takes orders.
pub(super) trait Recovery: Host {
    /// All entries in use.
    fn rows(&self) -> Vec<u32>;
    fn record(&self, row: u32) -> Record;
    /// Puts what lives and is not listed into the table: what a person should be told, and what was changed.
    fn list_unlisted(&mut self) -> (Vec<String>, Vec<u32>);
    /// Opens the process of an entry, if it provably is the one that was started; its pid.
    fn open_main(&mut self, row: u32) -> Option<u32>;
    /// Whether there is such a process.
    fn is_main_alive(&self, row: u32) -> bool;
    /// The process of an entry has ended, and said before that another one of its app goes on; nobody has heard that yet. The
    /// numbers of both, if that one lives and is the main process now.
    fn succeed_unheard(&mut self, row: u32) -> Option<(u32, u32)>;
    /// The announced process never came to be. False: there is one.
    fn abandon(&mut self, row: u32) -> bool;
    /// The process has ended, and nobody saw how.
    fn exited_unseen(&mut self, row: u32);
    /// The instance that a living process says it is of, proven by its mark.
    fn identity(&self, row: u32) -> Option<InstanceId>;
    /// Why the last process never executed its program, if that is how it ended.
    fn died_before_exec(&self, row: u32, launch: &Launch) -> Option<Failure>;
    /// Goes on with outputs and channels of an instance, and watches its process.
    fn take_over(&mut self, taken: &TakenOver<'_>) -> Watch;
    /// What memory has cost the tree so far is no news.
    fn know_memory(&mut self, row: u32);
    /// What a living process has said of itself to an earlier daemon.
    fn kept_status(&self, row: u32, incarnation: u32, spec: &App) -> Option<String>;
    /// Ends a second process of the same instance, and gives its entry back.
    fn end_double(&mut self, row: u32, id: &InstanceId);
    /// Whether the end of a process was told.
    fn was_exit_emitted(&self, id: &InstanceId, process: &StartedProcess, at: WallTime) -> bool;
    /// The same of its start.
    fn was_start_emitted(&self, id: &InstanceId, process: &StartedProcess, at: WallTime) -> bool;
    /// The other name under which the start of this very process was told, if not under this one.
    fn other_name(&self, id: &InstanceId, process: &StartedProcess) -> Option<InstanceId>;
    /// The failure that the last daemon told when it gave this instance up.
    fn why_given_up(&self, id: &InstanceId) -> Option<Failure>;
    /// All instances are known: takes up or closes what else was inherited.
    fn all_taken_over(&mut self, instances: &[(u32, &InstanceId, &App)], has_hooks: bool);
}

/// An instance that an earlier daemon has left.
#[derive(Debug)]
pub(super) struct TakenOver<'a> {
    pub row: u32,
    pub incarnation: u32,
    pub id: &'a InstanceId,
    /// What it follows now.
    pub policy: &'a App,
    /// What its process was started with.
    pub spec: &'a App,
}

/// Whether the end of a process will be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Watch {
    /// There is no process.
    None,
    /// It will.
    Watched,
    /// It cannot be watched.
    Unwatched,
    /// It has ended already.
    Ended,
}

/// Names a process to the watches and to the anchor: row and incarnation.
pub(super) fn token(row: u32, incarnation: u32) -> u64 {
    u64::from(row) << 32 | u64::from(incarnation)
}

pub(super) fn row_and_incarnation(token: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    (((token >> 32) as u32), (token as u32))
}
