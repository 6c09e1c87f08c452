//! The one loop in which everything happens to instances, in one order: it waits, and the actor decides.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{ActorEvent, Instance, InstanceActor, Recovered, Specs};
use super::channels::speaker;
use super::cluster::WorkerWord;
use super::host::{SpawnJob, row_and_incarnation};
use super::metrics::ask_workers;
use super::processes::{HookResult, SearchResult, SpawnResult};
use super::real::{RealHost, Results};
use super::world::World;
use super::{NoInput, NotSaid, Request, Saying, Unsignalled};
use crate::anchor::{AnchorWord, HeldFd};
use crate::logs::StreamKey;
use crate::model::{InstanceId, LeftProcess, Moment, StdinMode, Stream};
use crate::os::{self, Helper};

/// How often rows are looked at, whatever happens meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Things that happen in one turn, at most.
const TURN_MAX: usize = 64;

/// What the supervisor waits for.
#[derive(Debug)]
pub(super) struct Loop {
    actor: InstanceActor<RealHost>,
    results: Results,
    /// However much happens meanwhile: rows are looked at then.
    next_look: tokio::time::Instant,
    requests: mpsc::Receiver<Request>,
    revision: watch::Sender<u64>,
    anchor_gone: watch::Sender<bool>,
}

/// One thing that can happen.
enum LoopEvent {
    Asked(Request),
    Spawned(SpawnResult),
    HookEnded(HookResult),
    Searched(SearchResult),
    Ended(Vec<u64>),
    Heard(Vec<u64>),
    WorkerSaid(WorkerWord),
    Harvested,
    AnchorGone,
    AlarmRang,
    TimeToLook,
    NobodyLeft,
}

