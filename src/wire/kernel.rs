//! Stands in for [`crate::os`] until that room is merged: same names, same signatures.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::{Moment, WallTime};

pub fn now() -> Moment {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the clock exists.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Moment(time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000)
}

pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub fn user_id() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::getuid() }
}

pub fn user_name(uid: u32) -> String {
    uid.to_string()
}

pub fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path)
}

pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

pub fn current_exe() -> io::Result<PathBuf> {
    std::env::current_exe()
}

pub fn is_terminal(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal()
}

pub fn terminal_width(_stream: &impl AsFd) -> Option<u16> {
    None
}

#[derive(Clone, Debug)]
pub struct Worker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work queue is full")]
pub struct Full;

impl Worker {
    pub fn start(_name: &str, _threads: usize, _queue_max: usize) -> io::Result<Self> {
        Ok(Self)
    }

    pub fn submit(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Full> {
        std::thread::spawn(work);
        Ok(())
    }
}

pub const HIDDEN: &str = "(sensitive)";

pub fn is_secret(name: &str, _value: &str) -> bool {
    ["PASS", "TOKEN", "SECRET", "KEY"].iter().any(|word| name.to_ascii_uppercase().contains(word))
}

/// `PM_HOME`.
#[derive(Debug, Clone)]
pub struct Home {
    pub root: PathBuf,
    pub run: PathBuf,
    pub logs: PathBuf,
    pub state: PathBuf,
}

impl Home {
    pub fn from_env() -> io::Result<Self> {
        let root = PathBuf::from(std::env::var_os("PM_HOME").unwrap_or_default());
        Ok(Self { run: root.join("run"), logs: root.join("logs"), state: root.join("state"), root })
    }

    pub fn socket(&self) -> PathBuf {
        self.run.join("pm.sock")
    }
}

pub mod anchor {
    pub fn start(_home: &super::Home, _exe: &std::path::Path) -> std::io::Result<()> {
        Err(std::io::Error::other("not built yet"))
    }
}
