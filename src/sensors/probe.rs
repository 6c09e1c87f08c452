//! One process and its probe: when it runs, and which results are reported.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, sleep_until, timeout};

use super::probes::Tools;
use super::{address, command, http, log_line};
use crate::model::{App, Health, InstanceId, Millis, Moment, Probe, Ready, WallTime};
use crate::os;
use crate::rules;
use crate::supervisor::{Observation, Seen};

/// How long one try may take while a process is not ready.
const TRY_MAX: Millis = Millis::seconds(5);
/// Health is asked at least this long after the last answer, however long the answers take.
const BREATH: Duration = Duration::from_millis(1);

/// The process that is asked.
#[derive(Clone, Debug)]
pub(super) struct ProbeSubject {
    pub instance: InstanceId,
    pub incarnation: u32,
    pub pid: u32,
    /// Since when it runs, by the clock of deadlines.
    pub since: Moment,
    /// The same by the clock of logs.
    pub started: WallTime,
    pub spec: Arc<App>,
}

impl ProbeSubject {
    /// A text of the spec, for this instance.
    pub fn fill(&self, text: &crate::model::Template) -> String {
        text.fill(self.instance.slot, self.spec.run.port)
    }
}

/// Everything that one probe needs.
pub(super) struct Task {
    pub tools: Arc<Tools>,
    pub subject: ProbeSubject,
}

impl Task {
    /// Probes until it succeeds. Only changes are reported, not the same failure again.
    pub async fn until_ready(self, ready: Ready) {
        // The last answer has to come before the deadline, since it says why.
        let limit = TRY_MAX.min(Millis(ready.timeout.0 * 9 / 10));
        match &ready.probe {
            Probe::Notify(_) => return self.report(Err("has not sent READY=1 yet".into())).await,
            Probe::Message(_) => return self.report(Err("has not sent the message `ready` yet".into())).await,
            Probe::Listening(_) => return self.report(Err("does not listen yet".into())).await,
            Probe::Log(pattern) => {
                self.report(Err(format!("has printed no line that matches `{pattern}` yet"))).await;
                if log_line::appears(&self.tools.deps, &self.subject, pattern).await {
                    self.report(Ok(())).await;
                }
                return;
            }
            Probe::Http(_) | Probe::Tcp(_) | Probe::Exec(_) => {}
        }
        let is_command = matches!(ready.probe, Probe::Exec(_));
        let mut last = None;
        loop {
            match self.ask(&ready.probe, limit).await {
                Ok(()) => return self.report(Ok(())).await,
                Err(why) if last.as_ref() == Some(&why) => {}
                Err(why) => {
                    self.report(Err(why.clone())).await;
                    last = Some(why);
                }
            }
            let waiting = self.tools.waiting.load(Ordering::Relaxed);
            let elapsed = os::now().since(self.subject.since);
            sleep(rules::next_try(elapsed, ready.interval, is_command, waiting).duration()).await;
        }
    }

    /// Asks at every interval. Trouble is always told, since it counts; good answers only after trouble.
    pub async fn watch_health(self, health: Health, good_since: Moment, mut is_failing: bool) {
        let offset = rules::offset_in_interval(&self.subject.instance, health.interval);
        let first = good_since.after(health.start_period).since(os::now());
        if let Probe::Notify(_) = health.probe {
            return self.watch_beats(&health, good_since).await;
        }
        sleep(first.duration()).await;
        let began = self.tools.began;
        loop {
            let now = Millis(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            let next = rules::next_in_interval(now, health.interval, offset);
            sleep_until(began + next.duration()).await;
            let result = self.ask(&health.probe, health.timeout).await;
            if result.is_err() || is_failing {
                is_failing = result.is_err();
                self.report(result).await;
            }
        }
    }

    /// A process that is to say `WATCHDOG=1` on its own, at least once per interval.
    async fn watch_beats(&self, health: &Health, good_since: Moment) {
        let mut last = good_since.after(health.start_period).max(os::now());
        let mut is_failing = false;
        loop {
            sleep(last.after(health.interval).since(os::now()).duration().max(BREATH)).await;
            let supervisor = &self.tools.deps.supervisor;
            let ping = supervisor.last_watchdog_ping(self.subject.instance.clone(), self.subject.incarnation).await;
            let result = match ping {
                Some(ping) if ping >= last => {
                    last = ping.after(Millis(1));
                    Ok(())
                }
                _ => {
                    last = os::now();
                    Err(format!("has not sent WATCHDOG=1 for {}", health.interval))
                }
            };
            if result.is_err() || is_failing {
                is_failing = result.is_err();
                self.report(result).await;
            }
        }
    }

    async fn ask(&self, probe: &Probe, limit: Millis) -> Result<(), String> {
        let (tools, subject) = (&self.tools, &self.subject);
        // Closed only with the daemon.
        let _turn = tools.turns.acquire().await.map_err(|_| "the daemon is shutting down".to_owned())?;
        let answer = async {
            match probe {
                Probe::Http(http) => http::ask(&tools.listeners, subject, http).await,
                Probe::Tcp(address) => address::ask(&tools.listeners, subject, &subject.fill(address)).await,
                Probe::Exec(line) => command::ask(&tools.deps.supervisor, subject, subject.fill(line), limit).await,
                Probe::Log(_) | Probe::Notify(_) | Probe::Message(_) | Probe::Listening(_) => Ok(()),
            }
        };
        timeout(limit.duration(), answer).await.unwrap_or_else(|_| Err(timed_out(limit)))
    }

    async fn report(&self, result: Result<(), String>) {
        let ProbeSubject { instance, incarnation, spec, .. } = &self.subject;
        // What a probe finds may repeat what it was asked with.
        let result = result.map_err(|why| spec.secrets().hide(&why).into_owned());
        let observation =
            Observation { instance: instance.clone(), incarnation: *incarnation, seen: Seen::Probed(result) };
        self.tools.deps.supervisor.observed(observation).await;
    }
}

/// What is said of an answer that did not come.
pub(super) fn timed_out(limit: Millis) -> String {
    format!("timed out after {limit}")
}
