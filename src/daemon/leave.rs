//! Shutdown of the daemon: the reason, what happens to the apps, and the message to the anchor.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use super::boot::{BootError, Daemon};
use crate::anchor::{self, BootReport, StartError};
use crate::api::{self, Context, Leave};
use crate::model::{Actor, Fact, LeaveReason, LeftProcess, Millis, Progress, Subject};
use crate::os::{self, Home};

/// The anchor starts another daemon after this code (and after any other but 0).
const NEXT_DAEMON: u8 = 75;
/// How long everything may take to stop when the machine goes down; after that the kernel does it.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the journal may take to get its last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a new anchor is started, if it dies at once, and how long after the last one.
const ANCHOR_TRIES: u32 = 10;
const ANCHOR_PAUSE: Millis = Millis(50);

/// Why the daemon leaves.
enum Why {
    Asked(Leave),
    Signal,
    AnchorGone,
}

/// Answers requests until shutdown, then stops in order: no new requests, last events, last lines.
pub(super) async fn serve_until_asked(mut daemon: Daemon, report: BootReport, is_in_foreground: bool) -> u8 {
    let (stop, stopping) = watch::channel(false);
    let serving = match api::serve(daemon.listener, daemon.context.clone(), stopping) {
        Ok(serving) => tokio::spawn(serving),
        Err(source) => return super::failed(report, &BootError::Step { step: "listen", source }),
    };
    report.ready();
    let why = tokio::select! {
        asked = daemon.leave.recv() => Why::Asked(asked.unwrap_or(Leave::Restart)),
        _signal = daemon.signals.next() => Why::Signal,
        () = daemon.context.supervisor.anchor_gone() => Why::AnchorGone,
    };
    let needs_anchor = matches!(why, Why::AnchorGone);
    let (why, code) = match why {
        Why::Asked(Leave::Restart) => (LeaveReason::Restart, NEXT_DAEMON),
        Why::Asked(Leave::Stop) => (LeaveReason::Stop, 0),
        Why::Asked(Leave::ShutDown) => {
            end_everything(&daemon.context).await;
            (LeaveReason::Shutdown, 0)
        }
        Why::Signal => {
            stop_everything(&daemon.context).await;
            end_everything(&daemon.context).await;
            (LeaveReason::Signal, 0)
        }
        Why::AnchorGone => (LeaveReason::AnchorGone, NEXT_DAEMON),
    };
    daemon.context.events.emit(Subject::Daemon, Fact::DaemonStopping { why });
    stop.send_replace(true);
    let _ = serving.await;
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, daemon.pump.shutdown()).await;
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, daemon.context.events.flush()).await;
    if needs_anchor && !is_in_foreground {
        start_anchor(daemon.lock, &daemon.context.daemon.home);
    }
    code
}

/// No app runs any more: nothing that came from this home may outlive it.
async fn end_everything(context: &Context) {
    let message = match context.supervisor.end_everything().await {
        Some(left) if left.is_empty() => return,
        Some(left) => format!("left running, since it cannot be stopped: {}", LeftProcess::list(&left)),
        None => "something that apps have started may still run: the search for it could not be finished".to_owned(),
    };
    context.events.emit(Subject::Daemon, Fact::Trouble { message });
}

/// The anchor is gone, so a new one is started: it reads the mirror of the table, and its daemon adopts the apps.
fn start_anchor(lock: OwnedFd, home: &Path) {
    drop(lock);
    // `--as-root`, given when this daemon was started, holds for its successors, too.
    let home = Home::at(home).insisted(true);
    let start = || {
        let exe = os::current_exe().map_err(|error| (false, error.to_string()))?;
        anchor::start(&home, &exe).map_err(|error| (matches!(error, StartError::Died { .. }), error.to_string()))
    };
    let mut started = start();
    // One that is killed before its daemon answers has nobody else who would start the next one.
    for _ in 1..ANCHOR_TRIES {
        if matches!(started, Err((true, _))) {
            os::pause(ANCHOR_PAUSE);
            started = start();
        }
    }
    if let Err((_, error)) = started {
        os::write_stderr(&format!("pm daemon: cannot start a new anchor: {error}; the next `pm` command starts one\n"));
    }
}

/// The machine shuts down, or the anchor was stopped: apps are stopped in order, and start again with the next boot.
async fn stop_everything(context: &Context) {
    let by = Actor { uid: os::user_id(), name: "SIGTERM".into() };
    let stopped = async {
        let Ok(accepted) = context.reconciler.stop_everything(by).await else { return };
        for mut project in accepted {
            while let Ok(progress) = project.progress.recv().await {
                if matches!(progress, Progress::Finished(_)) {
                    break;
                }
            }
        }
    };
    let _ = tokio::time::timeout(STOP_TIMEOUT, stopped).await;
}
