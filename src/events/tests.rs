//! The bus, the memory and the journal: order, bounds, and what a torn file does.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;
use crate::model::{Cause, Exit, LeaveReason};

fn instance(name: &str) -> Subject {
    Subject::Instance(format!("shop:{name}/0").parse().unwrap())
}

fn all() -> EventQuery {
    EventQuery { limit: 10_000, ..EventQuery::default() }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

#[test]
fn facts_are_numbered_and_heard_by_those_who_listen() {
    let folder = tempfile::tempdir().unwrap();
    let (events, troubles) = Events::open(folder.path());
    assert_eq!(troubles, [""; 0]);
    let mut heard = events.subscribe();
    events.emit(instance("api"), Fact::Stopped { left: Vec::new(), is_unsure: false });
    events.emit(instance("web"), Fact::Deleted);
    assert_eq!((heard.try_recv().unwrap().seq, heard.try_recv().unwrap().fact.clone()), (1, Fact::Deleted));
    let api = EventQuery { app: Some(AppName::new("api").unwrap()), ..all() };
    assert_eq!(numbers(&on_a_runtime(events.history(api))), [1]);
    let late = EventQuery { after: Some(1), ..all() };
    assert_eq!(numbers(&on_a_runtime(events.history(late))), [2]);
    let newest = EventQuery { limit: 1, ..all() };
    assert_eq!(numbers(&on_a_runtime(events.history(newest))), [2]);
}

#[test]
fn a_restarted_daemon_remembers_and_counts_on_even_behind_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let stopping = || Fact::DaemonStopping { why: LeaveReason::Restart };
    on_a_runtime(async {
        let (events, _) = Events::open(folder.path());
        events.emit(instance("api"), Fact::Stopped { left: Vec::new(), is_unsure: false });
        events.emit(Subject::Daemon, stopping());
        events.flush().await;
    });
    on_a_runtime(async {
        let (events, _) = Events::open(folder.path());
        events.emit(instance("api"), Fact::Deleted);
        assert_eq!(numbers(&events.history(all()).await), [1, 2, 3], "an orderly end leaves no gap");
        events.flush().await;
    });
    let mut file = OpenOptions::new().append(true).open(folder.path().join("events.jsonl")).unwrap();
    file.write_all(b"{\"seq\":4,\"at\":12").unwrap();
    on_a_runtime(async {
        let (events, troubles) = Events::open(folder.path());
        assert_eq!(troubles, [""; 0]);
        events.emit(instance("api"), Fact::Stopped { left: Vec::new(), is_unsure: false });
        let history = events.history(all()).await;
        assert_eq!(history.len(), 4);
        assert!(history[3].seq > 4, "a number that a killed daemon may have told is not told again");
    });
}

#[test]
fn a_process_that_lives_on_keeps_the_cause_of_its_own_start() {
    let folder = tempfile::tempdir().unwrap();
    let (events, _) = Events::open(folder.path());
    let cause = |incarnation: u32| Cause::Cron { due: WallTime(u64::from(incarnation)) };
    let started = |incarnation| Fact::Started { pid: 7, incarnation, restarts: 0, cause: cause(incarnation) };
    let exited = |incarnation| Fact::Exited {
        exit: Exit::Code(7),
        incarnation,
        uptime: crate::model::Millis(1),
        is_asked: false,
    };
    events.emit(instance("api"), started(3));
    for successor in 4..40 {
        events.emit(instance("api"), started(successor));
        events.emit(instance("api"), exited(successor));
    }
    let Subject::Instance(id) = instance("api") else { unreachable!() };
    let why = |incarnation| events.why_started(&id, incarnation);
    assert_eq!((why(Some(3)), why(Some(39)), why(None)), (Some(cause(3)), Some(cause(39)), Some(cause(39))));
    assert_eq!(why(Some(38)), None, "it has ended, and is not the newest");
}

