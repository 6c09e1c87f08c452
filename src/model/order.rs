//! What the reconciler asks of one instance.

use std::sync::Arc;

use super::{App, Cause, Declared, Digest, Environment, InstanceId, Revision};

/// What one instance should do next. The newest order of an instance counts: a repeated or late one changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The instance.
    pub instance: InstanceId,
    /// Grows with every order that this daemon gives; never 0.
    pub number: u64,
    /// What to do.
    pub command: Command,
}

/// The command of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be running with this spec; if a process is alive, keep it.
    Start(Launch),
    /// End the current process, if any, and run this spec.
    Restart(Launch),
    /// End the process and stay down.
    Stop(Cause),
    /// Follow new policies without touching the process.
    Reconfigure(Arc<App>),
    /// End the process and forget the instance.
    Delete(Cause),
    /// Take this name from the instance that has it now (and the spawn record that goes with it); the process is kept.
    Rename(InstanceId, Launch),
    /// A successor: become the instance of the slot, if there is no other. Process and spawn record are kept.
    TakeOver,
}

/// Everything that a spawn needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The spec.
    pub spec: Arc<App>,
    /// Its name in the store.
    pub digest: Digest,
    /// The recorded shell environment.
    pub base: Arc<Environment>,
    /// Its name in the store.
    pub base_digest: Digest,
    /// The restart counter that the process is started under.
    pub restart_requests: u64,
    /// What requested the start; goes into the event.
    pub cause: Cause,
}

impl Launch {
    /// The process of a slot, as it is declared.
    pub fn of(declared: &Declared, slot: u32, cause: Cause) -> Self {
        let Revision { spec, digest, base, base_digest } = declared.revision();
        Self { spec, digest, base, base_digest, restart_requests: declared.restart_requests_of(slot), cause }
    }

    /// The same process to be, made from something else.
    #[must_use]
    pub fn at_revision(self, revision: &Revision) -> Self {
        let Revision { spec, digest, base, base_digest } = revision.clone();
        Self { spec, digest, base, base_digest, ..self }
    }
}
