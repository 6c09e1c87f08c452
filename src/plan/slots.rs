//! What every slot of one app needs, given its live state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{App, Class, Declared, Following, Kind, LiveInstance, Phase, UpdateStrategy};

use super::difference::difference;
use super::renewal::Renewal;

/// The slots of one app, sorted by need. A slot that needs nothing stands in no list.
#[derive(Default)]
pub(super) struct Slots<'a> {
    /// Should run; no such instance exists.
    pub absent: Vec<u32>,
    /// Should run; the instance is down.
    pub down: Vec<u32>,
    /// Runs, or soon would, what is out of date.
    pub stale: Vec<u32>,
    /// Runs, or soon would, and should not.
    pub unwanted: Vec<u32>,
    /// Beyond the number of copies.
    pub extra: Vec<u32>,
    /// A spec that some kept instance follows and that differs in what can be followed without a new process.
    pub followed: Option<&'a Arc<App>>,
    /// Among `down`: a user retries what was given up.
    pub has_errored: bool,
    /// Among `down`: a user does not wait for the next try.
    pub has_backoff: bool,
    /// Among `down` and `stale`: nobody knows what the process was started with.
    pub has_lost_spec: bool,
    /// Nobody can connect to one of them that runs.
    pub is_unreachable: bool,
    /// Among `down` and `stale`: a user requested a new process.
    pub is_restart_asked: bool,
    /// Among `stale`: something that it depends on has had a new process since.
    pub is_outlived: bool,
    /// Among `down` and `stale`: the spec that a process was started with differs in a field that needs a new one.
    pub is_out_of_date: bool,
}

/// How far the spawn record of a process is from what is declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Distance {
    None,
    Followable,
    NeedsProcess,
    /// The spawn record was lost.
    Unknown,
}

/// What is to be done with one instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Follow,
    Start,
    Roll,
    Stop,
}

impl<'a> Slots<'a> {
    /// Sorts the slots of one app. `is_asked`: a user applies, so what was given up is tried again.
    /// `renewal`: processes that are older than this one are out of date.
    pub(super) fn sort(
        declared: &Declared,
        live: &BTreeMap<u32, &'a LiveInstance>,
        renewal: Option<Renewal<'_>>,
        is_asked: bool,
    ) -> Self {
        let mut slots = Self::default();
        let count = declared.instances();
        let mut known: Option<(&Arc<App>, Distance)> = None;
        for (&slot, &instance) in live {
            if slot >= count {
                slots.extra.push(slot);
                continue;
            }
            let distance = match known {
                Some((spec, distance)) if Arc::ptr_eq(spec, &instance.spec) => distance,
                _ => distance(&instance.spec, &declared.spec),
            };
            known = Some((&instance.spec, distance));
            let is_outlived = renewal.is_some_and(|renewal| renewal.outdates(instance));
            slots.take(slot, instance, declared, distance, (is_outlived, is_asked));
        }
        slots.absent = (0..count).filter(|slot| declared.should_run(*slot) && !live.contains_key(slot)).collect();
        slots
    }

    fn take(
        &mut self,
        slot: u32,
        instance: &'a LiveInstance,
        declared: &Declared,
        distance: Distance,
        (is_outlived, is_asked): (bool, bool),
    ) {
        let is_behind = instance.restart_requests < declared.restart_requests_of(slot);
        // What runs is better than what an older state may say: only a user has it replaced.
        let is_lost = distance == Distance::Unknown;
        let is_stale = is_behind
            || is_outlived
            || distance == Distance::NeedsProcess
            || ((is_lost || instance.is_unreachable) && is_asked);
        let need = if !declared.may_run(slot) {
            unwanted(instance)
        } else if declared.spec.is_timed_task() {
            timed(instance, distance)
        } else {
            wanted(&instance.phase, is_stale, distance, is_asked)
        };
        match need {
            Need::Nothing => return,
            Need::Follow => {
                self.followed.get_or_insert(&instance.spec);
                return;
            }
            Need::Stop => return self.unwanted.push(slot),
            Need::Start => self.down.push(slot),
            Need::Roll => self.stale.push(slot),
        }
        self.has_errored |= is_asked && matches!(instance.phase, Phase::Errored { .. });
        self.has_backoff |= need == Need::Start && matches!(instance.phase, Phase::Backoff { .. });
        self.has_lost_spec |= is_lost;
        self.is_unreachable |= instance.is_unreachable;
        self.is_restart_asked |= is_behind;
        self.is_outlived |= is_outlived;
        self.is_out_of_date |= distance == Distance::NeedsProcess;
    }
}

