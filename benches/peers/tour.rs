//! The rows: what is done with a contender, in which order, and what is timed.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use super::arena::{Arena, kill, lives};
use super::contender::{Contender, Stage};
use super::floor::Programs;
use super::measure::{cpu_seconds, cpu_seconds_at_rest, memory_mb, milliseconds_of};
use super::table::Table;

/// Bytes that an app writes in the log rows.
pub const LOG_BYTES: u64 = 256 << 20;
/// How it writes them.
pub const LOG_SIZES: &[(&str, usize)] = &[("100 B", 100), ("64 KiB", 65_536)];

const IDLE_TIME: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);

/// Rows of [`hundred`].
pub const ROWS_100: &[&str] = &[
    "boot, ms",
    "apply 100, ms",
    "apply again 100, ms",
    "list 100, ms",
    "crash → running, ms",
    "restart → running, ms",
    "memory empty, MB",
    "memory 100, MB",
    "idle CPU 100, %",
    "stop 100, ms",
    "stop 100, left alive",
];
/// Rows of [`logs`].
pub const ROWS_LOGS: &[&str] =
    &["log intake 100 B, MB/s", "log CPU 100 B, s/GB", "log intake 64 KiB, MB/s", "log CPU 64 KiB, s/GB"];

/// Rows of [`watch`].
pub const ROWS_WATCH: &[&str] = &["watch 50,000 files, CPU s", "saved → running, ms"];
/// Between two saves: one that follows soon on the last may be its continuation, and waits longer.
const BETWEEN_SAVES: Duration = Duration::from_millis(1500);
/// The row of [`probes`].
pub const ROW_PROBES: &str = "100 http probes at 1 s, CPU %";
/// Folders with twenty files each.
const WATCHED_FOLDERS: usize = 2500;

/// Until the last one runs.
pub fn apply_row(count: usize) -> String {
    format!("apply {count}, ms")
}

/// Of a file that has not changed.
pub fn again_row(count: usize) -> String {
    format!("apply again {count}, ms")
}

/// The whole process.
pub fn list_row(count: usize) -> String {
    format!("list {count}, ms")
}

/// From the start of the command that stops all to its end.
pub fn stop_row(count: usize) -> String {
    format!("stop {count}, ms")
}

/// All processes of the manager.
pub fn memory_row(count: usize) -> String {
    format!("memory {count}, MB")
}

/// The app's own time.
pub fn intake_row(name: &str) -> String {
    format!("log intake {name}, MB/s")
}

/// The manager's CPU time.
pub fn cpu_row(name: &str) -> String {
    format!("log CPU {name}, s/GB")
}

