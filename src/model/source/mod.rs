//! Sources: Git repositories whose newest commit the daemon runs, and what it remembers of each.

mod waiting;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Actor, AppName, EntryResult, Millis, ProjectName, SourceName, WallTime};

pub use waiting::{CommitWait, SyncPolicy, WINDOWS_MAX, WaitingCommit};
pub use webhook::{SecretError, SourceWebhook, WebhookSecret, WebhookStatus};

/// Failed commits that are remembered of a source: the newest.
pub const FAILED_COMMITS_MAX: usize = 20;
/// Sources of one daemon.
pub const SOURCES_MAX: usize = 50;
/// Digits of a commit that are shown.
const COMMIT_DIGITS: usize = 7;

/// A commit as people read it: its first digits.
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(COMMIT_DIGITS).collect()
}

/// A Git repository that the daemon follows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GitSource {
    /// What a user said about it.
    pub spec: SourceSpec,
    /// `pm source suspend`: nothing new is fetched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_suspended: bool,
    /// Where its server may say that something was pushed. `None`: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<SourceWebhook>,
    /// How far it has come.
    #[serde(default)]
    pub record: SourceRecord,
}

/// What a user says about a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The repository: `https://…`, `ssh://…`, `user@host:path`, or a folder. It may hold a token.
    pub url: String,
    /// The branch that is followed.
    pub branch: String,
    /// The ecosystem file, relative to the root of the repository; `None`: the one in its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The profile of the apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// ssh keys, in the form of `ssh-keygen(1)`: only commits that one of them has signed are deployed. `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_signers: Option<PathBuf>,
    /// How often the branch is looked at.
    pub interval: Millis,
    /// How long the apps of a commit must stay healthy before it counts as good.
    pub dwell: Millis,
    /// When commits are deployed by themselves.
    #[serde(default, skip_serializing_if = "SyncPolicy::is_default")]
    pub policy: SyncPolicy,
}

impl SourceSpec {
    /// How often the branch is looked at, where nothing is said.
    pub const INTERVAL: Millis = Millis::seconds(60);
    /// The shortest interval.
    pub const INTERVAL_MIN: Millis = Millis::seconds(1);
    /// How long the apps of a commit must stay healthy, where nothing is said.
    pub const DWELL: Millis = Millis::seconds(10);

    /// The URL without what is secret in it: a password or a token before the `@`.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }
}

/// A URL without its password or token.
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    let path = path.split('?').next().unwrap_or_default();
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***@{host}{path}"),
        // A token alone is a user name to git.
        None if scheme.starts_with("http") => format!("{scheme}://***@{host}{path}"),
        None => url.to_owned(),
    }
}

/// How far a source has come. Its own: what runs is found in the project and its history.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The project that it deploys, from its first commit on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The last commit that was tried, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<String>,
    /// The commit that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<DeployedCommit>,
    /// The last commit that proved itself: what a bad one goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<DeployedCommit>,
    /// Commits that failed, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedCommit>,
    /// The commit that is being deployed: the next daemon finishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// A commit that is not deployed by itself, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<FailedCommit>,
    /// The newest commit, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingCommit>,
    /// The commit that a user has approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
}

impl SourceRecord {
    /// Why a commit failed, if it did.
    pub fn failure_of(&self, commit: &str) -> Option<&FailedCommit> {
        self.failed.iter().rev().find(|failed| failed.commit == commit)
    }
}

/// A commit that was declared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeployedCommit {
    /// In hexadecimal digits.
    pub commit: String,
    /// The generation of the project after it.
    pub generation: u64,
    /// When that was known.
    pub at: WallTime,
}

/// A commit that was not, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedCommit {
    /// In hexadecimal digits.
    pub commit: String,
    /// In one sentence.
    pub reason: String,
    /// What `pm source sync` ends with at this commit, whoever looks and however often.
    pub exit_code: u8,
    /// When that was known.
    pub at: WallTime,
}

/// A commit on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnderWay {
    /// In hexadecimal digits.
    pub commit: String,
    /// The generation that the project had before.
    pub from: u64,
    /// A user wants it although it failed, was rolled back, or is no successor of what runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_forced: bool,
}

/// What changes what is kept of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum SourceCommand {
    /// It is followed from now on, or in another way.
    Add {
        /// How it is followed.
        spec: Box<SourceSpec>,
    },
    /// It is followed no longer; its project is nobody's.
    Remove,
    /// Nothing new is fetched.
    Suspend,
    /// It is followed again.
    Resume,
    /// Its server may say from now on that something was pushed.
    Webhook {
        /// The address that calls come to; port 0: the kernel chooses one.
        listen: SocketAddr,
        /// `None`: the one that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<WebhookSecret>,
    },
    /// It may not any more; the secret is forgotten.
    NoWebhook,
    /// This commit may be deployed, if it is still the newest one.
    Approve {
        /// All of its hexadecimal digits.
        commit: String,
    },
    /// The worker of a sync has come so far.
    Report {
        /// How far.
        report: SourceReport,
    },
}

