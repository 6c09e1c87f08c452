//! What a history remembers, how changes went, and where rollbacks lead.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Actor, AppOutcome, ApplyGuard, Confirm, EntryOrigin, EntryResult, Millis, Note, RefusalKind, Revision,
    RevisionName, RollbackOptions, Template,
};
use crate::plan::history::{KEPT, expired};

fn alice() -> Actor {
    Actor { uid: 7, name: "alice".into() }
}

/// An app that is different with each number.
fn numbered(name: &str, number: u8) -> App {
    app_with(name, |app| {
        app.run.env.insert("N".into(), Template::literal(&number.to_string()));
    })
}

/// A world whose changes are remembered, with every spec that was ever declared.
#[derive(Default)]
struct Remembered {
    world: World,
    revisions: Vec<Revision>,
}

impl Remembered {
    fn keep(&mut self, mut changes: Vec<Change>, origin: &EntryOrigin) {
        let by = alice();
        let news = HistoryNews { by: Some(&by), at: WallTime(1), origin, provenance: None };
        changes.extend(recorded(&shop(), self.world.stored(), &changes, &news));
        self.world.store(changes);
        let apps = self.world.stored().map(|stored| stored.apps.clone()).unwrap_or_default();
        self.revisions.extend(apps.values().map(Declared::revision));
    }

    fn apply_with(&mut self, apps: Vec<App>, options: &ApplyOptions) -> Result<Plan, Refusal> {
        let decision = self.world.decide(&proposed(apps), options)?;
        self.keep(decision.changes, &EntryOrigin::Apply);
        self.carry_out(&decision.plan);
        self.conclude();
        Ok(decision.plan)
    }

    fn apply(&mut self, apps: &[(&str, u8)]) -> Plan {
        let apps = apps.iter().map(|(name, number)| numbered(name, *number)).collect();
        self.apply_with(apps, &ApplyOptions::default()).unwrap()
    }

    /// To the end: no rollout is left open.
    fn carry_out(&mut self, plan: &Plan) {
        self.world.execute(&plan.operations);
        let rolled = plan.operations.iter().filter(|one| matches!(one.verb, Verb::Roll { .. }));
        let over = rolled.map(|one| Change::Rollout { project: shop(), name: one.app.clone(), rollout: None });
        self.world.store(over.collect());
    }

    fn conclude(&mut self) {
        let changes = concluded(&shop(), self.world.stored().unwrap(), &self.world.live, WallTime(2));
        self.world.store(changes);
        let again = concluded(&shop(), self.world.stored().unwrap(), &self.world.live, WallTime(3));
        assert_eq!(again, [], "what was concluded once is not written again");
    }

    fn find(&self, name: &RevisionName) -> Revision {
        self.revisions.iter().find(|revision| revision.name() == *name).unwrap().clone()
    }

    fn roll_back(&mut self, change: impl FnOnce(&mut RollbackOptions)) -> Result<(u64, Plan), Refusal> {
        let mut options = RollbackOptions::default();
        change(&mut options);
        let stored = self.world.stored().unwrap().clone();
        let to = target_of(&stored, &options)?;
        let names = revisions_of(&stored, to, &options.apps)?;
        let revisions = names.iter().map(|(app, name)| (app.clone(), self.find(name))).collect();
        let returned = rollback(&shop(), &stored, (to, revisions), &self.world.live, &options)?;
        if let Some(refusal) = returned.refusals.into_iter().next() {
            return Err(refusal);
        }
        self.keep(returned.decision.changes, &EntryOrigin::Rollback { to });
        self.carry_out(&returned.decision.plan);
        self.conclude();
        Ok((to, returned.decision.plan))
    }

    fn to(&mut self, generation: u64) -> Plan {
        self.roll_back(|options| options.to = Some(generation.to_string())).unwrap().1
    }

    /// `a1 b2`: what is declared, with the numbers of the environments.
    fn declared(&self) -> String {
        let apps = &self.world.stored().unwrap().apps;
        let shown = |(name, declared): (&AppName, &Declared)| {
            let number = declared.spec.run.env.get("N").map(|value| value.source().to_owned());
            format!("{name}{}", number.unwrap_or_default())
        };
        apps.iter().filter(|(_, declared)| !declared.is_leaving).map(shown).collect::<Vec<_>>().join(" ")
    }

