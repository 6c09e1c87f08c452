//! The signals that are known by name: one list for reading, showing and the schema.

/// A signal with its numbers, which differ between systems.
struct Signal {
    name: &'static str,
    linux: i32,
    /// On macOS and the BSDs.
    bsd: i32,
}

const fn signal(name: &'static str, linux: i32, bsd: i32) -> Signal {
    Signal { name, linux, bsd }
}

/// Those that a process may be asked to end with, most used first.
const TO_STOP: [Signal; 12] = [
    signal("SIGTERM", 15, 15),
    signal("SIGINT", 2, 2),
    signal("SIGQUIT", 3, 3),
    signal("SIGHUP", 1, 1),
    signal("SIGKILL", 9, 9),
    signal("SIGUSR1", 10, 30),
    signal("SIGUSR2", 12, 31),
    signal("SIGABRT", 6, 6),
    signal("SIGALRM", 14, 14),
    signal("SIGPIPE", 13, 13),
    signal("SIGWINCH", 28, 28),
    signal("SIGCONT", 18, 19),
];

/// Those that a process only ends by.
const TO_END_BY: [Signal; 8] = [
    signal("SIGILL", 4, 4),
    signal("SIGTRAP", 5, 5),
    signal("SIGBUS", 7, 10),
    signal("SIGFPE", 8, 8),
    signal("SIGSEGV", 11, 11),
    signal("SIGXCPU", 24, 24),
    signal("SIGXFSZ", 25, 25),
    signal("SIGSYS", 31, 12),
];

/// Those that a process may be sent besides.
const OTHERS: [Signal; 9] = [
    signal("SIGSTOP", 19, 17),
    signal("SIGTSTP", 20, 18),
    signal("SIGTTIN", 21, 21),
    signal("SIGTTOU", 22, 22),
    signal("SIGCHLD", 17, 20),
    signal("SIGURG", 23, 16),
    signal("SIGVTALRM", 26, 26),
    signal("SIGPROF", 27, 27),
    signal("SIGIO", 29, 23),
];

/// The numbers that programs may use for themselves, `SIGRTMIN` to `SIGRTMAX`; the C library keeps those below to itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// What a file may call a signal: with and without `SIG`.
pub const STOP_SIGNALS: [&str; 2 * TO_STOP.len()] = {
    let mut names = [""; 2 * TO_STOP.len()];
    let mut at = 0;
    while at < TO_STOP.len() {
        names[at] = TO_STOP[at].name;
        names[TO_STOP.len() + at] = TO_STOP[at].name.split_at(PREFIX.len()).1;
        at += 1;
    }
    names
};

const PREFIX: &str = "SIG";

impl Signal {
    fn number(&self) -> i32 {
        if cfg!(target_os = "linux") { self.linux } else { self.bsd }
    }
}

/// `SIGTERM` for 15, as `kill -l` prints it; real-time signals have no name here.
pub fn signal_name(number: i32) -> Option<&'static str> {
    every_signal().find(|signal| signal.number() == number).map(|signal| signal.name)
}

fn every_signal() -> impl Iterator<Item = &'static Signal> {
    TO_STOP.iter().chain(&TO_END_BY).chain(&OTHERS)
}

/// The signal that a person means: `HUP`, `SIGHUP`, `hup`, `1`, `SIGRTMIN+3`, `RTMAX-1`. `None`: there is none.
pub fn any_signal(text: &str) -> Option<i32> {
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix(PREFIX).unwrap_or(&name);
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        let number = name.parse().ok()?;
        return (every_signal().any(|signal| signal.number() == number) || REAL_TIME.contains(&number))
            .then_some(number);
    }
    let offset = |rest: &str, sign| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return Some(REAL_TIME.start() + offset(rest, '+')?).filter(|number| REAL_TIME.contains(number));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return Some(REAL_TIME.end() - offset(rest, '-')?).filter(|number| REAL_TIME.contains(number));
    }
    every_signal().find(|signal| signal.name.strip_prefix(PREFIX) == Some(name)).map(Signal::number)
}

