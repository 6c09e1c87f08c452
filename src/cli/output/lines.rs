//! Lines of output with coloured prefixes.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::gate::log_line;
use super::time::Clock;
use super::{Paint, Screen};
use crate::model::{InstanceId, LogFormat, Stream};
use crate::rules::{self, LineOrigin, LineWriter};
use crate::wire::LogLine;

/// How lines are shown.
#[derive(Debug)]
pub(in crate::cli) struct LineFormat {
    /// Nothing but the bytes as the process wrote them.
    pub is_raw: bool,
    /// With times.
    pub clock: Option<Clock>,
    /// For times that apps want by default.
    zone: TimeZone,
    /// Prefixes seen so far: width and colour.
    seen: BTreeMap<InstanceId, usize>,
    width: usize,
    /// The same of files that several copies write into.
    shared_width: usize,
    /// Several projects are shown: the name alone does not say whose line it is.
    has_projects: bool,
}

impl LineFormat {
    pub(in crate::cli) fn new(is_raw: bool, with_times: bool) -> Self {
        let clock = with_times.then(Clock::local);
        let zone = TimeZone::system();
        Self { is_raw, clock, zone, seen: BTreeMap::new(), width: 0, shared_width: 0, has_projects: false }
    }

    /// Makes room for the prefixes of lines to come.
    pub(in crate::cli) fn expect(&mut self, lines: &[LogLine]) {
        for line in lines {
            self.colour(&line.instance);
            self.widen(line);
        }
    }

    /// Makes room for the names of a file that several copies write into.
    fn widen(&mut self, line: &LogLine) {
        if !line.shared_with.is_empty() {
            self.shared_width = self.shared_width.max(self.name_of(line).len());
        }
    }

    /// The same for copies that are known by name only.
    pub(in crate::cli) fn expect_copies(&mut self, copies: impl IntoIterator<Item = InstanceId>) {
        for copy in copies {
            self.colour(&copy);
        }
    }

    /// Prints one line.
    pub(in crate::cli) fn print(&mut self, screen: &mut Screen, line: &LogLine) {
        let bytes = self.format(line, screen.paint(), screen.is_out_terminal);
        screen.raw(&bytes);
    }

    fn format(&mut self, line: &LogLine, paint: Paint, is_terminal: bool) -> Vec<u8> {
        let colour = self.colour(&line.instance);
        self.widen(line);
        let name = self.name_of(line);
        let mut bytes = Vec::new();
        if self.is_raw {
            text_of(line, is_terminal, &mut bytes);
            return bytes;
        }
        if line.shown_as.log_format == LogFormat::Json && self.clock.is_none() {
            self.object(line, is_terminal, &mut bytes);
            return bytes;
        }
        let own = line.shown_as.log_timestamps.as_deref();
        let time = match &self.clock {
            Some(clock) => Some(clock.text(line.at)),
            None => own.map(|pattern| rules::timestamp(pattern, line.at, &self.zone)),
        };
        if let Some(time) = time {
            bytes.extend(paint.faint(&time).bytes());
            bytes.push(b' ');
        }
        let mark = if line.stream == Stream::Stderr { paint.bad("!") } else { paint.nth(colour, "|") };
        bytes.extend(paint.nth(colour, &format!("{name:width$}", width = self.width.max(self.shared_width))).bytes());
        bytes.push(b' ');
        bytes.extend(mark.bytes());
        bytes.push(b' ');
        text_of(line, is_terminal, &mut bytes);
        bytes
    }

    /// The line as an object, as its app wants it.
    fn object(&self, line: &LogLine, is_terminal: bool, bytes: &mut Vec<u8>) {
        let printed = LineOrigin { instance: &line.instance, stream: line.stream };
        let mut object = Vec::new();
        LineWriter::new(&line.shown_as, printed, &self.zone).write(&line.bytes(), line.at, false, &mut object);
        if is_terminal {
            bytes.extend(log_line(&String::from_utf8_lossy(&object)).bytes());
        } else {
            bytes.append(&mut object);
        }
        bytes.push(b'\n');
    }

    fn colour(&mut self, instance: &InstanceId) -> usize {
        if let Some(colour) = self.seen.get(instance) {
            return *colour;
        }
        let colour = self.seen.len();
        let other = self.seen.keys().next().is_some_and(|known| known.app.project != instance.app.project);
        self.has_projects |= other;
        self.seen.insert(instance.clone(), colour);
        self.width = self.seen.keys().map(|instance| self.name(instance).len()).max().unwrap_or(0);
        colour
    }

    /// Of a file that several copies write into, all of them: `api/0+api/1`, `api/0+7`.
    fn name_of(&self, line: &LogLine) -> String {
        let name = self.name(&line.instance);
        match line.shared_with.as_slice() {
            [] => name,
            [other] => format!("{name}+{}", self.name(other)),
            others => format!("{name}+{}", others.len()),
        }
    }