    fn generations(&self) -> Vec<u64> {
        self.world.stored().unwrap().history.entries().map(|entry| entry.generation).collect()
    }

    fn fate(&mut self, name: &str, phase: Phase) {
        let id = AppId::new(shop(), name.parse().unwrap()).instance(0);
        self.world.live.instances.get_mut(&id).unwrap().phase = phase;
    }
}

fn remembered() -> Remembered {
    let mut it = Remembered::default();
    it.apply(&[("a", 1), ("b", 1)]);
    it.apply(&[("a", 2), ("b", 1)]);
    it.apply(&[("a", 2), ("b", 2)]);
    it
}

#[test]
fn a_change_of_what_is_declared_has_an_entry_and_nothing_else_has() {
    let mut it = remembered();
    let generations = it.generations();
    assert_eq!(generations.len(), 3);
    it.apply(&[("a", 2), ("b", 2)]);
    for each in [Edit::Restart, Edit::Stop { is_held: false }, Edit::Start, Edit::Scale { to: 3 }, Edit::Reload] {
        let project = shop();
        let targets = [("a".parse().unwrap(), None)];
        let request = EditRequest { project: &project, targets: &targets, edit: &each, by: "alice", at: WallTime(7) };
        let changes = edit(it.world.stored().unwrap(), &it.world.live, &request).unwrap();
        it.keep(changes, &EntryOrigin::Delete);
        it.world.wake();
    }
    assert_eq!(it.generations(), generations);
    let project = shop();
    let targets = [("a".parse().unwrap(), None)];
    let request =
        EditRequest { project: &project, targets: &targets, edit: &Edit::Delete, by: "alice", at: WallTime(7) };
    let changes = edit(it.world.stored().unwrap(), &it.world.live, &request).unwrap();
    it.keep(changes, &EntryOrigin::Delete);
    let newest = it.world.stored().unwrap().history.newest().unwrap();
    assert_eq!((newest.origin.clone(), newest.apps.len()), (EntryOrigin::Delete, 1));
    assert!(newest.generation > generations[2] + 4, "restarts and stops have numbers, too");
}

#[test]
fn how_a_change_went_is_found_from_what_lives() {
    let running = || Phase::Running { pid: 1, since: Moment(1), readiness: Readiness::Ready };
    let waiting = || Phase::Running {
        pid: 1,
        since: Moment(1),
        readiness: Readiness::Waiting { deadline: Moment(9), last: None },
    };
    let failing = || Phase::Running {
        pid: 1,
        since: Moment(1),
        readiness: Readiness::Failing { last: "503".into(), failures: 1 },
    };
    let backoff = || Phase::Backoff { until: Moment(1), delay: Millis(1), attempt: 1 };
    let cases = [
        (running(), running(), EntryResult::Applied, AppOutcome::Healthy),
        (errored(), running(), EntryResult::Partial, AppOutcome::Failed),
        (errored(), errored(), EntryResult::Failed, AppOutcome::Failed),
        (backoff(), running(), EntryResult::Partial, AppOutcome::Failed),
        (failing(), running(), EntryResult::Partial, AppOutcome::Failed),
        (waiting(), running(), EntryResult::Running, AppOutcome::Pending),
        (waiting(), errored(), EntryResult::Running, AppOutcome::Pending),
        (Phase::Starting, running(), EntryResult::Running, AppOutcome::Pending),
        (Phase::Done { exit: Exit::Code(0) }, running(), EntryResult::Applied, AppOutcome::Healthy),
        (Phase::Stopped, running(), EntryResult::Partial, AppOutcome::Failed),
    ];
    for (a, b, result, outcome) in cases {
        let mut it = Remembered::default();
        let decision =
            it.world.decide(&proposed([numbered("a", 1), numbered("b", 1)]), &ApplyOptions::default()).unwrap();
        it.keep(decision.changes, &EntryOrigin::Apply);
        it.carry_out(&decision.plan);
        it.fate("a", a.clone());
        it.fate("b", b.clone());
        it.conclude();
        let entry = it.world.stored().unwrap().history.newest().unwrap().clone();
        assert_eq!((entry.result, entry.apps[&"a".parse().unwrap()].outcome), (result, outcome), "{a:?} {b:?}");
        // Later it comes up after all: that counts, and lasts.
        it.fate("a", running());
        it.fate("b", running());
        it.conclude();
        it.fate("a", errored());
        it.conclude();
        let entry = it.world.stored().unwrap().history.newest().unwrap();
        assert_eq!(entry.apps[&"a".parse().unwrap()].outcome, AppOutcome::Healthy, "{a:?} {b:?}");
    }
}

