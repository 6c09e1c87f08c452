//! The words of the house: what every other room talks about.
//!
//! In:    nothing                          Out:  data types only
//! Never: I/O, clocks, decisions, text for people
//! Walk:  read this first; then [`crate::ecosystem`] → [`crate::plan`] → [`crate::lifecycle`]
//!
//! | word | meaning |
//! | --- | --- |
//! | [`App`] | what a person declared, fully resolved: no default is left open |
//! | [`InstanceId`] | one running copy, `shop:api/0`; the number is its *slot* |
//! | [`Desired`] | everything that should be, per [`Project`] |
//! | [`Live`] | what is, per instance, as the supervisor sees it |
//! | [`Plan`] | ordered [`Operation`]s with their [`Reason`]s: how to get from Live to Desired |
//! | [`Event`] | a fact told to observers |
//! | [`Moment`] | a point on the clock that never jumps (`CLOCK_BOOTTIME`, milliseconds) |

mod app;
mod desired;
mod digest;
mod error;
mod event;
mod keys;
mod live;
mod name;
mod plan;
mod quantity;
mod readiness;
mod secret;
mod triggers;
mod update;
mod verb;

pub use app::{
    App, Condition, Kind, LogPolicy, OnDependencyRestart, OnLogFull, RestartPolicy, RestartWhen, Rotation, Run,
    StopPolicy, StopScope, Template,
};
pub use desired::{Change, Declared, Desired, Environment, Form, Origin, Project, Proposed, Standing, Update};
pub use digest::Digest;
pub use error::with_causes;
pub use event::{Actor, Cause, Event, Fact, Stream, Subject};
pub use keys::{Class, KEYS, Key, key};
pub use live::{Exit, Failure, HookUnderWay, Live, LiveInstance, Phase, Readiness, SpawnError, SpawnStage};
pub use name::{AppId, AppName, InstanceId, NameError, ProjectName};
pub use plan::{ApplyOptions, Confirm, FieldChange, Note, Operation, Plan, Reason, Refusal, RefusalKind, Summary};
pub use quantity::{Bytes, Millis, Moment, QuantityError, WallTime};
pub use readiness::{Health, HealthAction, HttpProbe, Probe, Ready};
pub use secret::{
    HIDDEN, Secrets, ShownApp, is_secret, is_secret_name, mask_field, masked, masked_value, masked_words, merged_ranges,
};
pub use triggers::{CronOverlap, CronPolicy, WatchOptions, WatchPolicy};
pub use update::{Hook, Hooks, Limits, ListenAddress, UpdatePolicy, UpdateStrategy};
pub use verb::Verb;
