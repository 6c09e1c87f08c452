//! Tables, and random histories of a source whose worker dies anywhere.

use std::collections::BTreeSet;

use super::*;
use crate::model::{
    Actor, CommitEntry, CommitWait, Desired, EntryResult, Millis, SourceAftermath, SourceCommand, SourceName,
    SourceNews, SourceRecord, SourceReport, SourceSpec, SourceStatus, WallTime,
};

fn spec(url: &str) -> SourceSpec {
    SourceSpec {
        url: url.to_owned(),
        branch: "main".to_owned(),
        path: None,
        profile: None,
        allowed_signers: None,
        interval: SourceSpec::INTERVAL,
        dwell: SourceSpec::DWELL,
        policy: crate::model::SyncPolicy::default(),
    }
}

fn name(text: &str) -> SourceName {
    text.parse().unwrap()
}

fn by() -> Actor {
    Actor { uid: 1000, name: "alice".into() }
}

/// Gives a command, as the daemon does.
fn give(desired: &mut Desired, source: &str, command: SourceCommand) -> Option<SourceNews> {
    let (source_after, news) = changed_source(desired, &name(source), command, (&by(), WallTime(7))).unwrap()?;
    match source_after {
        Some(after) => drop(desired.sources.insert(name(source), after)),
        None => drop(desired.sources.remove(&name(source))),
    }
    news
}

fn followed() -> Desired {
    let mut desired = Desired::default();
    give(&mut desired, "shop", SourceCommand::Add { spec: Box::new(spec("/srv/shop.git")) });
    desired
}

fn report(desired: &mut Desired, report: SourceReport) -> Option<SourceNews> {
    give(desired, "shop", SourceCommand::Report { report })
}

fn began(commit: &str) -> SourceReport {
    SourceReport::Began { commit: commit.to_owned(), project: "shop".parse().unwrap(), is_forced: false }
}

fn deployed(commit: &str, generation: u64) -> SourceReport {
    SourceReport::Deployed { commit: commit.to_owned(), generation, has_changed: true }
}

fn failed(commit: &str) -> SourceReport {
    let aftermath = SourceAftermath::RolledBack { to: 1 };
    SourceReport::Failed { commit: commit.to_owned(), reason: "it is bad".to_owned(), exit_code: 65, aftermath }
}

fn stalled(commit: &str) -> SourceReport {
    SourceReport::Stalled { commit: commit.to_owned(), reason: "the branch was rewritten".to_owned() }
}

fn step(desired: &Desired, head: Option<&str>, entry: Option<CommitEntry>) -> SourceStep {
    next_step(&desired.sources[&name("shop")], &SourceFacts { head, entry, is_forced: false, closed_until: None })
}

fn forced(desired: &Desired, head: &str) -> SourceStep {
    next_step(
        &desired.sources[&name("shop")],
        &SourceFacts { head: Some(head), entry: None, is_forced: true, closed_until: None },
    )
}

fn entry(generation: u64, result: EntryResult) -> CommitEntry {
    CommitEntry { generation, result, returned_to: None, is_newest: true }
}

fn deploy(commit: &str) -> SourceStep {
    SourceStep::Deploy { commit: commit.to_owned() }
}

