//! Apps with `max_memory_restart`: measured every two seconds, reported once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Bytes, InstanceId, LiveInstance, Phase};
use crate::os;
use crate::supervisor::{Observation, Seen, Supervisor};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So many looks in a row over the limit are meant; a peak between two collections of garbage is not.
const LOOKS: u32 = 3;
/// Every so many looks the tree is walked anew; in between only the known processes are read.
const WALK_EVERY: u32 = 5;

/// One process tree under observation.
#[derive(Debug, Default)]
struct Watched {
    incarnation: u32,
    tree: Vec<u32>,
    looks: u32,
    over: u32,
}

/// An instance that may not use more than `limit`.
struct Limited<'a> {
    id: &'a InstanceId,
    pid: u32,
    incarnation: u32,
    limit: Bytes,
}

/// Watches until the supervisor is gone. Costs nothing while no living app has a limit.
pub(super) async fn watch(supervisor: Supervisor) {
    let mut changes = supervisor.changes();
    let mut watched: BTreeMap<InstanceId, Watched> = BTreeMap::new();
    loop {
        let live = supervisor.look_at_apps(|app| app.max_memory_restart.is_some()).await;
        let observations = look(&limited(&live), &mut watched);
        drop(live);
        if watched.is_empty() && changes.changed().await.is_err() {
            return;
        }
        for observation in observations {
            supervisor.observed(observation).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn limited(live: &BTreeMap<InstanceId, LiveInstance>) -> Vec<Limited<'_>> {
    let limited = live.iter().filter_map(|(id, instance)| {
        let Phase::Running { pid, .. } = instance.phase else { return None };
        let limit = instance.spec.max_memory_restart?;
        Some(Limited { id, pid, incarnation: instance.incarnation, limit })
    });
    limited.filter(|limited| limited.pid != 0).collect()
}

fn look(limited: &[Limited<'_>], watched: &mut BTreeMap<InstanceId, Watched>) -> Vec<Observation> {
    watched.retain(|id, _| limited.iter().any(|limited| limited.id == id));
    let mut suspects = Vec::new();
    for one in limited {
        let known = watched.entry(one.id.clone()).or_default();
        if known.incarnation != one.incarnation {
            *known = Watched { incarnation: one.incarnation, ..Watched::default() };
        }
        let is_due = known.looks.is_multiple_of(WALK_EVERY);
        known.looks = known.looks.wrapping_add(1);
        if is_due || is_near(os::memory_of_all(&known.tree), one.limit) {
            suspects.push(one.pid);
        } else {
            known.over = 0;
        }
    }
    let mut trees = os::trees(os::parent_pid(), &suspects);
    let mut told = Vec::new();
    for one in limited {
        let (Some(tree), Some(known)) = (trees.remove(&one.pid), watched.get_mut(one.id)) else { continue };
        let used = os::memory_of_all(&tree);
        known.tree = tree;
        known.over = if used > one.limit { known.over.saturating_add(1) } else { 0 };
        if known.over == LOOKS {
            let seen = Seen::OverMemory { used, limit: one.limit };
            told.push(Observation { instance: one.id.clone(), incarnation: one.incarnation, seen });
        }
    }
    told
}

/// From three quarters on the whole tree is looked at: a child may have been born since the last walk.
fn is_near(used: Bytes, limit: Bytes) -> bool {
    used.0 > limit.0 / 4 * 3
}
