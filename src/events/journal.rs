//! The journal on disk: one JSON line per event, two files of bounded size, best effort.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{Event, Fact, Subject};
use crate::os;

/// Events on their way to the disk; more are left out and counted.
const QUEUE_EVENTS: usize = 1024;
/// A file that has reached this size becomes the older one.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How much of the end is read at boot: a few hundred events.
const TAIL_BYTES: u64 = 64 << 10;
/// Longer lines are none of ours.
const LINE_BYTES_MAX: u64 = 256 << 10;

/// The queue to the writing thread, and the files behind it.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    queue: Option<SyncSender<Entry>>,
    left_out: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Event(Arc<Event>),
    Flush(oneshot::Sender<()>),
    Settle(SyncSender<()>),
}

impl Journal {
    /// Finds the end of the journal, starts its thread, and answers the next number, the newest events and what
    /// went wrong.
    pub(super) fn open(folder: &Path) -> (Self, u64, Vec<Event>, Vec<String>) {
        let path = folder.join("events.jsonl");
        if let Some(trouble) = not_a_file(&path) {
            return (Self { path, queue: None, left_out: Arc::default() }, 1, Vec::new(), vec![trouble]);
        }
        let mut troubles = Vec::new();
        let tail = tail(&path).unwrap_or_else(|error| {
            troubles.push(format!("cannot read the journal `{}`: {error}", path.display()));
            Vec::new()
        });
        let last = tail.last();
        let mut pen = Pen::new(path.clone(), last.map_or(0, |event| event.seq));
        if let Err(error) = pen.open() {
            troubles.push(format!("cannot write the journal `{}`: {error}", path.display()));
        }
        let left_out = pen.left_out.clone();
        let (queue, entries) = sync_channel(QUEUE_EVENTS);
        let thread = std::thread::Builder::new().name("pm-events".into()).stack_size(256 << 10);
        let queue = match thread.spawn(move || pen.run(&entries)) {
            Ok(_) => Some(queue),
            Err(error) => {
                troubles.push(format!("cannot start the thread that writes the journal: {error}"));
                None
            }
        };
        (Self { path, queue, left_out }, next_seq(last), tail, troubles)
    }

    /// Hands an event to the thread, or counts it as left out.
    pub(super) fn append(&self, event: Arc<Event>) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(Entry::Event(event)) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers `done` when everything before it is written. `false`: nobody writes, or the queue is full.
    pub(super) fn flush(&self, done: oneshot::Sender<()>) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(Entry::Flush(done)).is_ok())
    }

    /// The same for a thread that may block: waits for the answer, at most for `limit`.
    pub(super) fn settle(&self, limit: Duration) {
        let (done, settled) = sync_channel(1);
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(Entry::Settle(done)).is_ok()) {
            // Best effort: a disk that hangs must not hold up whoever asks.
            let _ = settled.recv_timeout(limit);
        }
    }

    /// The newest events that match, oldest first. Blocks on the disk; reads at most two files.
    pub(super) fn read(&self, limit: usize, matches: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut found = VecDeque::new();
        if not_a_file(&self.path).is_some() {
            return Vec::new();
        }
        for path in [older(&self.path), self.path.clone()] {
            let Ok(file) = File::open(path) else { continue };
            for event in events(file) {
                if matches(&event) {
                    if found.len() == limit {
                        found.pop_front();
                    }
                    found.push_back(event);
                }
            }
        }
        found.into()
    }
}

/// After an orderly end the numbers continue without a gap. Otherwise the last events may never have reached
/// the disk; skipping as many as can be on their way makes sure that no number is used twice.
fn next_seq(last: Option<&Event>) -> u64 {
    match last {
        None => 1,
        Some(Event { seq, fact: Fact::DaemonStopping { .. }, .. }) => seq + 1,
        Some(Event { seq, .. }) => seq + 1 + QUEUE_EVENTS as u64,
    }
}

/// What is wrong if something else stands in the place of one of the files: opening a FIFO would wait for its other end.
fn not_a_file(path: &Path) -> Option<String> {
    let is_no_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| !found.is_file());
    let wrong = [path.to_owned(), older(path)].into_iter().find(is_no_file)?;
    Some(format!("the journal cannot be kept: `{}` is not a regular file", wrong.display()))
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

/// Every line that is an event; torn and foreign ones are passed over.
fn events(file: File) -> impl Iterator<Item = Event> {
    let mut lines = BufReader::new(file);
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                return None;
            }
            if let Ok(event) = serde_json::from_slice(&line) {
                return Some(event);
            }
        }
    })
}

/// The end of the story on disk, oldest first: looks at the end of one file only, so that boot stays short.
fn tail(path: &Path) -> io::Result<Vec<Event>> {
    for path in [path.to_owned(), older(path)] {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)))?;
        let tail: Vec<Event> = events(file).collect();
        if !tail.is_empty() {
            return Ok(tail);
        }
    }
    Ok(Vec::new())
}

/// The writing end, on its own thread.
struct Pen {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    last_seq: u64,
    left_out: Arc<AtomicU64>,
    /// The file may end in half a line.
    is_torn: bool,
}

impl Pen {
    fn new(path: PathBuf, last_seq: u64) -> Self {
        Self { path, file: None, bytes: 0, last_seq, left_out: Arc::default(), is_torn: false }
    }

    fn run(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            match entry {
                Entry::Event(event) => {
                    if self.admit_gap(&event).and_then(|()| self.write(&event)).is_err() {
                        // A full disk, perhaps: this event is missing too, and the file is tried again.
                        self.left_out.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Entry::Flush(done) => drop(done.send(())),
                Entry::Settle(done) => drop(done.try_send(())),
            }
        }
    }

    /// Says how many events are missing before `next`, under the number of the first of them.
    fn admit_gap(&mut self, next: &Event) -> io::Result<()> {
        let missing = self.left_out.swap(0, Ordering::Relaxed);
        if missing == 0 || self.last_seq + 1 >= next.seq {
            return Ok(());
        }
        let message = format!("{missing} events could not be written to the journal");
        let gap =
            Event { seq: self.last_seq + 1, at: next.at, about: Subject::Daemon, fact: Fact::Trouble { message } };
        self.write(&gap).inspect_err(|_| {
            self.left_out.fetch_add(missing, Ordering::Relaxed);
        })
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        if self.bytes >= FILE_BYTES_MAX {
            self.file = None;
            fs::rename(&self.path, older(&self.path))?;
        }
        if self.file.is_none() {
            self.open()?;
        }
        let mut line = if self.is_torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        let Some(file) = &mut self.file else { return Ok(()) };
        self.is_torn = true; // until the whole line is there
        file.write_all(&line)?;
        self.is_torn = false;
        self.bytes += line.len() as u64;
        self.last_seq = event.seq;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = os::open_own(&self.path, options.read(true).append(true).create(true).mode(0o600))?;
        self.bytes = file.metadata()?.len();
        if self.bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            self.is_torn = last != [b'\n'];
        }
        self.file = Some(file);
        Ok(())
    }
}
