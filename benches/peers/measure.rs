//! Clocks and counters: wall time of a command, CPU time and memory of processes.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs to the end without output; milliseconds. `None` = it failed, which is said.
pub fn milliseconds_of(command: &mut Command) -> Option<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status();
    let took = began.elapsed();
    match status {
        Ok(status) if status.success() => Some(took.as_secs_f64() * 1000.0),
        other => {
            eprintln!("   {command:?}: {other:?}");
            None
        }
    }
}

/// User and system time of these processes so far, in seconds.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    // SAFETY: sysconf(3) takes a number.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let ticks = |pid: &u32| -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        Some(fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?)
    };
    pids.iter().filter_map(ticks).sum::<f64>() / ticks_per_second
}

/// Proportional memory of these processes, in MB.
pub fn memory_mb(pids: &[u32]) -> f64 {
    let kilobytes = |pid: &u32| -> Option<f64> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    pids.iter().filter_map(kilobytes).sum::<f64>() / 1000.0
}

/// Memory that these processes have written themselves, in MB: what does not depend on which files are in the cache.
pub fn own_memory_mb(pids: &[u32]) -> f64 {
    let kilobytes = |pid: &u32| -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    pids.iter().filter_map(kilobytes).sum::<f64>() / 1000.0
}

/// Waits until the CPU time of these processes has not grown for half a second; then how much it is.
pub fn cpu_seconds_at_rest(pids: &[u32]) -> f64 {
    let mut last = cpu_seconds(pids);
    for _ in 0..240 {
        std::thread::sleep(Duration::from_millis(500));
        let now = cpu_seconds(pids);
        if now - last < 0.011 {
            return now;
        }
        last = now;
    }
    last
}