    /// `api/0`; with its project where there are several.
    fn name(&self, instance: &InstanceId) -> String {
        let InstanceId { app, slot, .. } = instance;
        if self.has_projects { format!("{}:{}/{slot}", app.project, app.name) } else { format!("{}/{slot}", app.name) }
    }
}

/// The output of a program must not control the terminal that shows its log; files get every byte.
fn text_of(line: &LogLine, is_terminal: bool, bytes: &mut Vec<u8>) {
    if is_terminal {
        bytes.extend(log_line(&line.text).bytes());
    } else {
        bytes.extend(line.bytes());
    }
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LogForm, WallTime};

    fn line(instance: &str, stream: Stream, text: &[u8]) -> LogLine {
        LogLine::new(WallTime(0), instance.parse().unwrap(), stream, text.to_vec())
    }

    #[test]
    fn prefixes_line_up_and_stderr_is_marked() {
        let mut format = LineFormat::new(false, false);
        let lines = [line("shop:api/0", Stream::Stdout, b"up"), line("shop:worker/10", Stream::Stderr, b"oh")];
        format.expect(&lines);
        let text: Vec<u8> = lines.iter().flat_map(|line| format.format(line, Paint::default(), true)).collect();
        assert_eq!(String::from_utf8(text).unwrap(), "api/0     | up\nworker/10 ! oh\n");
    }

    #[test]
    fn lines_of_several_projects_say_whose_they_are() {
        let mut format = LineFormat::new(false, false);
        let lines = [line("shop:api/0", Stream::Stdout, b"a"), line("blog:api/0", Stream::Stdout, b"b")];
        format.expect(&lines);
        let text: Vec<u8> = lines.iter().flat_map(|line| format.format(line, Paint::default(), true)).collect();
        assert_eq!(String::from_utf8(text).unwrap(), "shop:api/0 | a\nblog:api/0 | b\n");
    }

    #[test]
    fn a_line_of_a_file_of_several_copies_has_the_names_of_all() {
        let mut format = LineFormat::new(false, false);
        let of = |others: &[&str]| LogLine {
            shared_with: others.iter().map(|id| id.parse().unwrap()).collect(),
            ..line("shop:api/0", Stream::Stdout, b"up")
        };
        let lines = [of(&[]), of(&["shop:b/0"]), of(&["shop:b/0", "shop:b/1"])];
        format.expect(&lines);
        let text: Vec<u8> = lines.iter().flat_map(|line| format.format(line, Paint::default(), true)).collect();
        assert_eq!(String::from_utf8(text).unwrap(), "api/0     | up\napi/0+b/0 | up\napi/0+2   | up\n");
    }

    #[test]
    fn lines_are_shown_as_their_app_wants_them_unless_the_command_says_otherwise() {
        let of = |log_format, pattern: Option<&str>| LogLine {
            shown_as: LogForm { log_format, log_timestamps: pattern.map(str::to_owned) },
            ..line("shop:api/0", Stream::Stdout, b"u\"p")
        };
        let text = |is_raw, with_times, line: &LogLine| {
            let mut format = LineFormat { zone: TimeZone::UTC, ..LineFormat::new(is_raw, with_times) };
            String::from_utf8(format.format(line, Paint::default(), true)).unwrap()
        };
        let stamped = of(LogFormat::Raw, Some("%F"));
        assert_eq!(text(false, false, &stamped), "1970-01-01 api/0 | u\"p\n");
        assert_eq!(text(true, false, &stamped), "u\"p\n");
        assert!(text(false, true, &stamped).contains("00.000 api/0 | "));
        let object = text(false, false, &of(LogFormat::Json, None));
        assert!(object.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000+00:00","app_name":"api""#), "{object}");
        assert!(object.ends_with("\"message\":\"u\\\"p\"}\n"), "{object}");
        assert!(text(false, true, &of(LogFormat::Json, None)).ends_with("api/0 | u\"p\n"));
    }

    #[test]
    fn a_log_cannot_steer_the_terminal_but_files_get_every_byte() {
        for is_raw in [true, false] {
            let mut format = LineFormat::new(is_raw, false);
            let text =
                format.format(&line("a:b/0", Stream::Stdout, b"\x1b[31mx\x1b[2J\xc2\x9b"), Paint::default(), true);
            let text = String::from_utf8(text).unwrap();
            assert!(text.ends_with("\x1b[31mx\\u{1b}[2J\\u{9b}\x1b[0m\n"), "{text:?}");
        }
        let mut format = LineFormat::new(false, false);
        let bytes = format.format(&line("a:b/0", Stream::Stdout, b"x\xff\x1b[2J"), Paint::default(), false);
        assert_eq!(bytes, b"b/0 | x\xff\x1b[2J\n");
    }
}