/// An instance that should run. What waits, succeeded or was given up is left alone, unless it is out of date; a user
/// who applies has what waits or was given up tried again.
fn wanted(phase: &Phase, is_stale: bool, distance: Distance, is_asked: bool) -> Need {
    let is_followable = distance == Distance::Followable;
    match phase {
        Phase::Errored { .. } if is_stale || is_asked => Need::Start,
        Phase::Done { .. } if is_stale => Need::Start,
        Phase::Running { .. } | Phase::Starting | Phase::Backoff { .. } | Phase::Stopping { .. } if is_stale => {
            Need::Roll
        }
        Phase::Backoff { .. } if is_asked => Need::Start,
        Phase::Running { .. } | Phase::Starting | Phase::Backoff { .. } if is_followable => Need::Follow,
        // What was asked to end is wanted again; without a main process its own policy may still bring it back.
        Phase::Stopped | Phase::Stopping { pid: Some(_), .. } => Need::Start,
        Phase::Running { .. }
        | Phase::Starting
        | Phase::Backoff { .. }
        | Phase::Stopping { pid: None, .. }
        | Phase::Errored { .. }
        | Phase::Done { .. } => Need::Nothing,
    }
}

/// An instance of a timed task: a run continues as it was started, and the next one follows what is declared by then.
fn timed(instance: &LiveInstance, distance: Distance) -> Need {
    match &instance.phase {
        // It was started when the app was no task: it would never end.
        _ if instance.spec.kind == Kind::Service => unwanted(instance),
        Phase::Running { .. } | Phase::Starting | Phase::Backoff { .. } if distance == Distance::Followable => {
            Need::Follow
        }
        _ => Need::Nothing,
    }
}

/// An instance that should not run.
fn unwanted(instance: &LiveInstance) -> Need {
    match &instance.phase {
        // It is being ended in order to be started again.
        Phase::Stopping { .. } if instance.following == Some(Following::Start) => Need::Stop,
        Phase::Running { .. } | Phase::Starting | Phase::Backoff { .. } => Need::Stop,
        Phase::Stopped | Phase::Stopping { .. } | Phase::Errored { .. } | Phase::Done { .. } => Need::Nothing,
    }
}

fn distance(spawned: &Arc<App>, declared: &Arc<App>) -> Distance {
    if Arc::ptr_eq(spawned, declared) {
        return Distance::None;
    }
    if spawned.is_spec_lost() {
        return Distance::Unknown;
    }
    let fields = difference(spawned, declared);
    if fields.iter().any(|field| field.class == Class::Respawn) {
        Distance::NeedsProcess
    } else if fields.iter().any(|field| field.class == Class::Live) {
        Distance::Followable
    } else {
        Distance::None
    }
}

/// Whether what lives in a slot was started, or would be started again, as it is declared now: it needs no new process.
pub fn is_of_revision(live: &LiveInstance, declared: &Declared, slot: u32) -> bool {
    is_same_revision(&live.spec, &declared.spec) && live.restart_requests >= declared.restart_requests_of(slot)
}

/// Whether a process of the one needs no successor to be one of the other.
pub(super) fn is_same_revision(spawned: &Arc<App>, declared: &Arc<App>) -> bool {
    matches!(distance(spawned, declared), Distance::None | Distance::Followable)
}

/// Whether a process exists or would come back on its own.
pub(super) fn is_up(phase: &Phase) -> bool {
    phase.is_alive() || matches!(phase, Phase::Backoff { .. })
}

/// How these are replaced: as the app says, unless its sockets cannot be opened beside theirs.
pub(super) fn strategy(spec: &App, live: &BTreeMap<u32, &LiveInstance>) -> UpdateStrategy {
    // What opened its port itself and a worker of a cluster cannot have it at the same time.
    let excludes = |old: &App| old.shuts_out(spec) || (!old.is_spec_lost() && old.is_cluster() != spec.is_cluster());
    if live.values().any(|instance| excludes(&instance.spec)) {
        return UpdateStrategy::Together;
    }
    spec.update_strategy()
}

/// Whether one of these runs what nobody knows.
pub(super) fn has_lost_spec(live: &BTreeMap<u32, &LiveInstance>) -> bool {
    live.values().any(|instance| instance.spec.is_spec_lost())
}

/// How many of these slots hold a process that an operation would end.
pub(super) fn running(live: &BTreeMap<u32, &LiveInstance>, slots: &[u32]) -> u32 {
    let is_running = |slot: &&u32| {
        live.get(*slot).is_some_and(|instance| matches!(instance.phase, Phase::Running { .. } | Phase::Starting))
    };
    u32::try_from(slots.iter().filter(is_running).count()).unwrap_or(u32::MAX)
}
