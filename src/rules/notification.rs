//! Parses messages of an app about itself: `sd_notify(3)` and the lines of a Node channel.

use crate::model::Millis;

/// More assignments that mean something are not read of one message.
const ASSIGNMENTS_MAX: usize = 64;
/// A status is one line for a table.
const STATUS_CHARS_MAX: usize = 200;
/// What is told of a wrong process id.
const WRONG_PID_CHARS_MAX: usize = 20;
/// A single message moves a deadline by no more than this; whoever needs more says it again.
const EXTENSION_MAX: Millis = Millis::seconds(3600);
/// A line of the channel that is longer than this is none of ours.
pub const CHANNEL_LINE_BYTES_MAX: usize = 64 << 10;

/// One thing that an app says by `sd_notify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// `READY=1`.
    Ready,
    /// `STATUS=…`.
    Status(String),
    /// `WATCHDOG=1`: it is alive.
    WatchdogPing,
    /// `WATCHDOG=trigger`: it knows that it is not well.
    Unwell,
    /// `EXTEND_TIMEOUT_USEC=…`: it needs so much time from now on.
    Extend(Millis),
    /// `MAINPID=…`.
    MainPid(u32),
    /// The same with a text that is no process id.
    NoMainPid(String),
}

/// The parts of a message that mean something here, in their order. Everything else (`STOPPING=1`, `RELOADING=1`,
/// `FDSTORE=1`, …) is allowed and means nothing.
pub fn notifications(message: &[u8]) -> Vec<Notification> {
    let text = String::from_utf8_lossy(message);
    let assignments = text.lines().filter_map(|line| line.split_once('='));
    assignments.filter_map(|(name, value)| notification(name, value)).take(ASSIGNMENTS_MAX).collect()
}

fn notification(name: &str, value: &str) -> Option<Notification> {
    Some(match (name, value) {
        ("READY", "1") => Notification::Ready,
        ("WATCHDOG", "1") => Notification::WatchdogPing,
        ("WATCHDOG", "trigger") => Notification::Unwell,
        ("STATUS", text) => Notification::Status(printable(text, STATUS_CHARS_MAX)),
        ("EXTEND_TIMEOUT_USEC", micros) => {
            let micros: u64 = micros.parse().ok()?;
            Notification::Extend(Millis(micros.div_ceil(1000).min(EXTENSION_MAX.0)))
        }
        ("MAINPID", text) => match text.parse() {
            Ok(pid) if pid > 0 && text.starts_with(|first: char| first.is_ascii_digit()) => Notification::MainPid(pid),
            _ => Notification::NoMainPid(printable(text, WRONG_PID_CHARS_MAX)),
        },
        _ => return None,
    })
}

fn printable(text: &str, chars_max: usize) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(chars_max).collect()
}

/// One line that a Node process sends to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelLine {
    /// `process.send('ready')`.
    Ready,
    /// A message with a handle: the process sends nothing more until it is answered.
    Handle,
    /// Anything else.
    Other,
}

/// The whole lines at the start of `waiting`, and how many bytes they are. A beginning that is longer than any line
/// may be is one of them.
pub fn channel_lines(waiting: &[u8]) -> (Vec<ChannelLine>, usize) {
    let mut lines = Vec::new();
    let mut taken = 0;
    while let Some(length) = waiting[taken..].iter().position(|byte| *byte == b'\n') {
        lines.push(channel_line(&waiting[taken..taken + length]));
        taken += length + 1;
    }
    if taken == 0 && waiting.len() >= CHANNEL_LINE_BYTES_MAX {
        return (vec![ChannelLine::Other], waiting.len());
    }
    (lines, taken)
}

fn channel_line(line: &[u8]) -> ChannelLine {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        cmd: Option<std::borrow::Cow<'a, str>>,
    }
    if line.trim_ascii() == b"\"ready\"" {
        return ChannelLine::Ready;
    }
    match serde_json::from_slice::<Envelope<'_>>(line) {
        Ok(Envelope { cmd: Some(cmd) }) if cmd == "NODE_HANDLE" => ChannelLine::Handle,
        _ => ChannelLine::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_assignment_of_a_message_is_read_and_the_rest_is_no_trouble() {
        let cases: [(&[u8], &[Notification]); 16] = [
            (b"READY=1", &[Notification::Ready]),
            (
                b"READY=1\nSTATUS= loading \x07cache\n",
                &[Notification::Ready, Notification::Status("loading cache".into())],
            ),
            (b"READY=0", &[]),
            (b"WATCHDOG=1", &[Notification::WatchdogPing]),
            (b"WATCHDOG=trigger", &[Notification::Unwell]),
            (b"EXTEND_TIMEOUT_USEC=1500001", &[Notification::Extend(Millis(1501))]),
            (b"EXTEND_TIMEOUT_USEC=18446744073709551615", &[Notification::Extend(EXTENSION_MAX)]),
            (b"EXTEND_TIMEOUT_USEC=-1", &[]),
            (b"MAINPID=42", &[Notification::MainPid(42)]),
            (b"MAINPID=", &[Notification::NoMainPid(String::new())]),
            (b"MAINPID=0", &[Notification::NoMainPid("0".into())]),
            (b"MAINPID=+42", &[Notification::NoMainPid("+42".into())]),
            (b"MAINPID=4294967296 \x1b[2Jabcdefghijkl", &[Notification::NoMainPid("4294967296 [2Jabcdef".into())]),
            (b"STOPPING=1\nRELOADING=1\nMONOTONIC_USEC=5\nFDSTORE=1", &[]),
            (b"\xff\xfe=\0", &[]),
            (b"", &[]),
        ];
        for (message, expected) in cases {
            assert_eq!(notifications(message), expected, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn a_long_message_keeps_what_means_something() {
        let unknown = "X_FIELD=1\n".repeat(500);
        assert_eq!(notifications(format!("{unknown}READY=1").as_bytes()), [Notification::Ready]);
        let endless = "WATCHDOG=1\n".repeat(1000);
        assert_eq!(notifications(endless.as_bytes()).len(), ASSIGNMENTS_MAX);
    }

    #[test]
    fn the_lines_of_a_channel_are_read_as_they_become_whole() {
        let cases: [(&[u8], &[ChannelLine], usize); 6] = [
            (b"\"ready\"\n", &[ChannelLine::Ready], 8),
            (b"\"rea", &[], 0),
            (b"{\"cmd\":\"NODE_HANDLE\",\"msg\":1}\n\"ready\"\n\"x", &[ChannelLine::Handle, ChannelLine::Ready], 38),
            (b"\x02nonsense\n", &[ChannelLine::Other], 10),
            (b"{\"type\":\"ready\"}\n", &[ChannelLine::Other], 17),
            (b"\n", &[ChannelLine::Other], 1),
        ];
        for (waiting, lines, taken) in cases {
            assert_eq!(channel_lines(waiting), (lines.to_vec(), taken), "{}", waiting.escape_ascii());
        }
        let endless = vec![b'x'; CHANNEL_LINE_BYTES_MAX];
        assert_eq!(channel_lines(&endless), (vec![ChannelLine::Other], endless.len()));
    }
}