#[test]
fn what_is_older_than_the_history_is_its_first_entry() {
    let mut world = World::with([numbered("a", 1)]);
    let changes = concluded(&shop(), world.stored().unwrap(), &world.live, WallTime(5));
    world.store(changes);
    let entry = world.stored().unwrap().history.newest().unwrap().clone();
    assert_eq!((entry.generation, entry.origin, entry.by), (1, EntryOrigin::Found, None));
    let changes = concluded(&shop(), world.stored().unwrap(), &world.live, WallTime(6));
    world.store(changes);
    assert_eq!(world.stored().unwrap().history.newest().unwrap().result, EntryResult::Applied);
}

#[test]
fn a_rollback_goes_to_the_newest_good_one_before_and_never_to_what_was_rolled_back() {
    let mut it = remembered();
    let (to, plan) = it.roll_back(|_| ()).unwrap();
    assert_eq!((to, it.declared().as_str(), plan.summary.roll), (2, "a2 b1", 1));
    assert_eq!(it.roll_back(|_| ()).unwrap().0, 1, "not forward to what was just rolled back");
    assert_eq!(it.declared(), "a1 b1");
    let refused = it.roll_back(|_| ()).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Safety);
    assert!(refused.message.contains("no earlier generation"), "{}", refused.message);
    // Named, it may go anywhere.
    it.to(3);
    assert_eq!(it.declared(), "a2 b2");
    assert_eq!(it.world.declared("a").pin, None, "as the file says: nothing is pinned");
}

#[test]
fn one_rollback_after_another_goes_further_back_and_never_forward() {
    let mut shop = remembered();
    let known = shop.generations().len();
    for number in 21..25 {
        shop.apply(&[("a", number)]);
    }
    let mut targets = Vec::new();
    while let Ok((to, _)) = shop.roll_back(|_| {}) {
        targets.push(to);
        assert!(targets.len() < 50, "{targets:?}");
    }
    assert!(targets.len() >= 3 && targets.is_sorted_by(|one, next| one > next), "{targets:?} of {known} and 4");
}

#[test]
fn a_rollback_over_a_rename_sticks_too_and_one_app_alone_is_not_renamed() {
    let mut shop = Remembered::default();
    shop.apply(&[("old", 1)]);
    let renamed = || {
        let mut app = numbered("new", 2);
        app.moved_from = vec!["shop:old".parse().unwrap()];
        vec![app]
    };
    shop.apply_with(renamed(), &ApplyOptions::default()).unwrap();
    let alone = shop.roll_back(|options| options.apps = vec!["old".parse().unwrap()]).unwrap_err();
    assert!(alone.message.contains("`old` is called `new` now"), "{alone}");
    shop.roll_back(|_| {}).unwrap();
    assert_eq!(shop.declared(), "old1");
    let refused = shop.apply_with(renamed(), &ApplyOptions::default()).unwrap_err();
    assert_eq!((refused.kind, refused.confirm), (RefusalKind::Safety, Some(Confirm::Again)), "{refused}");
    assert_eq!(shop.declared(), "old1");
    let again = ApplyOptions { guard: ApplyGuard { again: true, if_generation: None }, ..ApplyOptions::default() };
    shop.apply_with(renamed(), &again).unwrap();
    assert_eq!(shop.declared(), "new2");
}

