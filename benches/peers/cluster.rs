//! Rows of clusters: an http app of Node whose copies share a port, served by Node's own primary (the floor), by `pm` and by
//! PM2. All are up at the same time and are asked in turns.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Options;
use super::arena::{Arena, interrupt};
use super::contender::{self, Stage};
use super::measure::{cpu_seconds, own_memory_mb};
use super::table::{FLOOR, Table};

const NEW_RATE: &str = "cluster, new connections, req/s";
const NEW_CPU: &str = "cluster, new connections, CPU µs/req";
const KEPT_RATE: &str = "cluster, keep-alive, req/s";
const KEPT_CPU: &str = "cluster, keep-alive, CPU µs/req";
const LOST: &str = "cluster, requests lost in ten reloads";
const ASKED: &str = "cluster, requests asked meanwhile";
const SIXTEEN: &str = "cluster, 16 workers listen, ms";
const SHARE: &str = "cluster, manager per worker, kB";

/// All rows.
pub const ROWS: &[&str] = &[NEW_RATE, NEW_CPU, KEPT_RATE, KEPT_CPU, LOST, ASKED, SIXTEEN, SHARE];

const WORKERS: usize = 4;
const MORE_WORKERS: usize = 36;
const CLIENTS: usize = 48;
const TURN: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(1);

/// One who serves.
struct Server {
    column: &'static str,
    arena: Arena,
    port: u16,
    /// Node's own primary; the others have theirs in the arena.
    primary: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(primary) = &mut self.primary {
            let _ = primary.kill();
            let _ = primary.wait();
        }
    }
}

