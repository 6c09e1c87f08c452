//! The pump's thread: wakes, moves one batch per pipe that has something, pauses, again.
//!
//! The pause (1 ms) is what makes it cheap: a process that writes line by line is served a thousand times a
//! second, not a million times. No process can delay the others by more than one batch per turn.
//!
//! A *busy* pipe is not even heard: while an epoll watches a pipe, the kernel calls it at every single write, and
//! the app pays for that (a quarter of a write of 100 bytes). It is emptied by the clock, every 3 ms or as often as
//! it fills, until little comes.

mod begin;
mod exporting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::export::WrittenFiles;
use super::file::{Appended, LogError, OpenFiles};
use super::flow::{Blockage, Flow, Patience};
use super::pace::{self, BATCH_BYTES_MAX, Pace};
use super::pump::PumpCommand;
use super::sys::{self, Epoll, PumpWaker};
use super::{LogTarget, Notice, StreamKey};
use crate::model::WallTime;

/// The waker's token; those of flows count from 1 and are never used twice.
const PUMP_WAKER: u64 = 0;

/// Busy pipes of one turn; as many others come from the epoll.
const BUSY_MAX: usize = 255;

/// Everything that the thread knows.
pub(super) struct Worker {
    inbox: Receiver<PumpCommand>,
    waker: Arc<PumpWaker>,
    grown: Arc<watch::Sender<u64>>,
    /// Something was moved, and nothing has been reported yet.
    has_grown: bool,
    written: WrittenFiles,
    patience: Patience,
    notices: Box<dyn Fn(Notice) + Send>,
    epoll: Epoll,
    /// Boxed: half of the places of a map are empty.
    flows: HashMap<u64, Box<Flow>>,
    tokens: HashMap<StreamKey, u64>,
    last_token: u64,
    /// One entry per flow that has a blockage and is looked at by the clock: when.
    retries: BTreeSet<(Instant, u64)>,
    /// Flows that are busy, the longest unserved first. Those that are no longer leave when their turn comes.
    busy: VecDeque<u64>,
    /// When the busy ones are served again.
    busy_at: Instant,
    drains: Vec<Drain>,
    pace: Pace,
}

/// Somebody waits until these flows have moved so many bytes.
struct Drain {
    goals: Vec<(u64, u64)>,
    done: oneshot::Sender<()>,
}

/// Whether the thread continues.
enum Orders {
    Continue,
    Leave(Option<oneshot::Sender<()>>),
}

impl Worker {
    pub(super) fn new(
        inbox: Receiver<PumpCommand>,
        waker: Arc<PumpWaker>,
        grown: Arc<watch::Sender<u64>>,
        written: WrittenFiles,
        patience: Patience,
        notices: Box<dyn Fn(Notice) + Send>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(waker.fd(), PUMP_WAKER)?;
        Ok(Self {
            inbox,
            waker,
            grown,
            has_grown: false,
            written,
            patience,
            notices,
            epoll,
            flows: HashMap::new(),
            tokens: HashMap::new(),
            last_token: PUMP_WAKER,
            retries: BTreeSet::new(),
            busy: VecDeque::new(),
            busy_at: Instant::now(),
            drains: Vec::new(),
            pace: Pace::default(),
        })
    }

    /// Runs until it is stopped, or no sender is left.
    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        let done = loop {
            self.wait(&mut ready);
            // Before the pipes: what an app prints after a command was given falls under the command.
            if let Orders::Leave(done) = self.obey() {
                break done;
            }
            self.turn(&ready);
        };
        for flow in self.flows.values_mut() {
            report_dropped(&self.notices, flow);
        }
        drop(self); // every pipe and file is closed before anyone is told
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Waits for pipes, commands, retries and the turn of busy pipes.
    fn wait(&mut self, ready: &mut Vec<u64>) {
        let retry_at = self.retries.first().map(|(at, _)| *at);
        let busy_at = if self.busy.is_empty() { None } else { Some(self.busy_at) };
        let timeout = [retry_at, busy_at].into_iter().flatten().min().map(until);
        if self.epoll.wait(ready, timeout).is_err() {
            ready.clear();
            self.waker.sleep(self.patience.retry_max); // out of kernel memory: do not spin
        }
        if ready.contains(&PUMP_WAKER) {
            self.waker.reset();
        }
    }

