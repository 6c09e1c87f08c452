//! A folder of its own for one contender, the FIFO on which apps report, and what lives there.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// One report of `child.c` or `writer.c`.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Who.
    pub pid: u32,
    /// Nanoseconds, where the program measures any.
    pub nanoseconds: u64,
}

/// Where one contender is measured.
pub struct Arena {
    folder: TempDir,
    fifo: File,
}

impl Arena {
    /// A new empty folder with a FIFO that is open at both ends.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("pm-bench-").unwrap();
        let path = folder.path().join("fifo");
        let name = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: `name` is a live C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "mkfifo");
        let fifo = OpenOptions::new().read(true).write(true).open(path).unwrap();
        for name in ["home", "project"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, fifo }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the apps report.
    pub fn fifo(&self) -> PathBuf {
        self.path().join("fifo")
    }

    /// The next report, or `None` after `patience`.
    pub fn message(&mut self, patience: Duration) -> Option<Message> {
        let mut ready = libc::pollfd { fd: self.fifo.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(&raw mut ready, 1, milliseconds) } != 1 {
            return None;
        }
        let mut bytes = [0; 16];
        self.fifo.read_exact(&mut bytes).unwrap();
        let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        Some(Message { pid: u32::try_from(number(0)).unwrap(), nanoseconds: number(8) })
    }

    /// `count` reports within half a minute each; fewer if no more come.
    pub fn messages(&mut self, count: usize) -> Vec<Message> {
        (0..count).map_while(|_| self.message(Duration::from_secs(30))).collect()
    }

    /// Throws away what has been reported so far.
    pub fn forget(&mut self) {
        while self.message(Duration::ZERO).is_some() {}
    }

    /// Processes that carry this folder in environment or arguments, by pid, with their program.
    pub fn processes(&self) -> BTreeMap<u32, PathBuf> {
        let needle = self.path().to_str().unwrap().as_bytes();
        let mut found = BTreeMap::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let texts = ["environ", "cmdline"].map(|name| fs::read(entry.path().join(name)).unwrap_or_default());
            let is_ours = texts.iter().any(|text| text.windows(needle.len()).any(|part| part == needle));
            if let (true, Ok(program)) = (is_ours && pid != std::process::id(), fs::read_link(entry.path().join("exe")))
            {
                found.insert(pid, program);
            }
        }
        found
    }

    /// The same without the apps: everything that the manager costs.
    pub fn managers(&self) -> Vec<u32> {
        let is_app =
            |program: &PathBuf| ["child", "writer", "web", "probe", "sleep"].iter().any(|name| program.ends_with(name));
        self.processes().into_iter().filter(|(_, program)| !is_app(program)).map(|(pid, _)| pid).collect()
    }

    /// Ends everything that was started here.
    pub fn clear(&self) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left.keys() {
                kill(*pid);
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.clear();
    }
}

/// SIGKILL to a process that was started in an arena.
pub fn kill(pid: u32) {
    // SAFETY: two numbers.
    unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) };
}

/// SIGINT to a process that was started by this benchmark.
pub fn interrupt(pid: u32) {
    // SAFETY: two numbers.
    unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGINT) };
}

/// Whether a process lives (a zombie does not).
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|at| !stat[at..].starts_with(") Z"))
}
