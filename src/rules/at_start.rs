//! Settings that a process only gets when it is started.

use crate::model::{App, Millis, Probe};

/// How a process can talk to us: both are variables and descriptors of its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channels {
    /// `NOTIFY_SOCKET`.
    pub notify: bool,
    /// `WATCHDOG_USEC`: it says that it is alive at least this often.
    pub watchdog: Option<Millis>,
    /// The channel of Node's messages.
    pub message: bool,
}

impl Channels {
    /// What an app uses.
    pub fn of(spec: &App) -> Self {
        let ready = spec.ready.as_ref().map(|ready| &ready.probe);
        let health = spec.health.as_ref().filter(|health| matches!(health.probe, Probe::Notify(_)));
        let watchdog = health.map(|health| health.interval);
        Self {
            notify: watchdog.is_some() || matches!(ready, Some(Probe::Notify(_))),
            watchdog,
            message: !spec.is_cluster()
                && (spec.stop.shutdown_with_message || matches!(ready, Some(Probe::Message(_)))),
        }
    }
}

/// The keys outside of [`crate::model::Run`] whose new value a process that was started with the old one can never
/// follow: as paths of the file, each with what lies below it.
pub fn fixed_at_start(old: &App, new: &App) -> Vec<&'static str> {
    let (had, wanted) = (Channels::of(old), Channels::of(new));
    let mut fixed = Vec::new();
    if old.kind != new.kind {
        fixed.push("kind");
    }
    // Without pipes it writes into nothing; with them, somebody must read.
    if old.logs.disable_logs != new.logs.disable_logs {
        fixed.push("disable_logs");
    }
    if wanted.notify && !had.notify {
        fixed.push("ready.notify");
    }
    // A process that reports more often than it has to is fine, a rarer one would be ended for it.
    if wanted.watchdog.is_some_and(|wanted| had.watchdog.is_none_or(|had| had > wanted)) {
        fixed.extend(["health.notify", "health.interval"]);
    }
    if wanted.message && !had.message {
        fixed.extend(["ready.message", "shutdown_with_message"]);
    }
    fixed
}

/// Whether a process of the one spec can continue under the other.
pub fn can_follow(old: &App, new: &App) -> bool {
    old.run == new.run && fixed_at_start(old, new).is_empty()
}