/// Everything that is measured with 100 apps. `is_last`: also what takes long.
pub fn hundred(contender: &Contender, programs: &Programs, table: &mut Table, is_last: bool) {
    let name = contender.name;
    let mut arena = Arena::new();
    let stage = Stage::new(contender, &arena);
    stage.declare(0, &[]);
    let Some(boot) = stage.boot() else { return };
    table.add("boot, ms", name, boot);
    table.add("memory empty, MB", name, memory_mb(&arena.managers()));
    let Some(pids) = apply(&stage, &mut arena, programs, table, 100) else { return };
    for _ in 0..5 {
        add_time(table, &again_row(100), name, stage.again());
    }
    for _ in 0..20 {
        add_time(table, &list_row(100), name, Some(stage.list()));
    }
    table.add(&memory_row(100), name, memory_mb(&arena.managers()));
    if is_last {
        table.add("idle CPU 100, %", name, percent_of(|| arena.managers()));
    }
    arena.forget();
    for pid in pids.iter().take(5) {
        let began = Instant::now();
        kill(*pid);
        if arena.message(PATIENCE).is_some() {
            table.add("crash → running, ms", name, began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    for number in 50..55 {
        arena.forget();
        let Some(mut restart) = stage.restart(number) else { break };
        let began = Instant::now();
        let mut command = restart.spawn().unwrap();
        if arena.message(PATIENCE).is_some() {
            table.add("restart → running, ms", name, began.elapsed().as_secs_f64() * 1000.0);
        }
        command.wait().unwrap();
    }
    let apps: Vec<u32> =
        arena.processes().into_iter().filter(|(_, exe)| exe.ends_with("child")).map(|(pid, _)| pid).collect();
    if let Some(took) = milliseconds_of(&mut stage.stop()) {
        let left = apps.iter().filter(|pid| lives(**pid)).count();
        table.add(&stop_row(100), name, took);
        table.add("stop 100, left alive", name, left as f64);
    }
    stage.shut_down();
}

/// Boot, apply, list and memory with many apps.
pub fn many(contender: &Contender, programs: &Programs, table: &mut Table, count: usize) {
    let mut arena = Arena::new();
    let stage = Stage::new(contender, &arena);
    stage.declare(0, &[]);
    if stage.boot().is_none() || apply(&stage, &mut arena, programs, table, count).is_none() {
        return;
    }
    for _ in 0..10 {
        add_time(table, &list_row(count), contender.name, Some(stage.list()));
    }
    table.add(&memory_row(count), contender.name, memory_mb(&arena.managers()));
    for _ in 0..5 {
        add_time(table, &again_row(count), contender.name, stage.again());
    }
    add_time(table, &stop_row(count), contender.name, Some(stage.stop()));
    stage.shut_down();
}

/// One app that writes as fast as it is allowed to.
pub fn logs(contender: &Contender, programs: &Programs, table: &mut Table) {
    for (name, chunk) in LOG_SIZES {
        let mut arena = Arena::new();
        let stage = Stage::new(contender, &arena);
        stage.declare(0, &[]);
        if stage.boot().is_none() {
            return;
        }
        let managers = arena.managers();
        let before = cpu_seconds(&managers);
        let words = [programs.path("writer"), arena.fifo(), LOG_BYTES.to_string().into(), chunk.to_string().into()];
        stage.declare(1, &words.map(|word| word.display().to_string()));
        let mut apply = stage.apply().spawn().unwrap();
        if let Some(message) = arena.message(Duration::from_mins(4)) {
            let seconds = message.nanoseconds as f64 / 1e9;
            table.add(&intake_row(name), contender.name, LOG_BYTES as f64 / 1e6 / seconds);
            let managers = arena.managers();
            let cpu = cpu_seconds_at_rest(&managers) - before;
            table.add(&cpu_row(name), contender.name, cpu / (LOG_BYTES as f64 / 1e9));
        }
        apply.wait().unwrap();
        stage.shut_down();
    }
}

/// Registers a large tree and restarts on save. Only of `pm`: the others are told about watching in other places.
pub fn watch(contender: &Contender, programs: &Programs, table: &mut Table) {
    let mut arena = Arena::new();
    let stage = Stage::new(contender, &arena);
    let source = arena.path().join("project/source");
    for folder in 0..WATCHED_FOLDERS {
        let folder = source.join(format!("{}/{folder}", folder / 50));
        fs::create_dir_all(&folder).unwrap();
        (0..20).for_each(|file| fs::write(folder.join(format!("{file}.js")), "old").unwrap());
    }
    stage.declare(0, &[]);
    if stage.boot().is_none() {
        return;
    }
    let before = cpu_seconds(&arena.managers());
    stage.declare(1, &[programs.path("child"), arena.fifo()].map(|word| word.display().to_string()));
    let file = arena.path().join("project/ecosystem.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}watch = [\"source\"]\n")).unwrap();
    stage.apply().status().unwrap();
    if arena.message(PATIENCE).is_none() {
        return;
    }
    let cpu = cpu_seconds_at_rest(&arena.managers()) - before;
    table.add(ROWS_WATCH[0], contender.name, cpu);
    for round in 0..15 {
        std::thread::sleep(BETWEEN_SAVES);
        arena.forget();
        fs::write(source.join("7/357/3.js"), format!("new {round}")).unwrap();
        let began = Instant::now();
        if arena.message(PATIENCE).is_some() {
            table.add(ROWS_WATCH[1], contender.name, began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    stage.shut_down();
}

/// A hundred apps that listen, each asked once per second. Only of `pm`: none of the others asks so many.
pub fn probes(contender: &Contender, programs: &Programs, table: &mut Table) {
    let mut arena = Arena::new();
    let stage = Stage::new(contender, &arena);
    let ports = free_ports(100);
    let words = [programs.path("web"), arena.fifo()].map(|word| word.display().to_string());
    let mut text = "project = \"bench\"\n".to_owned();
    for port in &ports {
        let _ = writeln!(text, "[[apps]]\nname = \"web-{port}\"\nscript = {:?}\nargs = [{:?}]", words[0], words[1]);
        let _ = writeln!(text, "port = {port}\nready.http = \"http://127.0.0.1:${{PORT}}/\"");
        let _ = writeln!(text, "health = {{ http = \"http://127.0.0.1:${{PORT}}/\", interval = \"1s\" }}");
    }
    fs::write(arena.path().join("project/ecosystem.toml"), text).unwrap();
    assert!(stage.apply().status().unwrap().success(), "apply of the probed apps");
    assert_eq!(arena.messages(ports.len()).len(), ports.len(), "probed apps that run");
    table.add(ROW_PROBES, contender.name, percent_of(|| arena.managers()));
    super::floor::probes(programs, table, &ports);
    stage.shut_down();
}

/// Ports that nobody listens on just now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Declares `count` apps and waits until the last one runs; their pids.
fn apply(stage: &Stage, arena: &mut Arena, programs: &Programs, table: &mut Table, count: usize) -> Option<Vec<u32>> {
    stage.declare(count, &[programs.path("child"), arena.fifo()].map(|word| word.display().to_string()));
    let began = Instant::now();
    let mut command = stage.apply().spawn().unwrap();
    let started = arena.messages(count);
    let took = began.elapsed();
    command.wait().unwrap();
    if started.len() < count {
        eprintln!("   {}: only {} of {count} started", stage.contender.name, started.len());
        return None;
    }
    table.add(&apply_row(count), stage.contender.name, took.as_secs_f64() * 1000.0);
    Some(started.iter().map(|message| message.pid).collect())
}

/// The time of a command, if there is one and it succeeds.
fn add_time(table: &mut Table, row: &str, name: &str, command: Option<Command>) {
    if let Some(took) = command.and_then(|mut command| milliseconds_of(&mut command)) {
        table.add(row, name, took);
    }
}

/// CPU time of these processes over [`IDLE_TIME`], after a second of rest.
pub fn percent_of(processes: impl Fn() -> Vec<u32>) -> f64 {
    std::thread::sleep(Duration::from_secs(1));
    let pids = processes();
    let before = cpu_seconds(&pids);
    std::thread::sleep(IDLE_TIME);
    (cpu_seconds(&pids) - before) / IDLE_TIME.as_secs_f64() * 100.0
}
