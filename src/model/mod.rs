//! The shared data types: the words that every other room uses. docs/glossary.md has all of them.
//!
//! In:    nothing                          Out:  data types only
//! Never: I/O, clocks, decisions, text for users
//! Walk:  read this first; then [`crate::ecosystem`] → [`crate::plan`] → [`crate::lifecycle`]
//!
//! | word | meaning |
//! | --- | --- |
//! | [`App`] | a declared app, fully resolved: no default is left open |
//! | [`InstanceId`] | one running copy, `shop:api/0`; the number is its *slot* |
//! | [`Desired`] | everything that should be running, per [`Project`] |
//! | [`Live`] | the actual state of every instance, as the supervisor sees it |
//! | [`Plan`] | ordered [`Operation`]s with their [`Reason`]s: how to get from Live to Desired |
//! | [`Event`] | a fact, reported to observers |
//! | [`Moment`] | a point on the clock that never jumps (`CLOCK_BOOTTIME`, milliseconds) |

mod app;
mod desired;
mod digest;
mod edit;
mod error;
mod event;
mod exec_context;
mod healing;
mod history;
mod identity;
mod keys;
mod live;
mod name;
mod order;
mod plan;
mod progress;
mod quantity;
mod readiness;
mod rollout;
mod secret;
mod source;
mod status;
mod triggers;
mod update;
mod verb;
mod written;

pub use app::{
    App, Condition, Kind, LogForm, LogFormat, LogPolicy, OnDependencyRestart, OnLogFull, RestartPolicy, RestartWhen,
    Rotation, Run, SlotVariables, StopPolicy, StopScope, Template,
};
pub use desired::{
    Change, Declared, Desired, DesiredState, Environment, Origin, PROPOSED_BYTES_MAX, Project, Proposed, Rejected,
    Rejection, Revision, Rollout,
};
pub use digest::Digest;
pub use edit::{Edit, Target};
pub use error::with_causes;
pub use event::{Actor, Cause, Event, Fact, LeaveReason, LeftProcess, Stream, Subject};
pub use exec_context::{ExecContext, ExecLimits, ProcessLimits, ResourceLimit};
pub use healing::{ChangedFile, ChangedFiles, Heal, HealAim, HealCount, HealPolicy, HealWhen, SelfHeal};
pub use history::{
    AppEntry, AppOutcome, ApplyGuard, DeclaredThen, EntryOrigin, EntryResult, FileDigest, History, HistoryEntry, Pin,
    Provenance, RevisionName, RollbackOptions,
};
pub use identity::Identity;
pub use keys::{
    Class, FILE_KEYS, Field, FileKey, KEYS, Key, Leaf, Level, Shape, TextFormat, Unit, any_signal, app_key, file_key,
    is_group, leaf, profile_of, signal_text, stop_signal,
};
pub use live::{
    Counts, Exit, Failure, Following, HookUnderWay, Live, LiveInstance, Phase, Readiness, SpawnError, SpawnStage, Taken,
};
pub use name::{AppId, AppName, InstanceId, NameError, ProjectName, SourceName};
pub use order::{Command, Launch, Order};
pub use plan::{
    ApplyOptions, Confirm, FieldChange, Note, Operation, Plan, Reason, Refusal, RefusalKind, Summary, by_app,
};
pub use progress::{OperationReport, OperationResult, Progress, Report, Rollback, Skip, StartWait, Unready, WaitsFor};
pub use quantity::{AutoPort, Bytes, Millis, Moment, QuantityError, WallTime};
pub use readiness::{Health, HealthAction, HttpProbe, Probe, Ready};
pub use rollout::{RolloutCommand, RolloutStatus};
pub use secret::{
    HIDDEN, Secrets, ShownApp, is_secret, is_secret_header, is_secret_name, mask_field, masked, masked_value,
    masked_words, merged_ranges,
};
pub use source::{
    CommitEntry, CommitWait, DeployedCommit, FAILED_COMMITS_MAX, FailedCommit, GitSource, SOURCES_MAX, SameInputs,
    SecretError, SourceAftermath, SourceApply, SourceCommand, SourceNews, SourceRecord, SourceReport, SourceSpec,
    SourceStatus, SourceTick, SourceWebhook, SyncPolicy, TickEnd, UnderWay, WINDOWS_MAX, WaitingCommit, WebhookSecret,
    WebhookStatus, short_commit, shown_url,
};
pub use status::{
    AppState, Deviation, DueThen, HealthWord, NextStep, ProjectState, Severity, Status, StatusWord, SyncWord, Unmet,
    Why,
};
pub use triggers::{CronOverlap, CronPolicy, RunSkip, WatchOptions, WatchPolicy};
pub use update::{
    ClusterPolicy, ExecMode, Hook, Hooks, Limits, ListenAccess, ListenAddress, Scheduling, StdinMode, UpdatePolicy,
    UpdateStrategy,
};
pub use verb::{Verb, VerbKind};
pub use written::write_units;