    /// Serves every pipe that has something, every retry and every busy pipe that is due, once; pauses if anything
    /// moved.
    fn turn(&mut self, ready: &[u64]) {
        let now = Instant::now();
        let busy_count = if now < self.busy_at { 0 } else { self.busy.len().min(BUSY_MAX) };
        self.pace.begin(ready.len() + busy_count);
        let retries = self.retries.iter().take_while(|(at, _)| *at <= now).map(|(_, token)| *token);
        let due: Vec<u64> = ready.iter().copied().filter(|token| *token != PUMP_WAKER).chain(retries).collect();
        let mut heard = 0;
        for token in due {
            heard += self.serve(token);
        }
        self.serve_busy(busy_count);
        self.settle();
        if heard > 0 {
            let at_most = if self.busy.is_empty() { pace::PAUSE } else { until(self.busy_at) };
            self.waker.sleep(at_most.min(pace::PAUSE));
        }
    }

    /// Serves so many of the busy pipes, and sets the clock for the next time.
    fn serve_busy(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let are_others_waiting = self.busy.len() > count;
        for _ in 0..count {
            let Some(token) = self.busy.pop_front() else { break };
            self.serve(token);
            if self.flows.get(&token).is_some_and(|flow| flow.is_busy) {
                self.join_busy(token);
            }
        }
        let pause = self.pace.busy_pause();
        self.busy_at = Instant::now() + if are_others_waiting { Duration::ZERO } else { pause };
    }

    /// Carries out the commands that wait.
    fn obey(&mut self) -> Orders {
        let orders = loop {
            match self.inbox.try_recv() {
                Ok(PumpCommand::Attach(key, pipe, target, record)) => self.attach(key, pipe, *target, record),
                Ok(PumpCommand::Retarget(key, target)) => self.retarget(key, *target),
                Ok(PumpCommand::Detach(key)) => self.detach(key),
                Ok(PumpCommand::Drain(keys, done)) => self.drain(&keys, done),
                Ok(PumpCommand::BeginProcess(keys, before, at, done)) => {
                    self.begin_process(&keys, before, at);
                    let _ = done.try_send(()); // there is room, unless nobody waits any more
                }
                Ok(PumpCommand::BeginLine(key)) => self.begin_line(key),
                Ok(PumpCommand::Stop(done)) => break Orders::Leave(Some(done)),
                Err(TryRecvError::Empty) => break Orders::Continue,
                Err(TryRecvError::Disconnected) => break Orders::Leave(None),
            }
        };
        self.settle();
        orders
    }

    fn attach(&mut self, key: StreamKey, pipe: Arc<OwnedFd>, target: LogTarget, record: Option<&'static AtomicU64>) {
        self.detach(key);
        self.last_token += 1;
        let token = self.last_token;
        let mut flow = Flow::new(key, pipe, target, record);
        report_dropped(&self.notices, &mut flow); // what the last daemon had no time to tell
        if let Err(error) = self.epoll.add(flow.pipe(), token) {
            let message = format!("cannot watch the pipe of `{}`: {error}", flow.target.location.path.display());
            (self.notices)(trouble(&flow, message));
            return;
        }
        self.flows.insert(token, Box::new(flow));
        self.tokens.insert(key, token);
        self.begin_exports(token);
    }

    fn retarget(&mut self, key: StreamKey, target: LogTarget) {
        let Some(&token) = self.tokens.get(&key) else { return };
        if let Some(flow) = self.flows.get_mut(&token) {
            let before = std::mem::replace(&mut flow.target, target);
            self.change_exports(token, &before);
        }
        // Perhaps the new file can be written: try at the next turn.
        self.reschedule(token, |blockage, _| blockage.try_again_at(Instant::now()));
    }

    fn detach(&mut self, key: StreamKey) {
        let Some(token) = self.tokens.remove(&key) else { return };
        if let Some(flow) = self.flows.get_mut(&token) {
            let goal = flow.goal();
            flow.ends_at = Some(goal);
            flow.leave_record();
            if goal > flow.moved {
                self.serve(token); // not for an empty pipe: a process that says nothing has no file
            }
        }
        self.close_if_over(token);
    }

    fn drain(&mut self, keys: &[StreamKey], done: oneshot::Sender<()>) {
        let mut goals = Vec::new();
        for key in keys {
            let Some(&token) = self.tokens.get(key) else { continue };
            let Some(flow) = self.flows.get(&token) else { continue };
            let goal = flow.goal();
            if goal > flow.moved {
                goals.push((token, goal));
                self.serve(token); // at once: somebody waits for the last words of a process
            }
            self.export_last_words(token, goal);
        }
        self.drains.push(Drain { goals, done });
    }

