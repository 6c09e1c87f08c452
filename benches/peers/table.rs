//! Samples by row and contender → a Markdown table of medians and ratios.

use std::collections::BTreeMap;
use std::process::Command;

/// Everything that was measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<String>,
    contenders: Vec<(String, String)>,
    samples: BTreeMap<(String, String), Vec<f64>>,
}

/// The column of the C programs.
pub const FLOOR: &str = "floor";

impl Table {
    /// A column.
    pub fn contender(&mut self, name: &str, version: &str) {
        self.contenders.push((name.to_owned(), version.to_owned()));
    }

    /// One sample; rows stand in the order of their first one.
    pub fn add(&mut self, row: &str, contender: &str, value: f64) {
        if !self.rows.iter().any(|known| known == row) {
            self.rows.push(row.to_owned());
        }
        self.samples.entry((row.to_owned(), contender.to_owned())).or_default().push(value);
    }

    fn median(&self, row: &str, contender: &str) -> Option<f64> {
        let mut samples = self.samples.get(&(row.to_owned(), contender.to_owned()))?.clone();
        samples.sort_by(f64::total_cmp);
        let middle = samples.len() / 2;
        Some(if samples.len().is_multiple_of(2) {
            f64::midpoint(samples[middle - 1], samples[middle])
        } else {
            samples[middle]
        })
    }

    /// Prints the rows that contain one of `words` (all, if there are none).
    pub fn print(&self, words: &[String]) {
        println!("{}\n", machine());
        let versions: Vec<String> = self.contenders.iter().map(|(name, version)| format!("{name} {version}")).collect();
        println!("Medians. Versions: {}.\n", versions.join(", "));
        let peers: Vec<&str> =
            self.contenders.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "pm").collect();
        println!("| row | floor | pm | pm ÷ floor | pm ÷ best peer | {} |", peers.join(" | "));
        println!("| --- |{}", " ---: |".repeat(4 + peers.len()));
        for row in
            self.rows.iter().filter(|row| words.is_empty() || words.iter().any(|word| row.contains(word.as_str())))
        {
            let (floor, pm) = (self.median(row, FLOOR), self.median(row, "pm"));
            let is_more_better = row.ends_with("MB/s") || row.ends_with("req/s");
            let values: Vec<f64> = peers.iter().filter_map(|peer| self.median(row, peer)).collect();
            let best = values.into_iter().reduce(if is_more_better { f64::max } else { f64::min });
            let ratio = |to: Option<f64>| pm.zip(to).map(|(pm, to)| pm / to);
            let mut cells = vec![number(floor), number(pm), number(ratio(floor)), number(ratio(best))];
            cells.extend(peers.iter().map(|peer| number(self.median(row, peer))));
            println!("| {row} | {} |", cells.join(" | "));
        }
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if !value.is_finite() => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn machine() -> String {
    let said = |program: &str, args: &[&str]| -> String {
        let output = Command::new(program).args(args).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}; {cores} × {}; {}",
        said("date", &["-u", "+%Y-%m-%d"]),
        model.trim_start_matches([' ', '\t', ':']),
        said("uname", &["-sr"])
    )
}
