//! The counts of a plan's last line.

use std::collections::BTreeSet;

use crate::model::{Operation, Reason, Summary, Verb};

/// Counts operations. An app that an operator changed counts as drift, not as a start.
pub(super) fn count(operations: &[Operation]) -> Summary {
    let mut summary = Summary::default();
    let mut drifted = BTreeSet::new();
    for operation in operations {
        summary.interrupted += operation.interrupts;
        let was_stopped = operation.reasons.iter().any(|reason| matches!(reason, Reason::WasStopped { .. }));
        if was_stopped || operation.reasons.iter().any(|reason| matches!(reason, Reason::ScaledByHand { .. })) {
            drifted.insert(&operation.app);
        }
        match &operation.verb {
            Verb::Start { .. } => summary.start += u32::from(!was_stopped),
            Verb::Roll { .. } => summary.roll += 1,
            Verb::Update => summary.update += 1,
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
