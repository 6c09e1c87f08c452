//! Lines of output as other programs read them: with their time, or as JSON objects.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::model::{InstanceId, LogForm, LogFormat, Stream, WallTime};

/// Whether a pattern of `strftime` makes a time that fits into a line.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the pattern.
pub fn check_timestamps(pattern: &str) -> Result<(), &'static str> {
    const BYTES_MAX: usize = 200;
    if !pattern.contains('%') {
        return Err("has no `%`, and so no time in it");
    }
    if pattern.len() > BYTES_MAX || pattern.contains('\n') {
        return Err("is no single line of at most 200 bytes");
    }
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    jiff::fmt::strtime::format(pattern, &sample).map(drop).map_err(|_| "is not a pattern of `strftime`")
}

/// Whose lines these are.
#[derive(Clone, Copy, Debug)]
pub struct LineOrigin<'a> {
    /// The copy.
    pub instance: &'a InstanceId,
    /// Which output.
    pub stream: Stream,
}

/// Writes lines of one output in a form. Makes the text of a time once for all lines that have it.
#[derive(Debug)]
pub struct LineWriter<'a> {
    form: &'a LogForm,
    printed: LineOrigin<'a>,
    zone: &'a TimeZone,
    at: Option<WallTime>,
    /// What every line of this time begins with.
    beginning: Vec<u8>,
}

impl<'a> LineWriter<'a> {
    /// For times in this zone.
    pub fn new(form: &'a LogForm, printed: LineOrigin<'a>, zone: &'a TimeZone) -> Self {
        Self { form, printed, zone, at: None, beginning: Vec::new() }
    }

    /// Adds a line without its line feed, as it came at this time. `is_continued`: the beginning of this line was
    /// written before, so it gets no time; an object is one in any case.
    pub fn write(&mut self, line: &[u8], at: WallTime, is_continued: bool, out: &mut Vec<u8>) {
        match self.form.log_format {
            LogFormat::Raw if is_continued || self.form.log_timestamps.is_none() => out.extend_from_slice(line),
            LogFormat::Raw => {
                self.begin(at);
                out.extend_from_slice(&self.beginning);
                out.extend_from_slice(line);
            }
            LogFormat::Json => {
                self.begin(at);
                out.extend_from_slice(&self.beginning);
                out.extend_from_slice(json_text(&String::from_utf8_lossy(line)).as_bytes());
                out.push(b'}');
            }
        }
    }

    /// Whether a line can be continued by what comes later.
    pub fn can_continue(&self) -> bool {
        self.form.log_format == LogFormat::Raw
    }

    fn begin(&mut self, at: WallTime) {
        if self.at == Some(at) {
            return;
        }
        self.at = Some(at);
        let time = timestamp(self.form.log_timestamps.as_deref().unwrap_or(LogForm::TIMESTAMPS), at, self.zone);
        self.beginning = match self.form.log_format {
            LogFormat::Raw => format!("{time}: ").into_bytes(),
            LogFormat::Json => {
                let InstanceId { app, slot, .. } = self.printed.instance;
                let kind = match self.printed.stream {
                    Stream::Stdout => "out",
                    Stream::Stderr => "err",
                };
                let (time, name) = (json_text(&time), json_text(app.name.as_str()));
                format!(r#"{{"timestamp":{time},"app_name":{name},"process_id":{slot},"type":"{kind}","message":"#)
                    .into_bytes()
            }
        };
    }
}

/// A time by a pattern of `strftime`, in a zone.
pub fn timestamp(pattern: &str, at: WallTime, zone: &TimeZone) -> String {
    let zoned = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let text = |zoned: Zoned| jiff::fmt::strtime::format(pattern, &zoned).ok();
    zoned.and_then(|time| text(time.to_zoned(zone.clone()))).unwrap_or_else(|| at.0.to_string())
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: &LogForm, lines: &[(&[u8], u64, bool)]) -> String {
        let instance: InstanceId = "shop:api/2".parse().unwrap();
        let printed = LineOrigin { instance: &instance, stream: Stream::Stderr };
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut writer = LineWriter::new(form, printed, &zone);
        let mut out = Vec::new();
        for (line, at, is_continued) in lines {
            writer.write(line, WallTime(*at), *is_continued, &mut out);
            out.push(b'\n');
        }
        String::from_utf8(out).unwrap()
    }

    fn form(log_format: LogFormat, pattern: Option<&str>) -> LogForm {
        LogForm { log_format, log_timestamps: pattern.map(str::to_owned) }
    }

    #[test]
    fn a_line_gets_its_own_time_and_its_continuation_none() {
        let lines: &[(&[u8], u64, bool)] =
            &[(b"a", 0, false), (b"b", 0, false), (b"c", 1500, false), (b"d", 2000, true)];
        let found = written(&form(LogFormat::Raw, Some("%F %T")), lines);
        assert_eq!(found, "1970-01-01 02:00:00: a\n1970-01-01 02:00:00: b\n1970-01-01 02:00:01: c\nd\n");
        assert_eq!(written(&LogForm::default(), lines), "a\nb\nc\nd\n");
        let found = written(&form(LogFormat::Raw, Some(LogForm::TIMESTAMPS)), &lines[2..3]);
        assert_eq!(found, "1970-01-01T02:00:01.500+02:00: c\n");
    }

    #[test]
    fn every_line_is_an_object_whatever_its_bytes() {
        for bytes in [b"plain".as_slice(), b"\"quoted\" \\ \x1b[31m", b"\xff\x00", "gr\u{fc}n".as_bytes(), b""] {
            let found = written(&form(LogFormat::Json, None), &[(bytes, 1500, false)]);
            let object: serde_json::Value = serde_json::from_str(&found).unwrap();
            let expected = serde_json::json!({
                "timestamp": "1970-01-01T02:00:01.500+02:00", "app_name": "api", "process_id": 2, "type": "err",
                "message": String::from_utf8_lossy(bytes),
            });
            assert_eq!(object, expected);
        }
        let found = written(&form(LogFormat::Json, Some("%H")), &[(b"x", 0, true)]);
        assert!(found.starts_with(r#"{"timestamp":"02","#), "{found}");
    }

    #[test]
    fn a_pattern_that_makes_no_time_is_refused() {
        for good in ["%F %T", LogForm::TIMESTAMPS, "[%s]", "%Y-%m-%dT%H:%M:%S%z"] {
            assert_eq!(check_timestamps(good), Ok(()), "{good}");
        }
        for bad in ["", "YYYY-MM-DD", "%", "%\n", "%!", &"%F".repeat(101)] {
            assert!(check_timestamps(bad).is_err(), "{bad}");
        }
    }
}
