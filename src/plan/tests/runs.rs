//! Tasks with a schedule: nothing but the clock or a person starts them.

use super::*;
use crate::model::{CronOverlap, DesiredState, Kind, Millis};

fn backup() -> App {
    app_with("backup", |app| {
        app.kind = Kind::Task;
        app.schedule.cron_restart = Some("@daily".into());
    })
}

fn slot0() -> InstanceId {
    "shop:backup/0".parse().unwrap()
}

impl World {
    fn due(&mut self, is_replacing: bool) -> Plan {
        let plan = plan_run(&shop(), self.stored().unwrap(), &"backup".parse().unwrap(), &self.live, is_replacing);
        self.execute(&plan.operations);
        plan
    }

    /// As the reconciler does it: the edit is stored, then its plan carried out.
    fn by_hand(&mut self, name: &str, edit: &Edit) -> Result<Plan, Refusal> {
        let targets = [(name.parse().unwrap(), None)];
        let project = shop();
        let request = EditRequest { project: &project, targets: &targets, edit, by: "alice", at: WallTime(7) };
        let changes = super::super::edit(self.stored().unwrap(), &self.live, &request)?;
        self.store(changes);
        let plan = plan_edited(&project, self.stored().unwrap(), &self.live, &targets, edit, true);
        self.execute(&plan.operations);
        Ok(plan)
    }
}

#[test]
fn nothing_starts_a_timed_task_by_itself() {
    let mut world = World::default();
    let plan = world.apply([backup()]);
    assert_eq!(verbs(&plan), ["reconfigure backup"]);
    assert_eq!(reasons(&plan, "backup"), [Reason::New, Reason::RunsOnTime]);
    let again = world.apply([backup()]);
    assert_eq!((verbs(&again), reasons(&again, "backup")), (Vec::new(), vec![Reason::RunsOnTime]));
    assert_eq!(world.wake().operations, []);
    assert_eq!(verbs(&world.due(false)), ["start backup [0]"]);
    let done = Phase::Done { exit: Exit::Code(0) };
    let backoff = Phase::Backoff { until: Moment(9), delay: Millis(9), attempt: 2 };
    for phase in [done, errored(), Phase::Stopped, Phase::Starting, backoff] {
        world.set_phase(&slot0(), phase.clone());
        assert_eq!(world.wake().operations, [], "{phase:?}");
        assert_eq!(verbs(&world.apply([backup()])), Vec::<String>::new(), "{phase:?}");
    }
}

#[test]
fn a_run_goes_on_whatever_is_applied_meanwhile() {
    let mut world = World::with([backup()]);
    world.due(false);
    let mut changed = backup();
    changed.run.port = Some(80);
    changed.schedule.cron_overlap = CronOverlap::Queue;
    assert_eq!(verbs(&world.apply([changed])), ["reconfigure backup"]);
    assert_eq!(world.wake().operations, []);
    assert_eq!(verbs(&world.by_hand("backup", &Edit::Stop { is_held: false }).unwrap()), ["stop backup [0]"]);
    assert_eq!(world.due(false).operations, [], "it is stopped");
}

#[test]
fn a_service_that_becomes_a_timed_task_is_stopped_and_back_again_started() {
    let service = || app("backup");
    let mut world = World::with([service()]);
    let plan = world.apply([backup()]);
    assert!(verbs(&plan).contains(&"stop backup [0]".to_owned()), "{:?}", verbs(&plan));
    assert!(reasons(&plan, "backup").contains(&Reason::RunsOnTime));
    assert_eq!(world.wake().operations, []);
    assert_eq!(verbs(&world.apply([service()])), ["start backup [0]"]);
}

#[test]
fn a_person_runs_it_now() {
    let mut world = World::with([backup(), app("api")]);
    let plan = world.by_hand("backup", &Edit::Run).unwrap();
    assert_eq!((verbs(&plan), reasons(&plan, "backup")), (vec!["start backup [0]".to_owned()], vec![Reason::RunAsked]));
    let refusal = world.by_hand("backup", &Edit::Run).unwrap_err();
    assert!(refusal.message.contains("is already running"), "{}", refusal.message);
    assert_eq!(verbs(&world.by_hand("backup", &Edit::Start).unwrap()), Vec::<String>::new());
    assert_eq!(verbs(&world.by_hand("backup", &Edit::Restart).unwrap()), ["restart backup [0]"]);
    assert_eq!(world.stored().unwrap().generation, 1, "a run is no change of what is declared");
    assert!(world.by_hand("api", &Edit::Run).unwrap_err().message.contains("no schedule"));
    world.by_hand("backup", &Edit::Stop { is_held: false }).unwrap();
    assert!(world.by_hand("backup", &Edit::Run).unwrap_err().hint.unwrap().contains("pm start backup"));
    assert_eq!(verbs(&world.by_hand("backup", &Edit::Start).unwrap()), ["start backup [0]"]);
    assert_eq!(world.declared("backup").desired_state, DesiredState::Up);
}

#[test]
fn a_task_that_is_not_named_alone_is_woken_and_not_run() {
    let mut world = World::with([backup(), app("api")]);
    world.by_hand("backup", &Edit::Stop { is_held: false }).unwrap();
    let (project, targets) = (shop(), [("backup".parse().unwrap(), None), ("api".parse().unwrap(), None)]);
    for edit in [Edit::Start, Edit::Restart] {
        let request = EditRequest { project: &project, targets: &targets, edit: &edit, by: "alice", at: WallTime(7) };
        let changes = super::super::edit(world.stored().unwrap(), &world.live, &request).unwrap();
        world.store(changes);
        let plan = plan_edited(&project, world.stored().unwrap(), &world.live, &targets, &edit, false);
        assert!(reasons(&plan, "backup").is_empty(), "{edit:?}");
        assert_eq!(world.declared("backup").desired_state, DesiredState::Up);
    }
}

#[test]
fn a_service_with_a_schedule_is_restarted_by_hand_as_by_the_clock() {
    let mut world = World::with([app_with("api", |app| app.schedule.cron_restart = Some("@daily".into()))]);
    assert_eq!(verbs(&world.by_hand("api", &Edit::Run).unwrap()), ["roll api [0]"]);
}

#[test]
fn a_run_that_takes_the_place_of_another_replaces_it() {
    let mut world = World::with([backup()]);
    world.due(false);
    assert_eq!(verbs(&world.due(true)), ["restart backup [0]"]);
    assert_eq!(world.due(false).operations, [], "what runs is kept");
}