    /// Tells the readers that files grew, then answers the drains that have reached their goals. A flow that is gone
    /// had reached its own.
    fn settle(&mut self) {
        if std::mem::take(&mut self.has_grown) && self.grown.receiver_count() > 0 {
            self.grown.send_modify(|turns| *turns += 1);
        }
        let flows = &self.flows;
        for drain in &mut self.drains {
            drain.goals.retain(|(token, goal)| flows.get(token).is_some_and(|flow| flow.moved < *goal));
        }
        for drain in self.drains.extract_if(.., |drain| drain.goals.is_empty() || drain.done.is_closed()) {
            let _ = drain.done.send(());
        }
    }

    /// Moves one batch out of a pipe: into its file, or into nothing while its output is being dropped.
    fn serve(&mut self, token: u64) -> u64 {
        let Some(flow) = self.flows.get_mut(&token) else { return 0 };
        let before = flow.moved;
        // Whoever asks a pipe how much it holds waits for its lock, and a busy one is hardly ever empty.
        if !flow.is_busy && sys::waiting_bytes(flow.pipe()) == 0 && !self.written.has_backlog(&flow.target) {
            self.empty(token); // no file is made, looked at or cut for nothing
            return 0;
        }
        let is_early = flow.blockage.as_ref().is_some_and(|blockage| Instant::now() < blockage.try_at);
        if is_early {
            self.discard(token);
        } else if self.is_behind_gap(token) {
            match self.append(token) {
                Some(Ok(appended)) => {
                    self.appended(token, &appended);
                    self.export(token);
                }
                Some(Err(error)) => self.blocked(token, &error),
                None => {}
            }
        } else {
            self.empty(token);
        }
        self.pass_border(token);
        let moved = self.flows.get(&token).map_or(0, |flow| flow.moved - before);
        self.has_grown |= moved > 0;
        self.close_if_over(token);
        moved
    }

    /// Whether the pipe holds something to be written: not the rest of a line whose beginning was thrown away.
    fn is_behind_gap(&mut self, token: u64) -> bool {
        let Some(flow) = self.flows.get_mut(&token) else { return false };
        if flow.discard_rest_of_line() == 0 && flow.gap.is_none() {
            return true;
        }
        flow.gap.as_ref().is_none_or(|gap| !gap.is_mid_line) && sys::waiting_bytes(flow.pipe()) > 0
    }

    /// Moves one batch into the file. `None`: there is no such flow.
    fn append(&mut self, token: u64) -> Option<Result<Appended, LogError>> {
        let flow = self.flows.get(&token)?;
        let max = flow.before_border(self.pace.batch_bytes());
        let written = &mut self.written;
        let mut append = || {
            if written.has_backlog(&flow.target) {
                written.export(&flow.target, flow.key.stream, false)?;
            }
            if flow.gap.is_some() {
                written.open.end_line(&flow.target)?;
            }
            written.open.append(flow.pipe(), &flow.target, max)
        };
        let mut result = append();
        // The oldest of its own segments go first, one by one, until there is room.
        while let Err(error) = &result
            && error.is_disk_full()
            && OpenFiles::remove_oldest(error.location())
        {
            result = append();
        }
        Some(result)
    }

