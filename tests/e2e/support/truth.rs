//! What `fixtures/numbered.sh` says it did, against what `pm` says that it did.
//!
//! The script writes down every start itself; its lines and its exit code follow from (name, incarnation). So the
//! whole log, every event and every counter can be computed and compared.

use super::{AppEvent, Sandbox, fixture};

/// One app that runs `numbered.sh`.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The app's name; also the name of its truth file.
    pub name: String,
    /// Lines per incarnation.
    pub lines: usize,
}

/// What was compared, so that "nothing lost" has a denominator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Processes that started.
    pub starts: usize,
    /// Exits whose code was compared.
    pub exits: usize,
    /// Bytes of log that were compared.
    pub log_bytes: usize,
}

impl Numbered {
    /// `count` apps of different names.
    pub fn several(count: usize, lines: usize) -> Vec<Self> {
        (0..count).map(|number| Self { name: format!("app{number}"), lines }).collect()
    }

    /// The app in an ecosystem file: it crashes for ever, with `rest` as further keys.
    pub fn toml(&self, sandbox: &Sandbox, rest: &str) -> String {
        let (script, truth) = (fixture("numbered.sh"), sandbox.path(&self.name));
        format!(
            "[[apps]]\nname = {name:?}\nscript = {script:?}\nargs = [{truth:?}, {name:?}, \"{lines}\"]\nlog_rotate = {{ size = \"1G\", keep = 1 }}\n{rest}\n",
            truth = truth.display().to_string(),
            name = self.name,
            lines = self.lines,
        )
    }

    /// The incarnations that started, as the script wrote them down.
    pub fn starts(&self, sandbox: &Sandbox) -> Vec<usize> {
        let text = sandbox.read(&self.name);
        text.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    }

    /// The code that the script ends with.
    pub fn exit_code(incarnation: usize) -> i64 {
        i64::try_from(incarnation).unwrap() % 200 + 1
    }

    fn text_of(&self, incarnation: usize) -> String {
        let line = |line| format!("{} incarnation {incarnation} line {line}\n", self.name);
        (0..self.lines).map(line).collect()
    }

    /// Compares everything. The app must be at rest: stopped or given up.
    #[track_caller]
    pub fn check(&self, sandbox: &Sandbox) -> Counts {
        let name = &self.name;
        let starts = self.starts(sandbox);
        let last = starts.len();
        assert_eq!(starts, (1..=last).collect::<Vec<_>>(), "{name}: a incarnation was started twice");

        let log = String::from_utf8(sandbox.log_text(name, "out", 0)).unwrap();
        let certain: String = (1..last).map(|incarnation| self.text_of(incarnation)).collect();
        let rest = log.strip_prefix(&certain).unwrap_or_else(|| panic!("{name}: {}", first_difference(&log, &certain)));
        // The last incarnation may have been stopped in the middle: what there is of it must be its beginning.
        assert!(self.text_of(last).starts_with(rest), "{name}: the last incarnation wrote {rest:?}");

        let events = sandbox.events_of(name);
        let about = format!("shop:{name}/0");
        let told = |fact: &str, incarnation: usize| -> Vec<Option<i64>> {
            let is_it = |event: &&AppEvent| {
                event.about == about && event.fact == fact && event.incarnation == Some(incarnation as u64)
            };
            events.iter().filter(is_it).map(|event| event.exit_code).collect()
        };
        for incarnation in 1..last {
            assert_eq!(told("started", incarnation).len(), 1, "{name}: starts told of incarnation {incarnation}");
            let codes = told("exited", incarnation);
            assert_eq!(codes, [Some(Self::exit_code(incarnation))], "{name}: exits told of incarnation {incarnation}");
        }
        Counts { starts: last, exits: last - 1, log_bytes: log.len() }
    }
}

fn first_difference(log: &str, expected: &str) -> String {
    let at = log.lines().zip(expected.lines()).position(|(one, other)| one != other);
    let at = at.unwrap_or_else(|| log.lines().count().min(expected.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
    format!("line {at} of the log is {:?}, written was {:?}", line(log), line(expected))
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.starts += other.starts;
        self.exits += other.exits;
        self.log_bytes += other.log_bytes;
    }
}