/// What the worker of a sync reports, to be kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum SourceReport {
    /// A commit is about to be applied.
    Began {
        /// In hexadecimal digits.
        commit: String,
        /// Of which project.
        project: ProjectName,
        /// A user wants it whatever it is.
        is_forced: bool,
    },
    /// It is declared, and its apps have stayed healthy.
    Deployed {
        /// In hexadecimal digits.
        commit: String,
        /// The generation of the project.
        generation: u64,
        /// Whether anything was done for it.
        has_changed: bool,
    },
    /// It failed; nothing was done, or it was rolled back.
    Failed {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
        /// What `pm source sync` ends with.
        exit_code: u8,
        /// What became of the apps.
        aftermath: SourceAftermath,
    },
    /// It is not deployed by itself: the branch does not continue what is deployed.
    Stalled {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
    },
    /// It waits.
    Waiting {
        /// In hexadecimal digits.
        commit: String,
        /// What for.
        #[serde(flatten)]
        wait: CommitWait,
    },
    /// What waited, or was stalled, is not the newest commit any more, and the newest one waits for nothing.
    NothingWaits,
    /// Somebody has changed the project before it was known whether it is good.
    Superseded {
        /// In hexadecimal digits.
        commit: String,
    },
}

/// What a failed commit has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "aftermath")]
pub enum SourceAftermath {
    /// It was not applied.
    Untouched,
    /// The project was rolled back.
    RolledBack {
        /// To this generation.
        to: u64,
    },
    /// There was nothing to go back to.
    Left,
}

/// What users are told about a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "news")]
pub enum SourceNews {
    /// It is followed from now on, or in another way.
    Added {
        /// The user.
        by: Actor,
        /// Its URL without secrets.
        url: String,
        /// Its branch.
        branch: String,
    },
    /// It is followed no longer.
    Removed {
        /// The user.
        by: Actor,
    },
    /// Nothing new is fetched.
    Suspended {
        /// The user.
        by: Actor,
    },
    /// It is followed again.
    Resumed {
        /// The user.
        by: Actor,
    },
    /// Its server may say that something was pushed.
    WebhookAdded {
        /// The user.
        by: Actor,
        /// The address that calls come to.
        listen: SocketAddr,
    },
    /// It may not any more.
    WebhookRemoved {
        /// The user.
        by: Actor,
    },
    /// A commit runs, and its apps have stayed healthy.
    Deployed {
        /// In hexadecimal digits.
        commit: String,
        /// The generation of the project.
        generation: u64,
    },
    /// A commit failed.
    Failed {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
        /// What became of the apps.
        #[serde(flatten)]
        aftermath: SourceAftermath,
    },
    /// A commit is not deployed by itself.
    Stalled {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
    },
    /// A commit waits.
    Waiting {
        /// In hexadecimal digits.
        commit: String,
        /// What for.
        #[serde(flatten)]
        wait: CommitWait,
    },
    /// A commit may be deployed.
    Approved {
        /// The user.
        by: Actor,
        /// In hexadecimal digits.
        commit: String,
    },
}

/// How a source stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceStatus {
    /// A commit is being fetched, applied or proved.
    Syncing,
    /// The newest commit that is known runs and has proved itself.
    Healthy,
    /// The newest commit failed.
    Failed,
    /// The branch does not continue what is deployed.
    Stalled,
    /// The newest commit waits for a window or for a user.
    Waiting,
    /// A user has suspended it.
    Suspended,
    /// The repository cannot be asked.
    Unreachable,
    /// Nothing was deployed yet.
    New,
}

impl SourceStatus {
    /// The word of lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syncing => "syncing",
            Self::Healthy => "healthy",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Unreachable => "unreachable",
            Self::New => "new",
        }
    }
}

/// What a look at a source came to: in memory only, so that a look that finds nothing new writes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SourceTick {
    /// The number of the look: each has one more than the one before, and those of the next daemon begin further up, with the time in
    /// milliseconds since 1970. 0: there was none yet.
    pub number: u64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<WallTime>,
    /// It goes on.
    #[serde(default)]
    pub is_running: bool,
    /// What it does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What the last one came to.
    #[serde(default)]
    pub end: TickEnd,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<WallTime>,
}

/// How a look at a source ended: the last line that its worker prints.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TickEnd {
    /// In one sentence: `up to date at 1a2b3c4`.
    pub words: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code of a `pm source sync` that waited for it.
    pub exit_code: u8,
    /// The repository could not be asked.
    #[serde(default)]
    pub is_unreachable: bool,
    /// Something is to be done at this time: the next look comes no later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<WallTime>,
}

/// What an apply says that deploys a commit of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceApply {
    /// The source.
    pub source: SourceName,
    /// The folder of its release.
    pub release: PathBuf,
    /// For each app the releases in which its inputs have the same contents.
    pub same: Vec<SameInputs>,
}

/// Releases that an app cannot tell apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SameInputs {
    /// The app.
    pub app: AppName,
    /// Folders of older releases.
    pub releases: Vec<PathBuf>,
}

/// What is known in the history of the commit that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommitEntry {
    /// The name of its entry.
    pub generation: u64,
    /// How it went.
    pub result: EntryResult,
    /// A later entry went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_to: Option<u64>,
    /// It is the newest entry.
    pub is_newest: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (url, shown) in [
            ("https://example.org/shop.git", "https://example.org/shop.git"),
            ("https://bob:geheim@example.org/shop.git", "https://bob:***@example.org/shop.git"),
            ("https://ghp_token@example.org/shop.git", "https://***@example.org/shop.git"),
            ("https://a:b@c@example.org/x", "https://a:***@example.org/x"),
            ("https://a@example.org/x?private_token=geheim", "https://***@example.org/x"),
            ("ssh://git@example.org/shop.git", "ssh://git@example.org/shop.git"),
            ("git@example.org:shop.git", "git@example.org:shop.git"),
            ("/srv/git/shop.git", "/srv/git/shop.git"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }
}
