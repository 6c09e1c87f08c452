//! Waits for a line of the app's output.

use regex_lite::Regex;
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep};

use super::SensorDeps;
use super::probe::ProbeSubject;
use crate::logs::{self, Follower, Line, LogQuery, Source};
use crate::model::Stream;
use crate::supervisor::log_location;

/// Lines since the start of the process that are looked at when the looking begins later.
const LINES_MAX: usize = 10_000;
/// A line without its end is shown to followers after a moment, although no file grows.
const HOLD: Duration = Duration::from_millis(220);
/// While many apps print, no more often than this.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Resolves when the process has printed a line that matches: also one that it printed before we looked. False if
/// that cannot be found out.
pub(super) async fn appears(deps: &SensorDeps, subject: &ProbeSubject, pattern: &str) -> bool {
    let Ok(pattern) = Regex::new(pattern) else { return false };
    let is_match = |text: &[u8]| pattern.is_match(&as_read(text));
    let matches = |lines: &[Line]| lines.iter().any(|line| is_match(&line.text));
    let sources = [Stream::Stdout, Stream::Stderr].map(|stream| Source {
        instance: subject.instance.clone(),
        stream,
        location: log_location(&deps.home, &subject.instance, stream, &subject.spec.logs, &subject.spec.run),
    });
    let mut growth = deps.log_growth.clone();
    growth.borrow_and_update();
    // The pump was told that a process begins: its first line has a time of its own.
    let query = LogQuery { lines: LINES_MAX, since: Some(subject.started), ..LogQuery::default() };
    let (lines, mut follower) = loop {
        let sources = sources.clone();
        match blocking(deps, move || logs::follow(&sources, &query)).await {
            Some((reading, follower)) if reading.unread.is_empty() => break (reading.lines, follower),
            // A file that cannot be read now, or too much to do: the deadline is the lifecycle's.
            Some(_) | None => sleep(HOLD).await,
        }
    };
    if matches(&lines) {
        return true;
    }
    // A line that is printed in two pieces is one line.
    follower.keep_whole();
    loop {
        let polled = blocking(deps, move || {
            let lines = follower.poll();
            (lines, follower)
        });
        // Only a queue of a hundred reads gives up; then everything is looked at again.
        let Some((lines, back)): Option<(Vec<Line>, Follower)> = polled.await else {
            return Box::pin(appears(deps, subject, pattern.as_str())).await;
        };
        follower = back;
        if matches(&lines) || follower.held().any(is_match) {
            return true;
        }
        if !lines.is_empty() {
            continue;
        }
        let is_holding = follower.is_holding();
        tokio::select! {
            changed = growth.changed() => if changed.is_err() { return false },
            () = sleep(HOLD), if is_holding => {}
        }
        growth.borrow_and_update();
        sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// The text that a person reads: without colours and other control sequences, and without the `\r` of a Windows line end.
fn as_read(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut read = String::with_capacity(text.len());
    let mut letters = text.trim_end_matches('\r').chars();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            read.push(letter);
            continue;
        }
        match letters.next() {
            // Up to its last letter.
            Some('[') => drop(letters.find(|letter| ('@'..='~').contains(letter))),
            // A title or a link: up to its end.
            Some(']') => drop(letters.find(|letter| matches!(letter, '\u{7}' | '\\'))),
            _ => {}
        }
    }
    read
}

/// Does something that waits for the disk on the reading threads. `None`: they have too much to do for too long.
async fn blocking<T: Send + 'static>(deps: &SensorDeps, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    deps.reader.submit(Box::new(move || drop(reply.send(work())))).ok()?;
    answer.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_matched_as_a_person_reads_it() {
        for (text, read) in [
            ("plain", "plain"),
            ("ends\r", "ends"),
            ("\u{1b}[32mready on \u{1b}[1mport 3\u{1b}[0m", "ready on port 3"),
            ("\u{1b}[38;5;82mx\u{1b}[K", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}", "link"),
            ("\u{1b}[", ""),
            ("a\rb", "a\rb"),
        ] {
            assert_eq!(as_read(text.as_bytes()), read, "{text:?}");
        }
    }
}
