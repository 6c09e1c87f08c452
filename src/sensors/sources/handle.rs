//! The way to the looks, and what is known of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::model::{SourceName, SourceTick, WebhookStatus};
use crate::os;

/// Requests to look that may wait.
pub(super) const ASKS_MAX: usize = 64;
/// Longest text of what a worker does.
const STAGE_BYTES_MAX: usize = 200;

/// The last look at every source.
pub type SourceTicks = BTreeMap<SourceName, SourceTick>;

/// How the webhook of every source fares that has one, with the address as a user named it.
pub type WebhookStatuses = BTreeMap<SourceName, (SocketAddr, WebhookStatus)>;

/// Why a source is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LookWish {
    /// A user asks.
    Now,
    /// A user wants its newest commit, whatever is known of it.
    Forced,
    /// Its server has called: as soon as the last look is a while ago.
    Called,
}

/// The way to the looks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources {
    asks: mpsc::Sender<(SourceName, LookWish)>,
    ticks: watch::Sender<Arc<SourceTicks>>,
    webhooks: watch::Sender<Arc<WebhookStatuses>>,
}

impl Sources {
    /// And where the requests arrive.
    pub(super) fn new() -> (Self, mpsc::Receiver<(SourceName, LookWish)>) {
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        (Self { asks, ticks: watch::Sender::default(), webhooks: watch::Sender::default() }, inbox)
    }

    /// Has a source looked at as soon as nobody looks at it. `is_forced`: its newest commit is deployed whatever is known of it.
    pub async fn look_now(&self, source: SourceName, is_forced: bool) {
        let wish = if is_forced { LookWish::Forced } else { LookWish::Now };
        // A task that is gone leaves with the daemon.
        let _ = self.asks.send((source, wish)).await;
    }

    /// The same after a call of its webhook: many calls are one look.
    pub(super) async fn look_for_call(&self, source: SourceName) {
        // As above; the next daemon looks at once.
        let _ = self.asks.send((source, LookWish::Called)).await;
    }

    /// What its worker does now, for users.
    pub fn say_stage(&self, source: &SourceName, stage: String) {
        let mut stage = stage;
        stage.truncate(stage.floor_char_boundary(STAGE_BYTES_MAX));
        self.ticks.send_if_modified(|ticks| {
            let Some(tick) = Arc::make_mut(ticks).get_mut(source).filter(|tick| tick.is_running) else { return false };
            tick.stage = Some(stage);
            true
        });
    }

    /// The last look at every source.
    pub fn ticks(&self) -> Arc<SourceTicks> {
        Arc::clone(&self.ticks.borrow())
    }

    pub(super) fn ticks_sender(&self) -> watch::Sender<Arc<SourceTicks>> {
        self.ticks.clone()
    }

    /// How the webhooks fare.
    pub fn webhooks(&self) -> Arc<WebhookStatuses> {
        Arc::clone(&self.webhooks.borrow())
    }

    /// Counts a call, if it is about a source that has a webhook.
    pub(super) fn note_call(&self, source: &SourceName, is_proved: bool) {
        self.webhooks.send_if_modified(|webhooks| {
            let Some((_, status)) = Arc::make_mut(webhooks).get_mut(source) else { return false };
            if is_proved {
                (status.calls, status.last) = (status.calls.saturating_add(1), Some(os::wall()));
            } else {
                status.refused = status.refused.saturating_add(1);
            }
            true
        });
    }

    /// Where each source wants to be called, and where that is possible.
    pub(super) fn note_webhooks(
        &self,
        wanted: &BTreeMap<SourceName, SocketAddr>,
        outcomes: &BTreeMap<SocketAddr, Result<SocketAddr, String>>,
    ) {
        self.webhooks.send_modify(|webhooks| {
            let before = Arc::clone(webhooks);
            let after = wanted.iter().map(|(name, address)| {
                let known = before.get(name).filter(|(known, _)| known == address);
                let mut status = known.map(|(_, status)| status.clone()).unwrap_or_default();
                let outcome = outcomes.get(address);
                status.listens_at = outcome.and_then(|outcome| outcome.as_ref().ok().copied());
                status.trouble = outcome.and_then(|outcome| outcome.as_ref().err().cloned());
                (name.clone(), (*address, status))
            });
            *webhooks = Arc::new(after.collect());
        });
    }
}
