//! The steps that a plan is made of.

use serde::{Deserialize, Serialize};

use super::{AppName, UpdateStrategy};

/// What is done with an app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Verb {
    /// Nothing runs yet: start these slots.
    Start {
        /// Slot numbers, from 0.
        slots: Vec<u32>,
    },
    /// A rollout: processes are replaced, a few slots at a time; each must stay healthy before the next.
    Roll {
        /// Slot numbers, from 0.
        slots: Vec<u32>,
        /// Which process comes first.
        strategy: UpdateStrategy,
        /// How many slots at a time.
        batch: u32,
    },
    /// Processes are replaced, a few slots at a time, each as soon as the last one is up.
    Restart {
        /// Slot numbers, from 0.
        slots: Vec<u32>,
        /// Which process comes first.
        strategy: UpdateStrategy,
        /// How many slots at a time.
        batch: u32,
    },
    /// Copies are added and removed; the others are not touched.
    Scale {
        /// How many there were.
        from: u32,
        /// How many there will be.
        to: u32,
        /// Slots that start.
        add: Vec<u32>,
        /// Slots that stop.
        remove: Vec<u32>,
    },
    /// New values, no process touched.
    Reconfigure,
    /// A new name, the process kept.
    Rename {
        /// The old one.
        from: AppName,
    },
    /// An app replaces one that leaves: old stopped, new started, old again if that fails.
    Replace {
        /// The app that leaves.
        old: AppName,
        /// Slots of the new app.
        slots: Vec<u32>,
    },
    /// Stop these slots, keep the declaration.
    Stop {
        /// Slot numbers, from 0.
        slots: Vec<u32>,
    },
    /// Stop everything and forget it.
    Delete {
        /// Slots that exist.
        slots: Vec<u32>,
    },
    /// Nothing to do.
    Keep,
    /// Stopped or held by a user; nothing is done.
    Hold,
}

impl Verb {
    /// Whether carrying it out changes anything.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep | Self::Hold)
    }

    /// The slots that get new processes by it.
    pub fn new_processes(&self) -> &[u32] {
        match self {
            Self::Start { slots }
            | Self::Roll { slots, .. }
            | Self::Restart { slots, .. }
            | Self::Replace { slots, .. } => slots,
            Self::Scale { add, .. } => add,
            Self::Reconfigure
            | Self::Rename { .. }
            | Self::Stop { .. }
            | Self::Delete { .. }
            | Self::Keep
            | Self::Hold => &[],
        }
    }

    /// Whether it brings new processes: they need what the app depends on.
    pub fn is_start(&self) -> bool {
        !self.new_processes().is_empty()
    }

    /// The app that leaves, or that had another name.
    pub fn other_app(&self) -> Option<&AppName> {
        match self {
            Self::Rename { from: other } | Self::Replace { old: other, .. } => Some(other),
            _ => None,
        }
    }

    /// What it is, without its slots.
    pub fn kind(&self) -> VerbKind {
        match self {
            Self::Start { .. } => VerbKind::Start,
            Self::Roll { .. } => VerbKind::Roll,
            Self::Restart { .. } => VerbKind::Restart,
            Self::Scale { .. } => VerbKind::Scale,
            Self::Reconfigure => VerbKind::Reconfigure,
            Self::Rename { .. } => VerbKind::Rename,
            Self::Replace { .. } => VerbKind::Replace,
            Self::Stop { .. } => VerbKind::Stop,
            Self::Delete { .. } => VerbKind::Delete,
            Self::Keep => VerbKind::Keep,
            Self::Hold => VerbKind::Hold,
        }
    }

    /// The word for `--json` and tables.
    pub fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }
}

/// A [`Verb`] without its slots; and what a command does that only waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbKind {
    /// [`Verb::Start`].
    Start,
    /// [`Verb::Roll`].
    Roll,
    /// [`Verb::Restart`].
    Restart,
    /// [`Verb::Scale`].
    Scale,
    /// [`Verb::Reconfigure`].
    Reconfigure,
    /// [`Verb::Reconfigure`] of a new app that runs at its times: nothing is started now.
    Schedule,
    /// [`Verb::Rename`].
    Rename,
    /// [`Verb::Replace`].
    Replace,
    /// [`Verb::Stop`].
    Stop,
    /// [`Verb::Delete`].
    Delete,
    /// [`Verb::Keep`].
    Keep,
    /// [`Verb::Hold`].
    Hold,
    /// Processes that another change has started come up; nothing is done to them.
    Wait,
}

impl VerbKind {
    /// The word for `--json` and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Roll => "roll",
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Reconfigure => "reconfigure",
            Self::Schedule => "schedule",
            Self::Rename => "rename",
            Self::Replace => "replace",
            Self::Stop => "stop",
            Self::Delete => "delete",
            Self::Keep => "keep",
            Self::Hold => "hold",
            Self::Wait => "wait",
        }
    }
}

impl std::fmt::Display for VerbKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