impl Loop {
    /// Takes over what the last daemon left.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn begin(
        world: Arc<World>,
        held: Vec<HeldFd>,
        specs: &dyn Specs,
        requests: mpsc::Receiver<Request>,
        revision: watch::Sender<u64>,
        anchor_gone: watch::Sender<bool>,
    ) -> io::Result<(Self, Recovered)> {
        let (host, results) = RealHost::new(world, held)?;
        let mut actor = InstanceActor::new(host);
        let recovered = actor.recover(specs);
        let next_look = tokio::time::Instant::now() + LOOK_EVERY;
        let mut this = Self { actor, results, next_look, requests, revision, anchor_gone };
        this.settle();
        Ok((this, recovered))
    }

    /// Runs until every handle of the supervisor is gone.
    pub async fn run(mut self) {
        loop {
            match self.next().await {
                LoopEvent::NobodyLeft => return,
                first => self.handle(first),
            }
            for _ in 1..TURN_MAX {
                let Some(another) = self.waiting() else { break };
                self.handle(another);
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.actor.settle() {
            self.revision.send_modify(|revision| *revision += 1);
        }
    }

    fn handle(&mut self, event: LoopEvent) {
        match event {
            LoopEvent::Asked(request) => self.asked(request),
            LoopEvent::Spawned(result) => {
                let end = self.actor.host.take_in(result);
                self.actor.handle(ActorEvent::Spawned(end));
            }
            LoopEvent::HookEnded(result) => {
                let end = self.actor.host.hooks.take_in(result);
                self.actor.handle(ActorEvent::HookEnded(end));
            }
            LoopEvent::Searched(result) => {
                for end in self.actor.host.processes.take_in_search(result) {
                    self.actor.handle(ActorEvent::Swept(end));
                }
            }
            LoopEvent::Ended(tokens) => tokens.into_iter().map(row_and_incarnation).for_each(|it| self.ended(it)),
            LoopEvent::Heard(tokens) => {
                for (row, channel) in tokens.into_iter().map(speaker) {
                    self.actor.handle(ActorEvent::Heard { row, channel });
                }
            }
            LoopEvent::WorkerSaid(word) => self.actor.handle(ActorEvent::WorkerSaid(word)),
            LoopEvent::Harvested => self.actor.handle(ActorEvent::Harvested),
            LoopEvent::AnchorGone => {
                self.anchor_gone.send_replace(true);
                self.actor.handle(ActorEvent::AnchorGone);
            }
            LoopEvent::AlarmRang => {
                self.actor.handle(ActorEvent::Alarm);
                let given_up = self.actor.host.processes.lineage.due(os::now());
                for it in given_up {
                    self.ended(it);
                }
            }
            LoopEvent::TimeToLook => {
                self.next_look = tokio::time::Instant::now() + LOOK_EVERY;
                self.actor.handle(ActorEvent::Look);
            }
            LoopEvent::NobodyLeft => {}
        }
    }

    fn ended(&mut self, (row, incarnation): (u32, u32)) {
        self.actor.handle(ActorEvent::Ended { row, incarnation });
    }

    /// What has happened already, of the two things that come in bursts: it needs no waiting, and shares the end of
    /// the turn with others.
    fn waiting(&mut self) -> Option<LoopEvent> {
        let spawned = self.results.spawned.try_recv().ok().map(LoopEvent::Spawned);
        spawned.or_else(|| self.requests.try_recv().ok().map(LoopEvent::Asked))
    }

    async fn next(&mut self) -> LoopEvent {
        let is_anchor_gone = *self.anchor_gone.borrow();
        let alarm = self.next_alarm().map(|at| at.since(os::now()).duration());
        let host = &mut self.actor.host;
        tokio::select! {
            request = self.requests.recv() => request.map_or(LoopEvent::NobodyLeft, LoopEvent::Asked),
            Some(result) = self.results.spawned.recv() => LoopEvent::Spawned(result),
            Some(result) = self.results.hooks.recv() => LoopEvent::HookEnded(result),
            Some(result) = self.results.searches.recv() => LoopEvent::Searched(result),
            Some(word) = self.results.words.recv() => LoopEvent::WorkerSaid(word),
            tokens = host.processes.exits.next() => LoopEvent::Ended(tokens.unwrap_or_default()),
            tokens = host.channels.inputs.next() => LoopEvent::Heard(tokens.unwrap_or_default()),
            word = host.world.anchor.next(), if !is_anchor_gone => match word {
                // What it refuses to hold is output, and that flows without being held as long as one of us lives.
                Ok(AnchorWord::Exited | AnchorWord::Refused { .. }) => LoopEvent::Harvested,
                Ok(AnchorWord::Gone) | Err(_) => LoopEvent::AnchorGone,
            },
            () = tokio::time::sleep_until(self.next_look) => LoopEvent::TimeToLook,
            () = tokio::time::sleep(alarm.unwrap_or(Duration::MAX)), if alarm.is_some() => LoopEvent::AlarmRang,
        }
    }

    fn next_alarm(&self) -> Option<Moment> {
        let given_up = self.actor.host.processes.lineage.next_alarm();
        self.actor.registry.next_alarm().into_iter().chain(given_up).min()
    }

    /// Who asked and went away does not want to know.
    fn asked(&mut self, request: Request) {
        let (world, registry) = (&self.actor.host.world, &mut self.actor.registry);
        match request {
            Request::Orders(orders) => self.actor.handle(ActorEvent::Ordered(orders)),
            Request::Observed(observation) => self.actor.handle(ActorEvent::Observed(observation)),
            Request::Changed(reply) => drop(reply.send(registry.take_changed())),
            Request::Live(reply) => drop(reply.send(registry.live())),
            Request::LookAtApps(is_wanted, reply) => drop(reply.send(registry.look_at_apps(is_wanted))),
            Request::Look(instances, reply) => drop(reply.send(registry.look(instances))),
            Request::LastWatchdogPing(instance, incarnation, reply) => {
                let _ = reply.send(
                    registry.process(&instance, incarnation).and_then(|(_, instance)| instance.last_watchdog_ping),
                );
            }
            Request::Drain(instance, reply) => {
                if let Some(row) = registry.row_of(&instance) {
                    let keys = [Stream::Stdout, Stream::Stderr].map(|stream| StreamKey { row, stream });
                    let _ = reply.send(world.pump.drain(keys.to_vec()));
                }
            }
            Request::Lifetime(instance, start, is_before, reply) => {
                let instance = registry.row_of(&instance).and_then(|row| registry.get(row));
                let _ = reply.send(instance.and_then(|instance| instance.starts.lifetime(start, is_before)));
            }
            Request::KeepListeners(wanted) => world.listeners.keep_only(&world.anchor, &wanted),
            Request::Metrics(app, reply) => drop(reply.send(ask_workers(&self.actor, &app))),
            Request::Say(instances, line, reply) => drop(reply.send(self.say(instances, &line))),
            Request::Input(instances, text, reply) => drop(reply.send(self.input(instances, &text))),
            Request::Signal(instances, signal, reply) => drop(reply.send(self.signal(instances, signal))),
            Request::Beside(instance, incarnation, command, reply) => {
                self.run_beside(&instance, incarnation, command, reply);
            }
            Request::LeftBy(instances, reply) => drop(reply.send(self.left_by(&instances))),
            Request::EndEverything(reply) => self.actor.host.processes.end_everything(reply),
        }
    }

    /// Starts `command` by `sh -c`, with what follows its mark, beside the process `incarnation` of an instance. No answer: it is gone.
    fn run_beside(
        &self,
        instance: &InstanceId,
        incarnation: u32,
        command: (String, String),
        reply: oneshot::Sender<Result<Helper, String>>,
    ) {
        let Some((row, instance)) = self.actor.registry.process(instance, incarnation) else { return };
        let Instance { id, record: launch, .. } = instance;
        let job = SpawnJob {
            row,
            id: id.clone(),
            incarnation,
            launch: launch.clone(),
            logs: instance.machine.policy.logs.clone(),
        };
        self.actor.host.start_beside(job, command, reply);
    }

    fn say(&self, instances: Vec<InstanceId>, line: &str) -> Vec<(InstanceId, Saying)> {
        let host = &self.actor.host;
        let say = |instance: InstanceId| {
            let row = self.actor.registry.row_of(&instance)?;
            let known = self.actor.registry.get(row)?;
            let saying = match known.process {
                None => Saying::Known(Err(NotSaid::NotRunning)),
                Some(_) if known.machine.is_worker => Saying::Asked(host.world.clusters.try_say(row, line)),
                Some(_) => Saying::Known(host.channels.try_say(row, line)),
            };
            Some((instance, saying))
        };
        instances.into_iter().filter_map(say).collect()
    }

    fn input(&self, instances: Vec<InstanceId>, text: &[u8]) -> Vec<(InstanceId, Result<(), NoInput>)> {
        let processes = &self.actor.host.processes;
        let write = |instance: InstanceId| {
            let row = self.actor.registry.row_of(&instance)?;
            let known = self.actor.registry.get(row)?;
            let main = processes.main(row).filter(|_| known.process.is_some());
            let outcome = main.ok_or(NoInput::NotRunning).and_then(|main| {
                if known.record.spec.run.stdin != StdinMode::Pipe {
                    return Err(NoInput::NoPipe);
                }
                os::write_to_input(main.pid(), || main.signal(0).is_ok(), text).map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => NoInput::Full,
                    io::ErrorKind::InvalidInput => NoInput::NoPipe,
                    io::ErrorKind::PermissionDenied => NoInput::NotAllowed,
                    _ => NoInput::NotRunning,
                })
            });
            Some((instance, outcome))
        };
        instances.into_iter().filter_map(write).collect()
    }

    fn signal(&self, instances: Vec<InstanceId>, signal: i32) -> Vec<(InstanceId, Result<u32, Unsignalled>)> {
        let processes = &self.actor.host.processes;
        let send = |instance: InstanceId| {
            let row = self.actor.registry.row_of(&instance)?;
            let known = self.actor.registry.get(row)?;
            let main = processes.main(row).filter(|_| known.process.is_some());
            let outcome = main.ok_or(Unsignalled::NotRunning).and_then(|main| {
                main.signal(signal).map(|()| main.pid()).map_err(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied => Unsignalled::NotAllowed,
                    _ => Unsignalled::NotRunning,
                })
            });
            Some((instance, outcome))
        };
        instances.into_iter().filter_map(send).collect()
    }

    fn left_by(&self, instances: &[InstanceId]) -> (Vec<LeftProcess>, bool) {
        let processes = &self.actor.host.processes;
        let rows: Vec<u32> = instances.iter().filter_map(|id| self.actor.registry.row_of(id)).collect();
        let mut left: Vec<LeftProcess> = rows.iter().flat_map(|row| processes.unclear(*row)).collect();
        left.sort_by_key(|process| process.pid);
        left.dedup();
        (left, rows.into_iter().any(|row| processes.has_lost_sight(row)))
    }
}
