//! `cargo bench --bench peers`: this `pm` and whichever peers are installed, measured in one run on one machine.
//!
//! Options after `--`: `--rows WORD,…` (rows whose name contains a word), `--peers none|all|NAME,…`, `--runs N`.
//! Prints a Markdown table of medians for `docs/benchmarks.md`, with the ratio to the floor and to the best peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark may fail loudly; its numbers are far below 2^52"
)]

mod arena;
mod cluster;
mod contender;
mod floor;
mod measure;
mod table;
mod tour;

use contender::Contender;
use table::Table;

/// What is asked for on the command line.
struct Options {
    rows: Vec<String>,
    peers: Vec<String>,
    runs: usize,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { rows: Vec::new(), peers: vec!["all".to_owned()], runs: 5 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut list = || words.next().unwrap_or_default().split(',').map(str::to_owned).collect();
            match word.as_str() {
                "--rows" => options.rows = list(),
                "--peers" => options.peers = list(),
                "--runs" => options.runs = list()[0].parse().expect("--runs takes a number"),
                "--bench" => {} // what cargo adds
                other => panic!("unknown option {other}: --rows WORD,… --peers none|all|NAME,… --runs N"),
            }
        }
        options
    }

    fn wants_peer(&self, name: &str) -> bool {
        self.peers.iter().any(|word| word == "all" || word == name)
    }

    /// Whether any of these rows is asked for.
    fn wants(&self, rows: &[&str]) -> bool {
        self.rows.is_empty() || rows.iter().any(|row| self.rows.iter().any(|word| row.contains(word.as_str())))
    }
}

fn main() {
    let options = Options::read();
    let mut table = Table::default();
    let programs = floor::build();
    eprintln!("floor");
    floor::measure(&programs, &options, &mut table);
    for contender in contender::all() {
        let is_wanted = contender.name == "pm" || options.wants_peer(contender.name);
        if is_wanted && contender.is_installed() {
            eprintln!("{} {}", contender.name, contender.version());
            run(&contender, &programs, &options, &mut table);
        } else if is_wanted {
            eprintln!("{}: not installed", contender.name);
        }
    }
    if options.wants(cluster::ROWS) {
        eprintln!("clusters");
        cluster::measure(&options, &mut table);
    }
    table.print(&options.rows);
}

fn run(contender: &Contender, programs: &floor::Programs, options: &Options, table: &mut Table) {
    table.contender(contender.name, &contender.version());
    if options.wants(tour::ROWS_100) {
        for run in 0..options.runs {
            tour::hundred(contender, programs, table, run + 1 == options.runs);
        }
    }
    for count in [500, 1000] {
        let is_feasible = contender.name == "pm" || count == 500;
        let rows =
            [tour::apply_row, tour::list_row, tour::memory_row, tour::again_row, tour::stop_row].map(|row| row(count));
        if is_feasible && options.wants(&rows.each_ref().map(String::as_str)) {
            for _ in 0..options.runs.div_ceil(2) {
                tour::many(contender, programs, table, count);
            }
        }
    }
    if contender.name == "pm" && options.wants(tour::ROWS_WATCH) {
        tour::watch(contender, programs, table);
    }
    if contender.name == "pm" && options.wants(&[tour::ROW_PROBES]) {
        tour::probes(contender, programs, table);
    }
    if options.wants(tour::ROWS_LOGS) {
        tour::logs(contender, programs, table);
    }
}
