//! `self_heal`: what `pm` puts right by itself, what it has found, and when it acts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Digest, Millis, WallTime};

/// What is put right without an apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfHeal {
    /// Nothing: what differs is only shown.
    #[default]
    Off,
    /// Processes that were started from other contents of a file of `restart_on`.
    Config,
    /// The same, and numbers of copies that users changed (`pm scale`).
    Full,
}

impl SelfHeal {
    /// As in the file; `None`: there is no such word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Off, Self::Config, Self::Full].into_iter().find(|mode| mode.as_str() == word)
    }

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Config => "config",
            Self::Full => "full",
        }
    }
}

/// What a project says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealPolicy {
    /// `self_heal`.
    pub mode: SelfHeal,
    /// `override_grace`: how long what a user changed stays, in the mode `full`.
    pub override_grace: Millis,
}

impl HealPolicy {
    /// `override_grace`, where no file says anything.
    pub const OVERRIDE_GRACE: Millis = Millis::seconds(600);

    /// Whether no file says anything.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for HealPolicy {
    fn default() -> Self {
        Self { mode: SelfHeal::Off, override_grace: Self::OVERRIDE_GRACE }
    }
}

/// How often an app was put right by itself, one time soon after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealCount {
    /// So many times.
    pub count: u32,
    /// When it was done last, by the clock of the daemon.
    pub last: WallTime,
    /// The spec that was declared for new contents last. Once another one is declared again, it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Digest>,
}

/// A file of `restart_on` whose contents are not those that were applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangedFile {
    /// What it has in it now.
    pub digest: Digest,
    /// Since when the daemon has known of these contents.
    pub since: WallTime,
}

/// Files with other contents than some app was applied with.
pub type ChangedFiles = BTreeMap<PathBuf, ChangedFile>;

/// One thing about an app that is put right by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heal {
    /// The difference that it ends.
    pub aim: HealAim,
    /// When, or why not.
    pub when: HealWhen,
}

/// What is put right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum HealAim {
    /// New processes for the contents of files of `restart_on`.
    Contents {
        /// The first of them.
        path: PathBuf,
        /// How many others.
        others: u32,
        /// Since when the newest contents have been known.
        since: WallTime,
    },
    /// The number of copies becomes that of the file again.
    Scale {
        /// Copies that a user requested.
        from: u32,
        /// Copies that the file declares.
        to: u32,
    },
}

/// When something is put right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum HealWhen {
    /// Then, unless something else is being done with the app: after that.
    At {
        /// Wall clock of the daemon.
        at: WallTime,
    },
    /// It was put right too often in a row.
    Paused {
        /// From when on it is done again.
        until: WallTime,
        /// How often it was done.
        count: u32,
    },
    /// Processes with exactly these contents have failed: they are not tried again until something changes.
    Failed,
}