#[test]
fn what_was_stopped_before_it_ran_is_no_target() {
    let mut it = Remembered::default();
    it.apply(&[("a", 1)]);
    // It is stopped while it is built: no process of it ever ran.
    let decision = it.world.decide(&proposed([numbered("a", 2)]), &ApplyOptions::default()).unwrap();
    it.keep(decision.changes, &EntryOrigin::Apply);
    it.world.store(vec![Change::Rollout { project: shop(), name: "a".parse().unwrap(), rollout: None }]);
    it.world.edit("a", None, &Edit::Stop { is_held: false }).unwrap();
    it.conclude();
    let entry = it.world.stored().unwrap().history.newest().unwrap().clone();
    assert_eq!((entry.result, entry.apps[&"a".parse().unwrap()].outcome), (EntryResult::Applied, AppOutcome::Stopped));
    it.apply(&[("a", 3)]);
    assert_eq!(it.roll_back(|_| ()).unwrap().0, 1);
    // One that had run before it was stopped is one.
    let mut it = Remembered::default();
    it.apply(&[("a", 1)]);
    it.apply(&[("a", 2)]);
    it.world.edit("a", None, &Edit::Stop { is_held: false }).unwrap();
    it.conclude();
    it.apply(&[("a", 3)]);
    assert_eq!(it.roll_back(|_| ()).unwrap().0, 2);
}

#[test]
fn a_rollback_knows_an_app_under_another_name_by_its_looks() {
    // The same port, another program; nothing in the file says that it is the same app.
    let on_port = |name: &str, number: u8, port: u16| {
        let mut app = numbered(name, number);
        app.run.port = Some(port);
        app
    };
    let mut it = Remembered::default();
    it.apply_with(vec![on_port("old", 1, 80), on_port("web", 1, 90)], &ApplyOptions::default()).unwrap();
    let file = || vec![on_port("new", 2, 80), on_port("web", 1, 90)];
    it.apply_with(file(), &ApplyOptions::default()).unwrap();
    let alone = it.roll_back(|options| {
        (options.apps, options.to) = (vec!["old".parse().unwrap()], Some("1".into()));
    });
    let alone = alone.unwrap_err();
    assert!(alone.message.contains("`old` looks like `new`"), "{alone}");
    let plan = it.to(1);
    assert_eq!(it.declared(), "old1 web1");
    let looks = Reason::LooksLikeRename { old: "new".parse().unwrap() };
    assert!(reasons(&plan, "old").contains(&looks), "{plan:?}");
    assert!(it.world.pids().keys().all(|name| name != "new/0"), "{:?}", it.world.pids());
    // It sticks, although the file knows only the new name.
    let refused = it.apply_with(file(), &ApplyOptions::default()).unwrap_err();
    assert_eq!((refused.kind, refused.confirm), (RefusalKind::Safety, Some(Confirm::Again)), "{refused}");
    let mut more = file();
    more.push(on_port("job", 1, 70));
    it.apply_with(more, &ApplyOptions::default()).unwrap();
    assert_eq!(it.declared(), "job1 old1 web1");
    // The fix needs no option.
    it.apply_with(vec![on_port("new", 3, 80), on_port("web", 1, 90)], &ApplyOptions::default()).unwrap();
    assert_eq!(it.declared(), "new3 web1");
}

#[test]
fn of_several_apps_that_look_alike_none_is_taken_for_the_one_before() {
    let same = |name: &str| {
        let mut app = numbered(name, 1);
        app.run.script = Some("/srv/shop/same.js".into());
        app
    };
    let mut it = Remembered::default();
    it.apply_with(vec![same("old")], &ApplyOptions::default()).unwrap();
    it.apply_with(vec![same("one"), same("two")], &ApplyOptions::default()).unwrap();
    let plan = it.to(1);
    assert_eq!(it.declared(), "old1 one1 two1");
    assert!(!plan.operations.iter().any(|one| matches!(one.verb, Verb::Rename { .. })), "{plan:?}");
    // Nor where another one, that both generations have, looks so.
    let mut it = Remembered::default();
    it.apply_with(vec![same("old"), same("web")], &ApplyOptions::default()).unwrap();
    it.apply_with(vec![same("new"), same("web")], &ApplyOptions::default()).unwrap();
    it.to(1);
    assert_eq!(it.declared(), "new1 old1 web1");
}