/// Measures everybody. Without `node` and `wrk` there is nothing to measure with.
pub fn measure(options: &Options, table: &mut Table) {
    for program in ["node", "wrk"] {
        if !is_on_path(program) {
            eprintln!("clusters: {program} is not installed");
            return;
        }
    }
    let contenders: Vec<_> = contender::all()
        .into_iter()
        .filter(|one| one.name == "pm" || one.name == "pm2" && options.wants_peer("pm2") && one.is_installed())
        .collect();
    if options.wants(&[NEW_RATE, NEW_CPU, KEPT_RATE, KEPT_CPU]) {
        let mut servers = vec![own_primary()];
        servers.extend(contenders.iter().map(|one| managed(one, WORKERS).0));
        // One round to warm up.
        for round in 0..=options.runs {
            for at in 0..servers.len() {
                // Everybody is first, and last, as often as the others.
                let server = &servers[(at + round) % servers.len()];
                for (rows, is_kept) in [((NEW_RATE, NEW_CPU), false), ((KEPT_RATE, KEPT_CPU), true)] {
                    let (rate, cpu) = asked(server, is_kept);
                    if round > 0 {
                        table.add(rows.0, server.column, rate);
                        table.add(rows.1, server.column, cpu);
                    }
                }
            }
        }
    }
    for one in &contenders {
        if options.wants(&[LOST, ASKED]) {
            reloads(one, table);
        }
        if options.wants(&[SHARE]) {
            let memory = |workers| {
                let (server, _) = managed(one, workers);
                std::thread::sleep(Duration::from_secs(2));
                let apps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
                let is_worker = |pid: &u32| apps(pid).contains("NODE_UNIQUE_ID") || apps(pid).contains("PORT=");
                own_memory_mb(&server.arena.processes().into_keys().filter(|pid| !is_worker(pid)).collect::<Vec<_>>())
            };
            let growth = memory(MORE_WORKERS) - memory(WORKERS);
            table.add(SHARE, one.name, growth * 1000.0 / (MORE_WORKERS - WORKERS) as f64);
        }
    }
    if options.wants(&[SIXTEEN]) {
        for _ in 0..options.runs {
            table.add(SIXTEEN, FLOOR, by_themselves(16));
            for one in &contenders {
                table.add(SIXTEEN, one.name, managed(one, 16).1);
            }
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cluster").join(name)
}

fn node(script_name: &str, arena: &Arena, port: u16) -> Command {
    let mut command = Command::new("node");
    // The same surroundings as those of the others: a variable may make every start of node slower.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg(script(script_name)).env("PORT", port.to_string()).env("FIFO", arena.fifo());
    command.env("WORKERS", WORKERS.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn own_primary() -> Server {
    let (mut arena, port) = (Arena::new(), free_port());
    let primary = node("primary.js", &arena, port).spawn().unwrap();
    assert_eq!(arena.messages(WORKERS).len(), WORKERS, "workers of node's own primary");
    Server { column: FLOOR, arena, port, primary: Some(primary) }
}

/// A cluster of so many workers; milliseconds until all of them listen. The manager is up before.
fn managed(one: &contender::Contender, workers: usize) -> (Server, f64) {
    let (mut arena, port) = (Arena::new(), free_port());
    let stage = Stage::new(one, &arena);
    stage.declare(0, &[]);
    stage.boot();
    let (app, count) = (script("app.js").display().to_string(), workers.to_string());
    let variables = [("PORT", port.to_string()), ("FIFO", arena.fifo().display().to_string())];
    let declared: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut words = vec!["start", &app, "-i", &count, "--name", "web"];
    if one.name == "pm" {
        // The others take the caller's whole environment.
        words.extend(declared.iter().flat_map(|variable| ["--env", variable]));
    }
    let mut start = stage.command_of(&words);
    start.envs(variables);
    let began = Instant::now();
    let mut start = start.spawn().unwrap();
    assert_eq!(arena.messages(workers).len(), workers, "workers of {}", one.name);
    let took = began.elapsed().as_secs_f64() * 1000.0;
    assert!(start.wait().unwrap().success(), "{} says that it failed", one.name);
    (Server { column: one.name, arena, port, primary: None }, took)
}

/// Milliseconds until so many `node` processes listen, each at a port of its own.
fn by_themselves(count: usize) -> f64 {
    let mut arena = Arena::new();
    let began = Instant::now();
    let mut apps: Vec<Child> = (0..count).map(|_| node("app.js", &arena, 0).spawn().unwrap()).collect();
    assert_eq!(arena.messages(count).len(), count, "processes that listen");
    let took = began.elapsed().as_secs_f64() * 1000.0;
    for app in &mut apps {
        app.kill().unwrap();
        app.wait().unwrap();
    }
    took
}

/// What `wrk` has counted.
#[derive(Default)]
struct Counted {
    answers: f64,
    failed: f64,
}

fn wrk(port: u16, clients: usize, time: Duration, is_kept: bool) -> Child {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{clients}"), &format!("-d{}s", time.as_secs()), "--timeout", "10s"]);
    if !is_kept {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(format!("http://127.0.0.1:{port}/")).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().unwrap()
}

fn counted(wrk: Child) -> Counted {
    let text = String::from_utf8(wrk.wait_with_output().unwrap().stdout).unwrap();
    let number = |word: &str| word.trim_matches(|sign: char| !sign.is_ascii_digit()).parse::<f64>().unwrap_or(0.0);
    let mut counted = Counted::default();
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            counted.answers = number(count);
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            counted.failed += errors.split(',').map(number).sum::<f64>();
        } else if let Some(refused) = line.strip_prefix("Non-2xx or 3xx responses:") {
            counted.failed += number(refused);
        }
    }
    counted
}

/// Answers per second, and microseconds of CPU for each, of everybody who has to do with them.
fn asked(server: &Server, is_kept: bool) -> (f64, f64) {
    let mut pids: Vec<u32> = server.arena.processes().into_keys().collect();
    pids.extend(server.primary.as_ref().map(Child::id));
    pids.sort_unstable();
    pids.dedup();
    let before = cpu_seconds(&pids);
    let began = Instant::now();
    let Counted { answers, failed } = counted(wrk(server.port, CLIENTS, TURN, is_kept));
    let took = began.elapsed().as_secs_f64();
    assert!(answers > 0.0 && failed == 0.0, "{} answered {answers}, failed {failed}", server.column);
    (answers / took, (cpu_seconds(&pids) - before) * 1e6 / answers)
}

/// Ten reloads under sixteen clients, half of which keep their connection.
fn reloads(one: &contender::Contender, table: &mut Table) {
    let (server, _) = managed(one, WORKERS);
    let stage = Stage::new(one, &server.arena);
    let (mut answers, mut failed) = (0.0, 0.0);
    for _ in 0..10 {
        let clients = [true, false].map(|is_kept| wrk(server.port, 8, 2 * PATIENCE, is_kept));
        std::thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        let mut reload = stage.command_of(&["reload", "web"]);
        reload.env("PORT", server.port.to_string()).env("FIFO", server.arena.fifo());
        assert!(reload.status().unwrap().success(), "{} reloads", one.name);
        assert!(began.elapsed() < PATIENCE, "{} reloads in time", one.name);
        std::thread::sleep(Duration::from_secs(1));
        for clients in clients {
            // It counts what it has had so far.
            interrupt(clients.id());
            let counted = counted(clients);
            answers += counted.answers;
            failed += counted.failed;
        }
    }
    table.add(LOST, one.name, failed);
    table.add(ASKED, one.name, answers);
}