#[test]
fn ten_thousand_crashes_leave_memory_and_journal_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (events, _) = Events::open(folder.path());
    let mut slow = events.subscribe();
    let exited = Fact::Exited { exit: Exit::Code(1), incarnation: 1, uptime: crate::model::Millis(1), is_asked: false };
    on_a_runtime(async {
        for round in 0..60_000 {
            events.emit(instance("crash"), exited.clone());
            if round % 500 == 0 {
                events.flush().await;
            }
        }
        events.flush().await;
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(missed)) if missed > 58_000));
        let history = events.history(all()).await;
        assert_eq!(history.len(), 10_000);
        assert_eq!(history[9_999].seq, 60_000);
        assert!(numbers(&history).is_sorted());
    });
    let bytes = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(bytes("events.jsonl") < 5 << 20 && bytes("events.jsonl.1") < 5 << 20);
    assert_eq!(events.recent.lock().unwrap().events.len(), RECENT_EVENTS);
}

#[test]
fn a_journal_that_cannot_be_written_stops_nobody_and_admits_its_gap_later() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (events, troubles) = Events::open(&home);
    assert!(troubles.len() == 1 && troubles[0].contains("events.jsonl"), "{troubles:?}");
    on_a_runtime(async {
        events.emit(instance("api"), Fact::Stopped { left: Vec::new(), is_unsure: false });
        events.emit(instance("api"), Fact::Stopped { left: Vec::new(), is_unsure: false });
        events.flush().await;
        fs::create_dir(&home).unwrap();
        events.emit(instance("api"), Fact::Deleted);
        events.flush().await;
        assert_eq!(events.history(all()).await.len(), 3);
    });
    drop(events);
    let text = fs::read_to_string(home.join("events.jsonl")).unwrap();
    assert!(text.starts_with("{\"seq\":1,") && text.contains("2 events could not be written"), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_name_that_was_given_up_tells_of_its_former_processes_only() {
    let folder = tempfile::tempdir().unwrap();
    let (events, _) = Events::open(folder.path());
    let id: InstanceId = "shop:api/0".parse().unwrap();
    let started = |pid| Fact::Started { pid, incarnation: 1, restarts: 0, cause: Cause::Boot };
    let exited = Fact::Exited { exit: Exit::Code(1), incarnation: 1, uptime: crate::model::Millis(1), is_asked: false };
    let known = |pid| {
        let told = [Events::was_start_emitted, Events::was_exit_emitted];
        let process = StartedProcess { incarnation: 1, pid, started: WallTime(0) };
        told.map(|was_emitted| was_emitted(&events, &id, &process, WallTime(u64::MAX)))
    };
    events.emit(instance("api"), started(100));
    events.emit(instance("api"), exited.clone());
    assert_eq!((known(Some(100)), known(None)), ([true; 2], [true; 2]));
    events.emit(instance("api"), Fact::Deleted);
    assert_eq!((known(Some(100)), known(Some(101)), known(None)), ([true; 2], [false; 2], [false; 2]));
    events.emit(instance("api"), started(101));
    assert_eq!((known(Some(100)), known(Some(101))), ([true; 2], [true, false]));
    events.emit(instance("web"), Fact::Renamed { from: id.clone() });
    assert_eq!((known(Some(101)), known(Some(102))), ([true, false], [false; 2]));
    let process = StartedProcess { incarnation: 1, pid: Some(101), started: WallTime(0) };
    let web: InstanceId = "shop:web/0".parse().unwrap();
    let fresh: InstanceId = "shop:fresh/0".parse().unwrap();
    assert_eq!([&id, &web].map(|name| events.other_name(name, &process)), [None, None]);
    assert_eq!(events.other_name(&fresh, &process), Some(web));
    let later = StartedProcess { started: WallTime(os::wall().0 + 1000), ..process };
    assert_eq!(events.other_name(&fresh, &later), None, "the pid is another one's by now");
    assert_eq!((events.last_number(&id), events.last_number(&"shop:web/0".parse().unwrap())), (0, 1));
}

#[test]
fn the_end_of_an_older_process_is_no_old_news_because_a_newer_one_has_ended() {
    let mut told = ToldNumbers::default();
    told.add(3);
    assert!(told.has(3) && !told.has(2) && !told.has(4));
    (4..=11).for_each(|generation| told.add(generation));
    assert!(told.has(2) && told.has(4) && !told.has(12), "what lies too far back to know counts as told");
}
