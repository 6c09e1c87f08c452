//! What a bare C program needs for the same system calls: the number that a manager can only come near.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Options;
use super::arena::{Arena, lives};
use super::measure::{cpu_seconds_at_rest, milliseconds_of};
use super::table::{FLOOR, Table};
use super::tour::{self, LOG_SIZES, apply_row, cpu_row, intake_row, list_row, stop_row};

/// The compiled programs of `benches/floor/`.
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// One of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Compiles everything in `benches/floor/`, statically where that can be had.
pub fn build() -> Programs {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/floor");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("floor");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["child", "writer", "drain", "hello", "spawn", "rename", "web", "probe"] {
        let compile = |kind: &str| {
            let mut command = Command::new("cc");
            command.args(["-O2", "-w", kind, "-o"]).arg(folder.join(name)).arg(source.join(format!("{name}.c")));
            command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        assert!(compile("-static") || compile("-O2"), "cannot compile benches/floor/{name}.c");
    }
    Programs { folder }
}

/// Fills the first column.
pub fn measure(programs: &Programs, options: &Options, table: &mut Table) {
    if options.wants(&[&list_row(100)]) {
        round_trips(programs, table);
    }
    for count in [100, 500, 1000] {
        if options.wants(&[&apply_row(count), &stop_row(count)]) {
            (0..options.runs).for_each(|_| spawns(programs, table, count));
        }
    }
    if options.wants(tour::ROWS_LOGS) {
        for (name, chunk) in LOG_SIZES {
            into_cat(programs, table, name, *chunk);
            spliced(programs, table, name, *chunk);
        }
    }
}

/// The same requests to the same apps, by a loop in C; CPU in percent.
pub fn probes(programs: &Programs, table: &mut Table, ports: &[u16]) {
    let words = ports.iter().map(ToString::to_string);
    let mut prober = Command::new(programs.path("probe")).args(words).spawn().unwrap();
    table.add(tour::ROW_PROBES, FLOOR, tour::percent_of(|| vec![prober.id()]));
    prober.kill().unwrap();
    prober.wait().unwrap();
}

/// A static program, one round trip to a server that answers at once.
fn round_trips(programs: &Programs, table: &mut Table) {
    let arena = Arena::new();
    let socket = arena.path().join("echo");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let answer = vec![b'x'; 20_000]; // about what a list of 100 takes
        for mut stream in listener.incoming().flatten() {
            let mut question = [0];
            let _ = stream.read_exact(&mut question).and_then(|()| stream.write_all(&answer));
        }
    });
    for _ in 0..50 {
        if let Some(took) = milliseconds_of(Command::new(programs.path("hello")).arg(&socket)) {
            table.add(&list_row(100), FLOOR, took);
        }
    }
}

/// vfork and exec of the same child, and one durable change of a file; then one signal and one wait for each.
fn spawns(programs: &Programs, table: &mut Table, count: usize) {
    let mut arena = Arena::new();
    let began = Instant::now();
    let status = Command::new(programs.path("rename")).arg(arena.path()).status().unwrap();
    assert!(status.success(), "rename.c: {status}");
    let mut spawn = Command::new(programs.path("spawn"));
    spawn.arg(count.to_string()).arg(programs.path("child")).arg(arena.fifo()).arg("then stop");
    let mut spawner = spawn.stdin(Stdio::piped()).spawn().unwrap();
    let started = arena.messages(count);
    table.add(&apply_row(count), FLOOR, began.elapsed().as_secs_f64() * 1000.0);
    assert_eq!(started.len(), count, "children of the floor");
    let began = Instant::now();
    spawner.stdin.take().unwrap().write_all(b".").unwrap();
    let status = spawner.wait().unwrap();
    table.add(&stop_row(count), FLOOR, began.elapsed().as_secs_f64() * 1000.0);
    assert!(status.success() && !started.iter().any(|child| lives(child.pid)), "spawn.c: {status}");
}

/// The same app writing into `cat > file`: what intake is compared with.
fn into_cat(programs: &Programs, table: &mut Table, name: &str, chunk: usize) {
    let (rate, _) = drained_by(&mut Command::new("cat"), programs, chunk);
    table.add(&intake_row(name), FLOOR, rate);
}

/// The same app and a loop that moves its output without reading it: what CPU time is compared with.
fn spliced(programs: &Programs, table: &mut Table, name: &str, chunk: usize) {
    let (_, cpu) = drained_by(Command::new(programs.path("drain")).arg("drain.log"), programs, chunk);
    table.add(&cpu_row(name), FLOOR, cpu);
}

/// MB/s of the writing app, and CPU seconds per GB of the program that takes its output.
fn drained_by(reader: &mut Command, programs: &Programs, chunk: usize) -> (f64, f64) {
    let mut arena = Arena::new();
    let file = std::fs::File::create(arena.path().join("cat.log")).unwrap();
    let mut reader = reader.current_dir(arena.path()).stdin(Stdio::piped()).stdout(file).spawn().unwrap();
    let pipe = reader.stdin.take().unwrap();
    let mut writer = Command::new(programs.path("writer"));
    writer.arg(arena.fifo()).arg(tour::LOG_BYTES.to_string()).arg(chunk.to_string()).stdout(pipe);
    let mut writer = writer.spawn().unwrap();
    let message = arena.messages(1)[0];
    // The writer holds the pipe open until it is killed: so long, the reader can be asked what it has used.
    let cpu = cpu_seconds_at_rest(&[reader.id()]);
    for child in [&mut writer, &mut reader] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let written = arena.path().join("cat.log").metadata().unwrap().len()
        + arena.path().join("drain.log").metadata().map_or(0, |file| file.len());
    assert_eq!(written, tour::LOG_BYTES, "bytes that arrived");
    (tour::LOG_BYTES as f64 / 1e6 / (message.nanoseconds as f64 / 1e9), cpu / (tour::LOG_BYTES as f64 / 1e9))
}