/// What a signal is called: `SIGHUP`, `SIGRTMIN+3`.
pub fn signal_text(number: i32) -> String {
    match signal_name(number) {
        Some(name) => name.to_owned(),
        None if number == *REAL_TIME.start() => "SIGRTMIN".to_owned(),
        None if REAL_TIME.contains(&number) => format!("SIGRTMIN+{}", number - REAL_TIME.start()),
        None => number.to_string(),
    }
}

/// The number of a signal that a process may be asked to end with, by its name with or without `SIG`.
pub fn stop_signal(name: &str) -> Option<i32> {
    let is_it = |signal: &&Signal| signal.name == name || signal.name.strip_prefix(PREFIX) == Some(name);
    TO_STOP.iter().find(is_it).map(Signal::number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_may_name_is_read_and_shown_by_one_name() {
        for name in STOP_SIGNALS {
            let number = stop_signal(name).unwrap();
            let full = if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{name}") };
            assert_eq!(signal_name(number), Some(full.as_str()), "{name}");
        }
        assert_eq!((signal_name(11), stop_signal("SIGSEGV"), signal_name(64)), (Some("SIGSEGV"), None, None));
    }

    #[test]
    fn every_way_to_name_a_signal_is_read_and_shown_by_one_name() {
        for number in 1..=64 {
            let text = signal_text(number);
            let is_named = text.starts_with(PREFIX);
            for way in [text.clone(), text.to_lowercase(), text.replace(PREFIX, ""), number.to_string()] {
                assert_eq!(any_signal(&way), is_named.then_some(number), "{way}");
            }
        }
        for (text, number) in [("SIGRTMAX", 64), ("rtmax-30", 34), ("RTMIN+30", 64), (" KILL ", 9)] {
            assert_eq!(any_signal(text), Some(number), "{text}");
        }
        for text in [
            "",
            "SIG",
            "0",
            "-1",
            "-HUP",
            "65",
            "32",
            "33",
            "999999999999",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMINX",
            "HUPP",
            "SIGSIGHUP",
            "1x",
            "ü",
        ] {
            assert_eq!(any_signal(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_are_those_of_the_c_library() {
        for (number, name) in [
            (libc::SIGTERM, "SIGTERM"),
            (libc::SIGINT, "SIGINT"),
            (libc::SIGQUIT, "SIGQUIT"),
            (libc::SIGHUP, "SIGHUP"),
            (libc::SIGKILL, "SIGKILL"),
            (libc::SIGUSR1, "SIGUSR1"),
            (libc::SIGUSR2, "SIGUSR2"),
            (libc::SIGABRT, "SIGABRT"),
            (libc::SIGALRM, "SIGALRM"),
            (libc::SIGPIPE, "SIGPIPE"),
            (libc::SIGWINCH, "SIGWINCH"),
            (libc::SIGCONT, "SIGCONT"),
            (libc::SIGILL, "SIGILL"),
            (libc::SIGTRAP, "SIGTRAP"),
            (libc::SIGBUS, "SIGBUS"),
            (libc::SIGFPE, "SIGFPE"),
            (libc::SIGSEGV, "SIGSEGV"),
            (libc::SIGXCPU, "SIGXCPU"),
            (libc::SIGXFSZ, "SIGXFSZ"),
            (libc::SIGSYS, "SIGSYS"),
            (libc::SIGSTOP, "SIGSTOP"),
            (libc::SIGTSTP, "SIGTSTP"),
            (libc::SIGTTIN, "SIGTTIN"),
            (libc::SIGTTOU, "SIGTTOU"),
            (libc::SIGCHLD, "SIGCHLD"),
            (libc::SIGURG, "SIGURG"),
            (libc::SIGVTALRM, "SIGVTALRM"),
            (libc::SIGPROF, "SIGPROF"),
            (libc::SIGIO, "SIGIO"),
        ] {
            assert_eq!(signal_name(number), Some(name));
        }
    }
}
