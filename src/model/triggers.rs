//! What makes an app restart although it runs well: changed files, the clock, too much memory.

use serde::{Deserialize, Serialize};

use super::Millis;

/// Which changed files restart an app. Field names are the keys of the file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WatchPolicy {
    /// Absolute folders, files or globs; `None` = nothing is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Vec<String>>,
    /// Globs of paths (relative to the app's folder) whose changes do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_watch: Vec<String>,
    /// How long it must be quiet before a change counts.
    pub watch_delay: Millis,
    /// How files are watched.
    #[serde(default, skip_serializing_if = "WatchOptions::is_default")]
    pub watch_options: WatchOptions,
    /// A command line that must succeed before processes are replaced because of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl Default for WatchPolicy {
    fn default() -> Self {
        Self {
            watch: None,
            ignore_watch: Vec::new(),
            watch_delay: Millis(200),
            watch_options: WatchOptions::default(),
            build: None,
        }
    }
}

/// How files are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WatchOptions {
    /// Look at the files instead of being told by the kernel.
    #[serde(default)]
    pub poll: bool,
    /// How often to look; `None` = 1 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Millis>,
    /// Watch what links point to.
    #[serde(default)]
    pub follow_symlinks: bool,
}

impl WatchOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// At which times an app is restarted, or a task runs. Field names are the keys of the file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CronPolicy {
    /// Five or six fields, or `@daily` and the like; `None` = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_restart: Option<String>,
    /// Name of the zone in which the times are meant; `None` = the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_timezone: Option<String>,
    /// What happens to a task that is due while its last run goes on.
    #[serde(default)]
    pub cron_overlap: CronOverlap,
}

/// What happens to a task that is due while its last run goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronOverlap {
    /// This time is left out.
    #[default]
    Skip,
    /// It runs when the last one has ended; never more than one waits.
    Queue,
    /// The last one is stopped.
    Replace,
}
