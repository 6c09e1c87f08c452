//! An app that appears where another one leaves: the same program in the same folder, or the same port.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{App, AppName, LiveInstance, Note, Operation, Reason, Verb};

use super::slots::{is_up, running};

/// An app that is declared no longer.
pub(super) struct Leaving<'a> {
    /// Its last spec.
    pub spec: &'a App,
    /// What is left of it.
    pub live: BTreeMap<u32, &'a LiveInstance>,
}

/// Turns a fresh start into a replacement where a leaving app seems to be the same one, and takes that app out of
/// `leaving`: started side by side the two would fight for the port.
pub(super) fn replace<'a>(
    operations: &mut [Operation],
    notes: &mut Vec<Note>,
    leaving: &mut BTreeMap<&'a AppName, Leaving<'a>>,
    appearing: &BTreeMap<&AppName, &App>,
    surviving: &BTreeSet<&AppName>,
) {
    for operation in operations {
        let Verb::Start { slots } = &operation.verb else { continue };
        let Some(spec) = appearing.get(&operation.app).filter(|_| !surviving.contains(&operation.app)) else {
            continue;
        };
        let Some(old) =
            leaving.iter().find(|(_, old)| old.is_up() && looks_alike(old.spec, spec)).map(|(name, _)| *name)
        else {
            continue;
        };
        let Some(left) = leaving.remove(old) else { continue };
        let existing: Vec<_> = left.live.keys().copied().collect();
        operation.interrupts = running(&left.live, &existing);
        operation.reasons.push(Reason::LooksLikeRename { old: old.clone() });
        operation.verb = Verb::Replace { old: old.clone(), slots: slots.clone() };
        notes.push(Note::WriteMovedFrom { app: operation.app.clone(), old: old.clone() });
    }
}

impl Leaving<'_> {
    /// Whether a process of it runs or would come back.
    fn is_up(&self) -> bool {
        self.live.values().any(|instance| is_up(&instance.phase))
    }
}

/// Whether two apps seem to be one under two names.
pub(super) fn looks_alike(old: &App, new: &App) -> bool {
    let (old, new) = (&old.run, &new.run);
    let is_same_program = match (&old.script, &new.script) {
        (Some(old), Some(new)) => old == new,
        (None, None) => !old.command.is_empty() && old.command == new.command && old.shell == new.shell,
        _ => false,
    };
    (is_same_program && old.cwd == new.cwd) || (old.port.is_some() && old.port == new.port)
}