#[test]
fn what_failed_has_a_second_entry_when_it_is_applied_again() {
    let mut it = Remembered::default();
    it.apply(&[("a", 1), ("b", 1)]);
    let before = it.world.declared("a").clone();
    let decision = it.world.decide(&proposed([numbered("a", 2), numbered("b", 1)]), &ApplyOptions::default()).unwrap();
    it.keep(decision.changes, &EntryOrigin::Apply);
    // It fails, and `pm` declares the revision before again.
    let back = Change::App { project: shop(), name: "a".parse().unwrap(), declared: Box::new(before) };
    it.world.store(vec![back, Change::Rollout { project: shop(), name: "a".parse().unwrap(), rollout: None }]);
    it.conclude();
    let outcome = |it: &Remembered, generation: u64| {
        let history = &it.world.stored().unwrap().history;
        let entry = history.entry(generation).unwrap();
        (entry.result, entry.apps.keys().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(outcome(&it, 2), (EntryResult::Failed, "a".into()));
    it.apply(&[("a", 2), ("b", 1)]);
    let newest = it.world.stored().unwrap().history.newest().unwrap().generation;
    assert!(newest > 2, "the second try has an entry of its own");
    assert_eq!(outcome(&it, newest), (EntryResult::Applied, "a".into()));
    assert_eq!(outcome(&it, 2).0, EntryResult::Failed, "the first one failed all the same");
    it.apply(&[("a", 2), ("b", 1)]);
    assert_eq!(it.world.stored().unwrap().history.newest().unwrap().generation, newest);
}

#[test]
fn what_is_declared_anew_of_a_held_app_is_in_the_plan_of_a_rollback() {
    let mut it = remembered();
    it.world.edit("a", None, &Edit::Stop { is_held: true }).unwrap();
    let plan = it.to(1);
    assert!(verbs(&plan).contains(&"reconfigure a".to_owned()), "{plan:?}");
    assert_eq!(reasons(&plan, "a")[0], Reason::StoppedByHand { by: "alice".into(), is_held: true });
    assert!(it.world.pids().keys().all(|name| name != "a/0"), "{:?}", it.world.pids());
}

#[test]
fn what_failed_is_no_target() {
    let mut it = Remembered::default();
    it.apply(&[("a", 1)]);
    let decision = it.world.decide(&proposed([numbered("a", 2)]), &ApplyOptions::default()).unwrap();
    it.keep(decision.changes, &EntryOrigin::Apply);
    it.carry_out(&decision.plan);
    it.fate("a", errored());
    it.conclude();
    it.apply(&[("a", 3)]);
    assert_eq!(it.roll_back(|_| ()).unwrap().0, 1);
}

#[test]
fn a_rollback_sticks_until_the_file_says_something_else_of_that_app() {
    let mut it = remembered();
    it.to(1);
    assert_eq!(it.declared(), "a1 b1");
    let file = |a: u8, b: u8, c: u8| vec![numbered("a", a), numbered("b", b), numbered("c", c)];
    let pinned = |plan: &Plan| plan.notes.iter().filter(|note| matches!(note, Note::Pinned { .. })).count();
    // The same file once more: there is nothing but what was rolled back.
    let refused = it.apply_with(vec![numbered("a", 2), numbered("b", 2)], &ApplyOptions::default()).unwrap_err();
    assert_eq!((refused.kind, refused.confirm), (RefusalKind::Safety, Some(Confirm::Again)));
    assert!(refused.message.contains("`a` and 1 more was rolled back to generation 1"), "{}", refused.message);
    // Something else changes: that goes through, and what was rolled back stays.
    let plan = it.apply_with(file(2, 2, 1), &ApplyOptions::default()).unwrap();
    assert_eq!((it.declared().as_str(), pinned(&plan)), ("a1 b1 c1", 2));
    // Of `a` the file says something else: `b` stays.
    let plan = it.apply_with(file(3, 2, 1), &ApplyOptions::default()).unwrap();
    assert_eq!((it.declared().as_str(), pinned(&plan)), ("a3 b1 c1", 1));
    // The fix goes through and lifts the pin; what was rolled back may come back then.
    it.apply_with(file(3, 3, 1), &ApplyOptions::default()).unwrap();
    it.apply_with(file(3, 2, 1), &ApplyOptions::default()).unwrap();
    assert_eq!(it.declared(), "a3 b2 c1");
}

#[test]
fn again_applies_what_was_rolled_back() {
    let mut it = remembered();
    it.to(1);
    let again = ApplyOptions { guard: ApplyGuard { again: true, if_generation: None }, ..ApplyOptions::default() };
    it.apply_with(vec![numbered("a", 2), numbered("b", 2)], &again).unwrap();
    assert_eq!(it.declared(), "a2 b2");
    assert!(it.apply(&[("a", 2), ("b", 2)]).is_empty(), "nothing is pinned any more");
}

#[test]
fn apps_that_are_newer_stay_and_those_that_were_removed_come_back_and_stay() {
    let mut it = remembered();
    it.apply(&[("b", 2), ("c", 1)]);
    assert_eq!(it.declared(), "b2 c1");
    let plan = it.to(1);
    assert_eq!(it.declared(), "a1 b1 c1");
    assert!(plan.notes.contains(&Note::NotInGeneration { app: "c".parse().unwrap(), generation: 1 }));
    // The file, which has no `a`, does not delete it again.
    let refused = it.apply_with(vec![numbered("b", 2), numbered("c", 1)], &ApplyOptions::default()).unwrap_err();
    assert_eq!(refused.confirm, Some(Confirm::Again));
    let plan = it.apply(&[("b", 3), ("c", 1)]);
    assert_eq!(it.declared(), "a1 b3 c1");
    assert!(!plan.operations.iter().any(|one| matches!(one.verb, Verb::Delete { .. })), "{plan:?}");
    let (_, plan) = it.roll_back(|options| (options.to, options.prune) = (Some("1".into()), true)).unwrap();
    let deleted: Vec<_> = plan.operations.iter().filter(|one| matches!(one.verb, Verb::Delete { .. })).collect();
    assert_eq!((deleted.len(), &deleted[0].reasons), (1, &vec![Reason::NotInGeneration { generation: 1 }]));
}

#[test]
fn one_app_can_go_back_alone() {
    let mut it = remembered();
    let (to, plan) = it.roll_back(|options| options.apps = vec!["a".parse().unwrap()]).unwrap();
    assert_eq!((to, it.declared().as_str()), (1, "a1 b2"));
    assert!(plan.operations.iter().all(|one| one.app.as_str() == "a"));
    let unknown = it.roll_back(|options| {
        (options.apps, options.to) = (vec!["z".parse().unwrap()], Some("1".into()));
    });
    assert!(unknown.unwrap_err().message.contains("generation 1 has no app `z`"));
}

#[test]
fn an_app_that_was_renamed_since_gets_its_old_name_back() {
    let mut it = Remembered::default();
    it.apply(&[("old", 1)]);
    let renamed = app_with("new", |app| {
        app.run.env.insert("N".into(), Template::literal("2"));
        app.moved_from = vec![AppId::new(shop(), "old".parse().unwrap())];
    });
    it.apply_with(vec![renamed], &ApplyOptions::default()).unwrap();
    let plan = it.to(1);
    assert_eq!(it.declared(), "old1");
    assert!(plan.operations.iter().any(|one| matches!(&one.verb, Verb::Rename { from } if from.as_str() == "new")));
}

#[test]
fn an_entry_is_named_by_its_number_or_its_tag() {
    let mut it = remembered();
    let tag = |it: &mut Remembered, entry: &str, tag: Option<&str>| {
        let changes = tagged(&shop(), it.world.stored().unwrap(), entry, tag)?;
        it.world.store(changes);
        Ok::<_, Refusal>(())
    };
    tag(&mut it, "1", Some("v1")).unwrap();
    assert_eq!(entry_of(it.world.stored().unwrap(), "v1").unwrap().generation, 1);
    // It moves; an entry has one.
    tag(&mut it, "2", Some("v1")).unwrap();
    assert_eq!(entry_of(it.world.stored().unwrap(), "v1").unwrap().generation, 2);
    assert_eq!(it.world.stored().unwrap().history.entry(1).unwrap().tag, None);
    tag(&mut it, "v1", None).unwrap();
    for unknown in ["v1", "99", "0", "", "-1", "99999999999999999999999"] {
        let refused = entry_of(it.world.stored().unwrap(), unknown).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Usage);
        assert!(refused.hint.unwrap().contains("3, 2, 1"), "{unknown}");
    }
    for wrong in ["7", "", "a b", "-x", "ä\u{1b}", &"x".repeat(41)] {
        assert!(tag(&mut it, "1", Some(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn every_plan_back_is_a_plan_that_leads_there() {
    // Whatever was applied, went wrong or was tagged: what is kept is bounded, says the same as if all were kept, and has
    // the last healthy revision of every app; and a rollback to any of it declares just that.
    let names = ["a", "b", "c"];
    let step = (prop::collection::vec(prop::option::weighted(0.8, 1_u8..6), 3), 0_usize..4, any::<bool>());
    proptest!(ProptestConfig::with_cases(48), |(steps in prop::collection::vec(step, 1..40))| {
        let mut it = Remembered::default();
        let mut all = Vec::new();
        let mut healthy: BTreeMap<AppName, RevisionName> = BTreeMap::new();
        for (numbers, broken, is_tagged) in steps {
            let apps: Vec<App> =
                names.iter().zip(&numbers).filter_map(|(name, number)| Some(numbered(name, (*number)?))).collect();
            let options = ApplyOptions { allow_empty: true, yes: true, ..ApplyOptions::default() };
            let decision = it.world.decide(&proposed(apps.clone()), &options).unwrap();
            it.keep(decision.changes, &EntryOrigin::Apply);
            it.carry_out(&decision.plan);
            // An apply ends by forgetting what left.
            let leaving: Vec<AppName> = it.world.stored().unwrap().apps.iter().filter(|(_, app)| app.is_leaving).map(|(name, _)| name.clone()).collect();
            it.world.store(leaving.into_iter().map(|name| Change::AppRemoved { project: shop(), name }).collect());
            if let Some(app) = apps.get(broken) {
                it.fate(app.name.as_str(), errored());
            }
            it.conclude();
            let stored = it.world.stored().unwrap().clone();
            let Some(newest) = stored.history.newest() else { continue };
            if all.last().is_none_or(|(generation, _): &(u64, String)| *generation < newest.generation) {
                all.push((newest.generation, it.declared()));
            }
            if is_tagged && newest.generation % 7 == 0 {
                let changes = tagged(&shop(), &stored, &newest.generation.to_string(), Some(&format!("v{}", newest.generation))).unwrap();
                it.world.store(changes);
            }
            for (app, entry) in stored.history.declared_at(u64::MAX) {
                if entry.outcome == AppOutcome::Healthy {
                    healthy.insert(app.clone(), entry.revision.unwrap());
                }
            }
        }
        let Some(stored) = it.world.stored().cloned() else { return Ok(()) };
        let kept: BTreeSet<u64> = stored.history.entries().map(|entry| entry.generation).collect();
        let tags = stored.history.entries().filter(|entry| entry.tag.is_some()).count();
        prop_assert!(kept.len() <= KEPT + tags + names.len());
        prop_assert_eq!(expired(&stored.history).len() <= names.len(), true);
        let known: BTreeSet<_> = stored.history.entries().flat_map(|entry| entry.apps.values()).filter_map(|change| change.revision).map(|name| name.digest).collect();
        for app in stored.apps.keys() {
            if let Some(name) = healthy.get(app) {
                prop_assert!(known.contains(&name.digest), "the last healthy revision of {} is gone", app);
            }
        }
        for (generation, declared) in all.iter().filter(|(generation, _)| kept.contains(generation)) {
            let mut back = Remembered { world: it.world.clone(), revisions: it.revisions.clone() };
            let gone = declared.is_empty();
            let result = back.roll_back(|options| *options = RollbackOptions { to: Some(generation.to_string()), prune: true, yes: true, ..RollbackOptions::default() });
            prop_assert!(result.is_ok(), "{:?}", result);
            let leaving: Vec<AppName> = back.world.stored().unwrap().apps.iter().filter(|(_, app)| app.is_leaving).map(|(name, _)| name.clone()).collect();
            prop_assert!(gone || !leaving.len() > 3);
            prop_assert_eq!(&back.declared(), declared);
        }
    });
}