fn rest_words(step: &SourceStep) -> String {
    match step {
        SourceStep::Rest(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_tick_has_a_reason() {
    let mut desired = followed();
    assert_eq!(step(&desired, Some("aaaaaaaaaa"), None), deploy("aaaaaaaaaa"));
    assert_eq!(rest_words(&step(&desired, None, None)), "the repository could not be asked");
    report(&mut desired, began("aaaaaaaaaa"));
    report(&mut desired, deployed("aaaaaaaaaa", 1));
    assert_eq!(rest_words(&step(&desired, Some("aaaaaaaaaa"), None)), "up to date at aaaaaaa");
    report(&mut desired, began("bbbbbbbbbb"));
    report(&mut desired, failed("bbbbbbbbbb"));
    let words = "bbbbbbb failed and is not tried again: it is bad";
    assert_eq!(rest_words(&step(&desired, Some("bbbbbbbbbb"), None)), words);
    report(&mut desired, stalled("cccccccccc"));
    let words = "ccccccc is not deployed: the branch was rewritten";
    assert_eq!(rest_words(&step(&desired, Some("cccccccccc"), None)), words);
    give(&mut desired, "shop", SourceCommand::Suspend);
    assert_eq!(rest_words(&step(&desired, Some("dddddddddd"), None)), "suspended");
    give(&mut desired, "shop", SourceCommand::Resume);
    assert_eq!(step(&desired, Some("dddddddddd"), None), deploy("dddddddddd"));
}

fn closed(desired: &Desired, head: &str, until: Option<u64>) -> SourceStep {
    let closed_until = until.map(WallTime);
    let facts = SourceFacts { head: Some(head), entry: None, is_forced: false, closed_until };
    next_step(&desired.sources[&name("shop")], &facts)
}

fn waiting(commit: &str, wait: CommitWait) -> SourceReport {
    SourceReport::Waiting { commit: commit.to_owned(), wait }
}

fn waits(commit: &str, wait: CommitWait) -> SourceStep {
    SourceStep::Rest(RestReason::Waits { commit: commit.to_owned(), wait })
}

#[test]
fn a_commit_waits_for_the_next_window_and_is_told_once() {
    let mut desired = followed();
    let window = CommitWait::Window { until: WallTime(9) };
    assert_eq!(closed(&desired, "aa", Some(9)), SourceStep::Conclude(waiting("aa", window)));
    assert_eq!(
        report(&mut desired, waiting("aa", window)),
        Some(SourceNews::Waiting { commit: "aa".into(), wait: window })
    );
    assert_eq!(closed(&desired, "aa", Some(9)), waits("aa", window));
    assert_eq!(source_status(&desired.sources[&name("shop")], false, false), SourceStatus::Waiting);
    // A newer one takes its place; a user need not wait; the window opens.
    assert_eq!(closed(&desired, "bb", Some(9)), SourceStep::Conclude(waiting("bb", window)));
    assert_eq!(forced(&desired, "aa"), deploy("aa"));
    assert_eq!(closed(&desired, "aa", None), deploy("aa"));
    report(&mut desired, began("aa"));
    report(&mut desired, deployed("aa", 1));
    assert_eq!(desired.sources[&name("shop")].record.waiting, None);
    // What runs waits for nothing, also when a user follows it in another way; what has begun is finished.
    assert!(matches!(closed(&desired, "aa", Some(9)), SourceStep::Rest(RestReason::UpToDate { .. })));
    let other = SourceSpec { dwell: Millis(1), ..spec("/srv/shop.git") };
    give(&mut desired, "shop", SourceCommand::Add { spec: Box::new(other) });
    assert_eq!(closed(&desired, "aa", Some(9)), deploy("aa"));
    report(&mut desired, began("bb"));
    assert_eq!(closed(&desired, "bb", Some(9)), deploy("bb"));
    // A branch that is set back leaves nothing that waits.
    report(&mut desired, deployed("bb", 2));
    report(&mut desired, waiting("cc", window));
    assert_eq!(closed(&desired, "bb", Some(9)), SourceStep::Conclude(SourceReport::NothingWaits));
    assert_eq!(report(&mut desired, SourceReport::NothingWaits), None);
    assert!(matches!(closed(&desired, "bb", Some(9)), SourceStep::Rest(RestReason::UpToDate { .. })));
}

#[test]
fn a_branch_that_continues_what_runs_again_is_not_stalled_any_more() {
    let mut desired = followed();
    report(&mut desired, began("aa"));
    report(&mut desired, deployed("aa", 1));
    report(&mut desired, stalled("bb"));
    assert!(matches!(step(&desired, Some("bb"), None), SourceStep::Rest(RestReason::Stalled { .. })));
    assert_eq!(step(&desired, Some("aa"), None), SourceStep::Conclude(SourceReport::NothingWaits));
    report(&mut desired, SourceReport::NothingWaits);
    assert!(matches!(step(&desired, Some("aa"), None), SourceStep::Rest(RestReason::UpToDate { .. })));
    assert_eq!(source_status(&desired.sources[&name("shop")], false, false), SourceStatus::Healthy);
}

#[test]
fn only_the_commit_that_was_approved_is_deployed() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let mut desired = followed();
    let approve = |desired: &Desired, commit: &str| {
        let command = SourceCommand::Approve { commit: commit.to_owned() };
        changed_source(desired, &name("shop"), command, (&by(), WallTime(7)))
    };
    let refused = approve(&desired, &a).unwrap_err();
    assert!(refused.message.contains("need no approval"), "{refused:?}");
    let mut careful = spec("/srv/shop.git");
    careful.policy.needs_approval = true;
    give(&mut desired, "shop", SourceCommand::Add { spec: Box::new(careful) });
    assert_eq!(step(&desired, Some(&a), None), SourceStep::Conclude(waiting(&a, CommitWait::Approval)));
    report(&mut desired, waiting(&a, CommitWait::Approval));
    assert_eq!(step(&desired, Some(&a), None), waits(&a, CommitWait::Approval));
    for wrong in ["", "aaaaaaa", &"g".repeat(40), &"A".repeat(40), &"a".repeat(41)] {
        assert!(approve(&desired, wrong).is_err(), "{wrong}");
    }
    let news = give(&mut desired, "shop", SourceCommand::Approve { commit: a.clone() });
    assert_eq!(news, Some(SourceNews::Approved { by: by(), commit: a.clone() }));
    assert_eq!(step(&desired, Some(&a), None), deploy(&a));
    // A newer one waits, and an approved one waits for the window.
    assert_eq!(step(&desired, Some(&b), None), SourceStep::Conclude(waiting(&b, CommitWait::Approval)));
    let window = CommitWait::Window { until: WallTime(9) };
    assert_eq!(closed(&desired, &a, Some(9)), SourceStep::Conclude(waiting(&a, window)));
    assert_eq!(closed(&desired, &b, Some(9)), SourceStep::Conclude(waiting(&b, CommitWait::Approval)));
    // One that failed is not tried again because it was approved once.
    report(&mut desired, began(&a));
    report(&mut desired, failed(&a));
    assert!(matches!(step(&desired, Some(&a), None), SourceStep::Rest(RestReason::Failed { .. })));
}

#[test]
fn what_failed_is_tried_again_only_by_a_user() {
    let mut desired = followed();
    report(&mut desired, began("aa"));
    report(&mut desired, failed("aa"));
    assert!(matches!(step(&desired, Some("aa"), None), SourceStep::Rest(RestReason::Failed { exit_code: 65, .. })));
    assert_eq!(forced(&desired, "aa"), deploy("aa"));
    // Also after others, and after another one was good.
    report(&mut desired, began("bb"));
    report(&mut desired, deployed("bb", 2));
    assert!(matches!(step(&desired, Some("aa"), None), SourceStep::Rest(RestReason::Failed { exit_code: 65, .. })));
    report(&mut desired, began("aa"));
    report(&mut desired, deployed("aa", 3));
    assert!(matches!(step(&desired, Some("aa"), None), SourceStep::Rest(RestReason::UpToDate { .. })));
}

#[test]
fn a_swap_that_has_begun_is_finished_first() {
    let mut desired = followed();
    report(&mut desired, began("aa"));
    report(&mut desired, deployed("aa", 1));
    report(&mut desired, began("bb"));
    let of = |commit: &str, generation| (commit.to_owned(), generation);
    // Nothing of it is declared: a newer commit takes its place.
    assert_eq!(step(&desired, Some("bb"), None), deploy("bb"));
    assert_eq!(step(&desired, Some("cc"), None), deploy("cc"));
    for is_suspended in [false, true] {
        if is_suspended {
            give(&mut desired, "shop", SourceCommand::Suspend);
        }
        for head in [None, Some("bb"), Some("cc")] {
            let (commit, generation) = of("bb", 2);
            let next = |result| step(&desired, head, Some(entry(2, result)));
            assert_eq!(next(EntryResult::Running), SourceStep::Await { commit: commit.clone(), generation });
            assert_eq!(next(EntryResult::Applied), SourceStep::Prove { commit: commit.clone(), generation });
            let back = SourceStep::Return { commit: commit.clone(), to: Some(1) };
            assert_eq!(next(EntryResult::Failed), back);
            assert_eq!(next(EntryResult::Partial), back);
            let over = SourceStep::Conclude(SourceReport::Superseded { commit: commit.clone() });
            assert_eq!(next(EntryResult::Superseded), over);
            let older = CommitEntry { is_newest: false, ..entry(2, EntryResult::Applied) };
            assert_eq!(step(&desired, head, Some(older)), over);
            let returned = CommitEntry { returned_to: Some(1), ..older };
            let concluded = step(&desired, head, Some(returned));
            assert!(matches!(concluded, SourceStep::Conclude(SourceReport::Failed { .. })), "{concluded:?}");
        }
    }
}

#[test]
fn a_source_that_nobody_may_add_is_refused() {
    let mut desired = followed();
    let add = |desired: &Desired, source: &str, spec: SourceSpec| {
        let command = SourceCommand::Add { spec: Box::new(spec) };
        changed_source(desired, &name(source), command, (&by(), WallTime(7))).map(|change| change.is_some())
    };
    assert_eq!(add(&desired, "shop", spec("/srv/shop.git")), Ok(false));
    assert!(add(&desired, "second", spec("/srv/shop.git")).unwrap_err().message.contains("`shop` follows the same"));
    let hasty = SourceSpec { interval: Millis(10), ..spec("/srv/other.git") };
    assert!(add(&desired, "hasty", hasty).unwrap_err().message.contains("at least 1s"));
    // Another URL: what failed may succeed there, and what runs is known.
    report(&mut desired, began("aa"));
    report(&mut desired, deployed("aa", 1));
    report(&mut desired, began("bb"));
    report(&mut desired, failed("bb"));
    give(&mut desired, "shop", SourceCommand::Add { spec: Box::new(spec("/srv/moved.git")) });
    let record = desired.sources[&name("shop")].record.clone();
    assert_eq!((record.failed.len(), record.applied.map(|applied| applied.commit)), (0, Some("aa".to_owned())));
    let gone = changed_source(&desired, &name("no"), SourceCommand::Suspend, (&by(), WallTime(7))).unwrap_err();
    assert_eq!((gone.message.as_str(), gone.hint.as_deref()), ("no source `no`", Some("there are: shop")));
    give(&mut desired, "shop", SourceCommand::Remove);
    assert!(desired.sources.is_empty());
}

#[test]
fn the_same_said_twice_changes_nothing() {
    let mut desired = followed();
    for command in [SourceCommand::Suspend, SourceCommand::Resume] {
        give(&mut desired, "shop", command.clone());
        assert_eq!(changed_source(&desired, &name("shop"), command, (&by(), WallTime(8))), Ok(None));
    }
}

#[test]
fn the_memory_of_failures_is_bounded() {
    let mut desired = followed();
    for number in 0..100 {
        report(&mut desired, failed(&format!("{number:040}")));
    }
    let SourceRecord { failed, .. } = &desired.sources[&name("shop")].record;
    assert_eq!((failed.len(), failed.last().unwrap().commit.as_str()), (20, format!("{:040}", 99).as_str()));
}

#[test]
fn nobody_there_is_asked_less_and_less() {
    let waits: Vec<u64> = [0, 1, 2, 4, 30].map(|failures| after_tick(Millis::seconds(60), failures).0 / 1000).into();
    assert_eq!(waits, [60, 120, 240, 600, 600]);
    assert_eq!(after_tick(Millis::seconds(3600), 5), Millis::seconds(3600));
}

/// A machine that deploys commits; the worker dies after any of its acts, and the next one sees only what is kept.
#[derive(Default)]
struct Machine {
    /// What was applied, in order: the entries of the history.
    applied: Vec<String>,
    entry: Option<CommitEntry>,
    /// Commits that a swap was made to.
    swaps: Vec<String>,
    dead: u32,
}

#[test]
fn a_worker_that_dies_anywhere_applies_nothing_twice_and_ends_at_the_newest_good_commit() {
    for seed in 0..2_000_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut desired = followed();
        let mut machine = Machine::default();
        let bad: BTreeSet<u64> = (1..9).filter(|_| next(3) == 0).collect();
        let (mut head, mut rests) = (1_u64, 0);
        for _ in 0..400 {
            if head < 8 && next(6) == 0 {
                head += 1;
            }
            let head_name = format!("{head:040}");
            let act = step(&desired, Some(&head_name), machine.entry);
            let is_dead = next(5) == 0;
            machine.dead += u32::from(is_dead);
            match act {
                SourceStep::Rest(_) => {
                    rests += 1;
                    if head == 8 && rests > 20 {
                        break;
                    }
                    head = (head + 1).min(8);
                }
                SourceStep::Deploy { commit } => {
                    report(&mut desired, began(&commit));
                    machine.entry = None;
                    if is_dead {
                        continue;
                    }
                    machine.applied.push(commit.clone());
                    machine.swaps.push(commit);
                    machine.entry = Some(entry(machine.applied.len() as u64, EntryResult::Running));
                }
                SourceStep::Await { commit, .. } => {
                    let is_bad = bad.contains(&commit.parse().unwrap());
                    let result = if is_bad { EntryResult::Failed } else { EntryResult::Applied };
                    machine.entry = machine.entry.map(|entry| CommitEntry { result, ..entry });
                }
                SourceStep::Prove { commit, generation } => {
                    if !is_dead {
                        report(&mut desired, deployed(&commit, generation));
                        machine.entry = None;
                    }
                }
                SourceStep::Return { commit, to } => {
                    let back = |entry| CommitEntry { returned_to: to, is_newest: false, ..entry };
                    machine.entry = machine.entry.map(back).filter(|_| to.is_some());
                    if to.is_none() {
                        report(&mut desired, failed(&commit));
                    }
                }
                SourceStep::Conclude(conclusion) => {
                    if !is_dead {
                        report(&mut desired, conclusion);
                        machine.entry = None;
                    }
                }
            }
        }
        let record = &desired.sources[&name("shop")].record;
        let distinct: BTreeSet<&String> = machine.swaps.iter().collect();
        assert_eq!(distinct.len(), machine.swaps.len(), "seed {seed}: applied twice: {:?}", machine.swaps);
        assert_eq!(
            (&record.under_way, record.attempted.as_deref()),
            (&None, Some(format!("{:040}", 8).as_str())),
            "{seed}"
        );
        let good = machine.swaps.iter().rev().find(|commit| !bad.contains(&commit.parse().unwrap()));
        assert_eq!(record.healthy.as_ref().map(|healthy| &healthy.commit), good, "seed {seed}");
    }
}
