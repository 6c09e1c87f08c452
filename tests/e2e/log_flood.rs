//! A flood: every byte is kept, the daemon stays small, other apps are heard, and kills change nothing.

use std::fs;
use std::time::Duration;

use crate::support::{SOON, Sandbox, fixture, pause_between_faults, wait_until};

/// Per app; two of them write at once.
const FLOOD_BYTES: usize = 512 << 20;
const LONG: Duration = Duration::from_mins(2);

/// All segments of a log, oldest first: `x.log.2`, `x.log.1`, `x.log` or however they are numbered.
fn size_of_logs(sandbox: &Sandbox, app: &str) -> u64 {
    let files = fs::read_dir(sandbox.home().join("logs/shop")).unwrap().flatten();
    let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{app}-out-0.log")));
    ours.map(|file| file.metadata().map_or(0, |about| about.len())).sum()
}

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // Pages of its program come and go as the kernel likes.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_gigabyte_is_kept_while_the_daemon_is_killed_again_and_again() {
    let sandbox = Sandbox::new();
    let app = |name: &str| {
        format!(
            "[[apps]]\nname = \"{name}\"\nscript = {:?}\nargs = [\"{FLOOD_BYTES}\"]\nlog_rotate = {{ size = \"4G\", keep = 1 }}\n",
            fixture("flood.sh")
        )
    };
    let quiet = "[[apps]]\nname = \"quiet\"\ncommand = \"sh -c 'while :; do echo still here; sleep 0.2; done'\"\n";
    sandbox.ecosystem(&(app("left") + &app("right") + quiet));
    sandbox.pm(&["apply"]).ok();
    let expected = (FLOOD_BYTES + "\nflood over\n".len()) as u64;
    let (mut kills, mut resident_max) = (0, 0);
    let is_over = || ["left", "right"].iter().all(|app| size_of_logs(&sandbox, app) >= expected);
    while !is_over() && kills < 20 {
        pause_between_faults(Duration::from_millis(100));
        resident_max = resident_max.max(resident_bytes(sandbox.daemon_pid()));
        sandbox.kill_daemon();
        kills += 1;
    }
    wait_until("both floods are in their logs", LONG, is_over);
    let heard = sandbox.log_text("quiet", "out", 0).len();
    wait_until("the quiet app is heard", SOON, || sandbox.log_text("quiet", "out", 0).len() > heard);
    for app in ["left", "right"] {
        assert_eq!(size_of_logs(&sandbox, app), expected, "{app}: lost or doubled");
        assert!(sandbox.log_text(app, "out", 0).ends_with(b"\nflood over\n"));
    }
    eprintln!("{kills} kills, daemon at most {} MiB", resident_max >> 20);
    assert!((1..64 << 20).contains(&resident_max), "the daemon had {resident_max} bytes of its own");
}
