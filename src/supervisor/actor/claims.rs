//! Which row has which name. A copy of the table that is out of date, and processes that say what they were started as, may
//! claim one twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Instance, Registry};
use crate::model::{App, Digest, Environment, Fact, InstanceId, Subject};
use crate::supervisor::host::Recovery;

/// Where specs and base environments of living processes are found by their digest.
pub trait Specs: std::fmt::Debug {
    /// The spec of that digest.
    fn spec(&self, digest: &Digest) -> Option<Arc<App>>;
    /// The recorded environment of that digest.
    fn base(&self, digest: &Digest) -> Option<Arc<Environment>>;
}

/// What the rows say that they are.
pub(super) struct Claims {
    rows: Vec<(u32, Option<InstanceId>)>,
    /// Rows that claim the name of another one.
    doubles: BTreeSet<u32>,
}

impl Claims {
    pub fn of<H: Recovery>(host: &H, specs: &dyn Specs) -> Self {
        let name = |row: u32| known_instance(host, row, specs).map(|instance| instance.id);
        let rows: Vec<_> = host.rows().into_iter().map(|row| (row, name(row))).collect();
        let (mut first, mut doubles) = (BTreeMap::new(), BTreeSet::new());
        for (row, name) in &rows {
            if let Some(name) = name
                && let Some(other) = first.insert(name, *row)
            {
                doubles.extend([other, *row]);
            }
        }
        Self { rows, doubles }
    }

    /// The last daemon died before the journal had a new name, or the table has an old one: what was told under another name
    /// is of this process. Before anything else is told of those names.
    pub fn tell_missed_names<H: Recovery>(&self, host: &H) {
        for (row, name) in self.rows.iter().filter(|(row, _)| !self.doubles.contains(row)) {
            let Some(id) = name.clone().map(InstanceId::settled) else { continue };
            if let Some(from) = host.other_name(&id, &host.entry(*row).process()) {
                host.tell(Subject::Instance(id), Fact::Renamed { from });
            }
        }
    }

    /// The rows, in the order in which they get their names. Of several that claim one, it is that of the process that lives
    /// and was started last: an older one was renamed since, or has taken its slot over.
    pub fn in_order<H: Recovery>(&self, host: &H) -> Vec<u32> {
        let mut rows: Vec<u32> = self.rows.iter().map(|(row, _)| *row).collect();
        let started = |row: u32| (!host.is_main_alive(row), Reverse(host.entry(row).started.0));
        rows.sort_by_cached_key(|row| self.doubles.contains(row).then(|| started(*row)));
        rows
    }
}

/// Of two that were started to take the same slot over, the first one has done so, if nobody else bears its name.
pub(super) fn settle_double<H: Recovery>(host: &H, registry: &Registry, row: u32, instance: &mut Instance) {
    let settled = instance.id.clone().settled();
    if registry.row_of(&instance.id).is_some() && registry.row_of(&settled).is_none() && host.is_main_alive(row) {
        (instance.id, instance.machine.is_successor) = (settled, false);
    }
}

/// The instance that a row names, with the spec that its process was really started with.
pub(super) fn known_instance<H: Recovery>(host: &H, row: u32, specs: &dyn Specs) -> Option<Instance> {
    let record = host.record(row);
    let (spec, base) = (specs.spec(&record.digest)?, specs.base(&record.base_digest)?);
    Some(Instance::recovered(&record, host.entry(row).incarnation, spec, base))
}
