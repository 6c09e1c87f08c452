//! Asks workers for their metrics, and hands the answers to whoever has asked.

use super::members::quiet;
use super::metrics::{MetricsQuestion, Talk};
use super::service::Service;
use crate::cluster::{self, WorkerId};
use crate::model::AppId;
use crate::os;

impl Service {
    pub(super) fn ask_metrics(&mut self, question: MetricsQuestion) {
        let MetricsQuestion { id, key, has_hook, reply } = question;
        if self.draining.contains_key(&id) {
            return;
        }
        let request = self.metrics.next_request();
        if let Err(why) = self.say(id, &cluster::metrics_request(request, has_hook)) {
            // Who asked may have gone away.
            return drop(reply.send(Err(why)));
        }
        let talk = self.metrics.by_worker.entry(id).or_insert_with(|| Talk::new(has_hook));
        talk.key = key;
        talk.waiting.retain(|(_, reply)| !reply.is_closed());
        talk.waiting.push((request, reply));
    }

    /// The worker is about to leave. To be called before it is told.
    pub(super) fn ask_parting_metrics(&mut self, id: WorkerId) {
        let Some(has_hook) = self.metrics.by_worker.get(&id).filter(|talk| talk.has_answered).map(|talk| talk.has_hook)
        else {
            return;
        };
        let request = self.metrics.next_request();
        if self.say(id, &cluster::metrics_request(request, has_hook)).is_ok()
            && let Some(talk) = self.metrics.by_worker.get_mut(&id)
        {
            talk.parting = Some(request);
        }
    }

    pub(super) fn metrics_came(&mut self, id: WorkerId, request: u64, line: String) {
        let Some(talk) = self.metrics.by_worker.get_mut(&id) else { return };
        talk.has_answered = true;
        if talk.parting == Some(request) {
            talk.parting = None;
            let key = talk.key.clone();
            if let Some(app) = self.app_of(id) {
                self.metrics.keep_parted(app, key, line);
            }
        } else if let Some(at) = talk.waiting.iter().position(|(waiting, _)| *waiting == request) {
            let _ = talk.waiting.swap_remove(at).1.send(Ok(line));
        }
        let Some(talk) = self.metrics.by_worker.get(&id).filter(|talk| !talk.is_unanswered()) else { return };
        if let Some(at) = self.draining.get_mut(&id) {
            *at = (*at).min(os::now().after(quiet(!talk.has_hook)));
        }
    }

    fn app_of(&self, id: WorkerId) -> Option<AppId> {
        let (group, _) = self.channels.get(&id)?;
        Some(self.groups.get(group)?.app.clone())
    }
}
