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
    let matches = |lines: &[Line]| lines.iter().any(|line| pattern.is_match(&String::from_utf8_lossy(&line.text)));
    let sources = [Stream::Stdout, Stream::Stderr].map(|stream| Source {
        instance: subject.instance.clone(),
        stream,
        location: log_location(&deps.home, &subject.instance, stream, &subject.spec.logs, &subject.spec.run),
    });
    let mut growth = deps.log_growth.clone();
    growth.borrow_and_update();
    // The pump was told that a process begins: its first line has a time of its own.
    let query = LogQuery { lines: LINES_MAX, since: Some(subject.started), until: None };
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
        if matches(&lines) {
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

/// Does something that waits for the disk on the reading threads. `None`: they have too much to do for too long.
async fn blocking<T: Send + 'static>(deps: &SensorDeps, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    deps.reader.submit(Box::new(move || drop(reply.send(work())))).ok()?;
    answer.await.ok()
}
