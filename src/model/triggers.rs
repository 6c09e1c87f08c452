//! What makes an app restart although it runs well: changed files, the clock, too much memory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Millis;

/// Which changed files restart an app. Field names are the keys of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WatchPolicy {
    /// Absolute globs, where a folder stands for everything in it; `None` = nothing is watched.
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
    /// A command line that must succeed before a user starts the app, and before its processes are replaced because of a
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Files that the app is made of, in the repository of a source: paths and globs relative to the folder of the ecosystem file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

impl Default for WatchPolicy {
    fn default() -> Self {
        Self {
            watch: None,
            ignore_watch: Vec::new(),
            watch_delay: Millis(200),
            watch_options: WatchOptions::default(),
            build: None,
            inputs: Vec::new(),
        }
    }
}

/// Characters that make a glob of a path.
const GLOB_CHARACTERS: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl WatchPolicy {
    /// A build that takes longer has failed.
    pub const BUILD_MAX: Millis = Millis::seconds(15 * 60);

    /// A path as a glob that matches nothing but it.
    pub fn literal(path: &Path) -> String {
        let mut glob = String::new();
        for letter in path.to_string_lossy().chars() {
            if GLOB_CHARACTERS.contains(&letter) {
                glob.push('\\');
            }
            glob.push(letter);
        }
        glob
    }

    /// Takes an absolute glob apart: the folder or file where it begins, and what has to match below it.
    pub fn split(glob: &str) -> (PathBuf, Option<String>) {
        let mut base = PathBuf::from("/");
        let mut parts = glob.split('/').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            let Some(plain) = unescaped(part) else {
                let rest: Vec<&str> = std::iter::once(part).chain(parts).collect();
                return (base, Some(rest.join("/")));
            };
            base.push(plain);
        }
        (base, None)
    }
}

/// A part of a path without its escapes; `None` if it is a glob.
fn unescaped(part: &str) -> Option<String> {
    let mut plain = String::new();
    let mut letters = part.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next()?),
            letter if GLOB_CHARACTERS.contains(&letter) => return None,
            letter => plain.push(letter),
        }
    }
    Some(plain)
}

/// How files are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WatchOptions {
    /// Poll the files instead of relying on kernel notifications.
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
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CronPolicy {
    /// Five or six fields, or `@daily` and the like; `None` = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_restart: Option<String>,
    /// Name of the zone in which the times are meant; `None` = the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_timezone: Option<String>,
    /// What happens to a task that is due while its last run is still going.
    #[serde(default)]
    pub cron_overlap: CronOverlap,
}

/// What happens to a task that is due while its last run is still going.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronOverlap {
    /// This time is skipped.
    #[default]
    Skip,
    /// It runs when the last one has ended; never more than one waits.
    Queue,
    /// The last one is stopped.
    Replace,
}

/// Why a scheduled run was skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum RunSkip {
    /// The last run is still going.
    LastRuns,
    /// The last run is still waiting for its dependencies.
    LastWaits,
    /// Another run is already queued behind the last one.
    Queued,
    /// The clock was set forward past the due time.
    ClockSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_begins_at_its_last_plain_folder() {
        for (glob, base, rest) in [
            ("/srv/shop", "/srv/shop", None),
            ("/srv/shop/src/**/*.js", "/srv/shop/src", Some("**/*.js")),
            ("/srv/\\[id\\]/x", "/srv/[id]/x", None),
            ("/", "/", None),
        ] {
            assert_eq!(WatchPolicy::split(glob), (base.into(), rest.map(str::to_owned)), "{glob}");
        }
        let odd = Path::new("/srv/{a}/[b]*");
        assert_eq!(WatchPolicy::split(&WatchPolicy::literal(odd)), (odd.to_owned(), None));
    }
}