    fn appended(&mut self, token: u64, appended: &Appended) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        if let Some(error) = &appended.cut_error {
            let message = format!("cannot rotate `{}`, it keeps growing: {error}", flow.target.location.path.display());
            (self.notices)(trouble(flow, message));
        }
        flow.moved += appended.bytes as u64;
        self.pace.note_batch(appended.bytes, flow.capacity);
        let was_busy = std::mem::take(&mut flow.is_busy);
        flow.is_busy = pace::is_busy(was_busy, appended.bytes, flow.capacity);
        if flow.is_busy && flow.may_grow {
            flow.capacity = sys::grow_pipe(flow.pipe.as_fd(), BATCH_BYTES_MAX);
            flow.may_grow = false;
        }
        if flow.is_busy && !was_busy {
            self.join_busy(token);
        }
        self.unblock(token);
        self.listen(token);
    }

    /// From now on the pipe is served by the clock.
    fn join_busy(&mut self, token: u64) {
        if self.busy.is_empty() {
            self.busy_at = Instant::now() + self.pace.first_pause();
        }
        if !self.busy.contains(&token) {
            self.busy.push_back(token);
        }
    }

    /// Nothing is in the pipe. Perhaps nobody can write to it any more; and whether there is room on a full disk shows
    /// with the next byte.
    fn empty(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        if sys::is_abandoned(flow.pipe()) {
            flow.ends_at = Some(flow.moved);
        }
        self.report_dropped_when_due(token);
        let tell_at = self.flows.get(&token).and_then(|flow| flow.report_at(self.patience));
        self.reschedule(token, |blockage, _| blockage.wait_for_bytes(Instant::now(), tell_at));
        self.listen(token);
        self.close_if_over(token);
    }

    /// The file could not be written: be patient, then (if that is the policy) let go of the output.
    fn blocked(&mut self, token: u64, error: &LogError) {
        let now = Instant::now();
        let patience = self.patience;
        let Some(flow) = self.flows.get_mut(&token) else { return };
        if flow.may_complain(now, patience) {
            let message = error.sentence();
            let notice = if error.is_disk_full() { disk_full(flow, message) } else { trouble(flow, message) };
            (self.notices)(notice);
        }
        if flow.blockage.is_none() {
            let blockage = Blockage::begin(now, patience);
            self.retries.extend(blockage.wake_at.map(|at| (at, token)));
            flow.blockage = Some(blockage);
            flow.is_busy = false;
        } else {
            let on_full = flow.target.on_full;
            self.reschedule(token, |blockage, patience| blockage.failed_again(now, on_full, patience));
        }
        self.discard(token);
        self.listen(token);
    }

    /// Something was written, or nothing will be.
    fn unblock(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        report_dropped(&self.notices, flow);
        flow.end_gap();
        if let Some(at) = flow.blockage.take().and_then(|blockage| blockage.wake_at) {
            self.retries.remove(&(at, token));
        }
    }

    /// Throws away what is in the pipe, if that is what the time of the blockage has come to.
    fn discard(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        if flow.blockage.as_ref().is_some_and(|blockage| blockage.is_dropping) {
            flow.discard(self.pace.batch_bytes());
            self.report_dropped_when_due(token);
        }
    }

    /// Makes a pipe wake the thread, or no longer.
    fn listen(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        let should_be_heard = flow.should_be_heard();
        if should_be_heard == flow.is_heard {
            return;
        }
        let pipe = flow.pipe.as_fd();
        let result = if should_be_heard { self.epoll.add(pipe, token) } else { self.epoll.remove(pipe) };
        match result {
            Ok(()) => flow.is_heard = should_be_heard,
            Err(_) if should_be_heard => {
                flow.is_busy = true; // no kernel memory for it: the clock will do
                self.join_busy(token);
            }
            Err(_) => {}
        }
    }

    fn reschedule(&mut self, token: u64, change: impl FnOnce(&mut Blockage, Patience)) {
        if let Some(blockage) = self.flows.get_mut(&token).and_then(|flow| flow.blockage.as_mut()) {
            if let Some(at) = blockage.wake_at {
                self.retries.remove(&(at, token));
            }
            change(blockage, self.patience);
            self.retries.extend(blockage.wake_at.map(|at| (at, token)));
        }
    }

    fn report_dropped_when_due(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        if flow.report_at(self.patience).is_some_and(|at| at <= Instant::now()) {
            report_dropped(&self.notices, flow);
        }
    }

    fn close_if_over(&mut self, token: u64) {
        if !self.flows.get(&token).is_some_and(|flow| flow.is_over()) {
            return;
        }
        self.unblock(token);
        if let Some(flow) = self.flows.remove(&token) {
            self.end_exports(&flow);
            if flow.is_heard {
                let _ = self.epoll.remove(flow.pipe());
            }
            if self.tokens.get(&flow.key) == Some(&token) {
                self.tokens.remove(&flow.key);
            }
        }
    }
}

/// How long until then.
fn until(then: Instant) -> Duration {
    then.saturating_duration_since(Instant::now())
}

fn trouble(flow: &Flow, message: String) -> Notice {
    let LogTarget { instance, location, .. } = flow.target.clone();
    Notice::Trouble { instance, stream: flow.key.stream, path: location.path, message }
}

fn disk_full(flow: &Flow, message: String) -> Notice {
    let LogTarget { instance, location, .. } = flow.target.clone();
    Notice::DiskFull { instance, stream: flow.key.stream, path: location.path, message }
}

/// Tells how much was thrown away, if anybody does not know yet.
fn report_dropped(notices: &dyn Fn(Notice), flow: &mut Flow) {
    let bytes = flow.take_untold(Instant::now());
    if bytes > 0 {
        notices(Notice::Dropped { instance: flow.target.instance.clone(), stream: flow.key.stream, bytes });
    }
}
