//! Clients of a server over HTTP, naive on purpose: whatever is not an answer counts as a failure.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{SOON, wait_until};

/// Between two requests of one client: a machine under test has more to do than answer.
const PAUSE: Duration = Duration::from_millis(2);
/// So many failures are told in words.
const TOLD_MAX: usize = 5;

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Target {
    /// Over TCP.
    Tcp(SocketAddr),
    /// At a path.
    Unix(PathBuf),
}

/// How clients treat their connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Every second one keeps its connection.
    Both,
    /// All have a new connection for each request.
    OneEach,
}

/// What clients got.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Answers.
    pub answered: u64,
    /// Nobody listened.
    pub refused: u64,
    /// A new connection was closed or reset before the answer was complete.
    pub cut_off: u64,
    /// The same of a kept connection: in the middle of an answer, or when the next request was about to be sent.
    pub kept_cut_off: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// Answers by their text: the number of the process.
    pub by: BTreeMap<String, u64>,
    /// The first failures, with the time since the beginning.
    pub told: Vec<String>,
}

impl Report {
    /// All that were not answered.
    pub fn failed(&self) -> u64 {
        self.refused + self.cut_off + self.kept_cut_off + self.timed_out
    }

    /// Fails if more than so many new connections were lost, or anything else, or if there was hardly an answer.
    #[track_caller]
    pub fn lost_at_most(&self, connections: u64) {
        let is_good = self.cut_off <= connections && self.failed() == self.cut_off;
        assert!(is_good && self.answered > 50, "{self:?}");
    }

    /// Fails if any request was not answered, or if there was hardly one.
    #[track_caller]
    pub fn all_answered(&self) {
        self.lost_at_most(0);
    }
}

/// Clients at work.
pub struct Load {
    report: Arc<Mutex<Report>>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// `count` clients that ask for `path` again and again.
    pub fn start(target: &Target, path: &str, count: usize, manner: Manner) -> Self {
        let (report, is_over) = (Arc::<Mutex<Report>>::default(), Arc::<AtomicBool>::default());
        let client = |number: usize| {
            let client = Client {
                target: target.clone(),
                path: path.to_owned(),
                is_keeping: manner == Manner::Both && number.is_multiple_of(2),
                kept: None,
            };
            let (report, is_over) = (Arc::clone(&report), Arc::clone(&is_over));
            std::thread::spawn(move || client.work(&report, &is_over))
        };
        let clients = (0..count).map(client).collect();
        Self { report, is_over, clients }
    }

    /// What there is so far.
    pub fn so_far(&self) -> Report {
        held(&self.report).clone()
    }

    /// Waits until so many more requests are answered.
    #[track_caller]
    pub fn wait_answers(&self, more: u64) {
        let before = self.so_far().answered;
        wait_until(&format!("{more} more are answered"), SOON, || held(&self.report).answered >= before + more);
    }

    /// Lets every client finish its request.
    pub fn stop(mut self) -> Report {
        self.is_over.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("a client does not panic");
        }
        self.so_far()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.clients.is_empty() {
            self.is_over.store(true, Ordering::SeqCst);
            if std::thread::panicking() {
                eprintln!("-- the load until then: {:?}", self.so_far());
            }
        }
    }
}

fn held(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Client {
    target: Target,
    path: String,
    is_keeping: bool,
    kept: Option<Wire>,
}

impl Client {
    fn work(mut self, report: &Mutex<Report>, is_over: &AtomicBool) {
        let began = Instant::now();
        while !is_over.load(Ordering::SeqCst) {
            let is_reused = self.kept.is_some();
            let asked = began.elapsed();
            let result = self.ask();
            let mut report = held(report);
            match result {
                Ok(text) => {
                    report.answered += 1;
                    *report.by.entry(text).or_default() += 1;
                }
                Err(error) => {
                    match error.kind() {
                        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => report.refused += 1,
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => report.timed_out += 1,
                        _ if is_reused => report.kept_cut_off += 1,
                        _ => report.cut_off += 1,
                    }
                    if report.told.len() < TOLD_MAX {
                        let times = (asked, began.elapsed());
                        report.told.push(format!("{error} ({times:?}, reused: {is_reused})"));
                    }
                }
            }
            drop(report);
            super::pause_between_faults(PAUSE);
        }
    }

    fn ask(&mut self) -> io::Result<String> {
        let mut wire = match self.kept.take() {
            Some(wire) => wire,
            None => self.target.connect()?,
        };
        let (text, is_kept) = wire.ask(&self.path, self.is_keeping)?;
        self.kept = is_kept.then_some(wire);
        Ok(text)
    }
}

impl Target {
    /// One request on a connection of its own.
    pub fn ask(&self, path: &str) -> io::Result<String> {
        Ok(self.connect()?.ask(path, false)?.0)
    }

    /// Asks until so many different texts were answered; fails if a request does.
    #[track_caller]
    pub fn answers_of(&self, count: usize) -> BTreeMap<String, usize> {
        let mut seen = BTreeMap::new();
        wait_until(&format!("{count} different processes answer"), SOON, || {
            *seen.entry(self.ask("/").expect("every request is answered")).or_default() += 1;
            seen.len() >= count
        });
        seen
    }

    /// Whether nobody listens there.
    pub fn is_refused(&self) -> bool {
        let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
        self.ask("/").is_err_and(|error| kinds.contains(&error.kind()))
    }

    /// A new connection.
    pub fn connect(&self) -> io::Result<Wire> {
        let wire = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, SOON)?;
                stream.set_read_timeout(Some(SOON))?;
                Wire::Tcp(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(SOON))?;
                Wire::Unix(stream)
            }
        };
        Ok(wire)
    }
}

/// A connection.
pub enum Wire {
    /// Over TCP.
    Tcp(TcpStream),
    /// At a path.
    Unix(UnixStream),
}

impl Wire {
    /// One request; the text of the answer, and whether the server keeps the connection.
    pub fn ask(&mut self, path: &str, is_keeping: bool) -> io::Result<(String, bool)> {
        let manner = if is_keeping { "keep-alive" } else { "close" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {manner}\r\n\r\n");
        self.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let head = loop {
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut answer)?;
        };
        let words = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let field = |name: &str| words.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let length: usize = field("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        while answer.len() < head + length {
            self.more(&mut answer)?;
        }
        let is_kept = is_keeping && field("connection") != Some("close");
        Ok((String::from_utf8_lossy(&answer[head..head + length]).into_owned(), is_kept))
    }

    fn more(&mut self, answer: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let count = self.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..count]);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
