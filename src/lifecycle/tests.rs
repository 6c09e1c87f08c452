//! Stories of one instance, and properties that hold for all of them.

use std::sync::Arc;

use proptest::prelude::*;

use super::samples::app;
use super::*;
use crate::model::{
    Bytes, Cause, Exit, Fact, Failure, Following, Health, HealthAction, Hook, Millis, Moment, Probe, Readiness, Ready,
    RestartWhen, SpawnError, SpawnStage,
};

fn machine() -> Machine {
    Machine::new(Arc::new(app()), 1)
}

fn command() -> Cause {
    Cause::Command { by: crate::model::Actor { uid: 0, name: "root".into() }, verb: "start".into() }
}

fn no_program() -> Input {
    Input::SpawnFailed { failure: Failure::Exited { exit: Exit::Code(127) } }
}

/// The effects without the facts.
fn deeds(effects: Vec<Effect>) -> Vec<Effect> {
    effects.into_iter().filter(|effect| !matches!(effect, Effect::Emit(_))).collect()
}

fn running() -> Machine {
    let mut machine = machine();
    machine.step(Input::Start(command()), Moment(0));
    machine.step(Input::Spawned { pid: 7 }, Moment(0));
    machine
}

#[test]
fn a_start_spawns_once_and_settles_when_the_process_runs() {
    let mut machine = machine();
    assert_eq!(machine.step(Input::Start(command()), Moment(0)), [Effect::Spawn { incarnation: 1 }]);
    assert_eq!(deeds(machine.step(Input::Start(command()), Moment(1))), []);
    assert_eq!(deeds(machine.step(Input::Spawned { pid: 7 }, Moment(2))), []);
    assert_eq!(machine.state, State::Running { since: Moment(2), readiness: Readiness::Ready });
}

#[test]
fn a_crash_is_followed_by_a_new_process_at_once() {
    let mut machine = running();
    let crash = Input::Exited { incarnation: 1, exit: Exit::Code(1) };
    assert_eq!(deeds(machine.step(crash, Moment(5))), [Effect::Sweep]);
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(5))), [Effect::Spawn { incarnation: 2 }]);
    assert_eq!((machine.restarts, machine.unstable), (1, 1));
}

#[test]
fn a_successor_that_fails_is_not_tried_again() {
    let mut machine = Machine { is_successor: true, ..running() };
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(1) }, Moment(5));
    let failure = Failure::Exited { exit: Exit::Code(1) };
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(5))), []);
    assert_eq!(machine.state, State::Resting(Rest::Errored(failure)));
}

#[test]
fn a_number_that_a_failed_successor_has_borne_is_not_given_again() {
    let mut machine = Machine { last_number: 5, ..running() };
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(1) }, Moment(5));
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(5))), [Effect::Spawn { incarnation: 6 }]);
}

#[test]
fn what_passes_is_tried_again_and_no_policy_counts_it() {
    let busy = || Failure::Spawn {
        error: SpawnError {
            stage: SpawnStage::Exec,
            subject: "web".into(),
            errno: 26,
            message: "Text file busy".into(),
            is_passing: true,
        },
    };
    let mut spec = app();
    spec.restart.restart = RestartWhen::Never;
    spec.restart.max_restarts = Some(1);
    for is_successor in [false, true] {
        let mut machine = Machine { is_successor, policy: Arc::new(spec.clone()), ..machine() };
        let mut now = Moment(0);
        machine.step(Input::Start(command()), now);
        for _ in 0..20 {
            machine.step(Input::SpawnFailed { failure: busy() }, now);
            let until = machine.alarm().expect("it is tried again");
            assert!(until.since(now) <= Millis::seconds(5));
            now = until;
            assert!(matches!(deeds(machine.step(Input::Alarm, now))[..], [Effect::Spawn { .. }]));
        }
        assert_eq!((machine.restarts, machine.unstable), (0, 0));
        machine.step(Input::Spawned { pid: 7 }, now);
        assert_eq!(machine.trouble, None);
    }
}

#[test]
fn after_some_crashes_in_a_row_the_next_start_waits_and_the_alarm_ends_the_wait() {
    let mut machine = running();
    for incarnation in 1..=6 {
        assert_eq!(machine.alarm(), None);
        machine.step(Input::Exited { incarnation, exit: Exit::Code(1) }, Moment(5));
        machine.step(Input::Swept { left: 0 }, Moment(5));
        machine.step(Input::Spawned { pid: 8 }, Moment(5));
    }
    let until = machine.alarm().unwrap();
    assert!(until > Moment(90), "{until:?}");
    assert_eq!(machine.step(Input::Alarm, Moment(20)), []);
    assert_eq!(machine.step(Input::Alarm, until), [Effect::Spawn { incarnation: 7 }]);
}

#[test]
fn the_count_of_unstable_starts_is_the_one_that_it_was_given_up_for() {
    let mut machine = running();
    Arc::make_mut(&mut machine.policy).restart.max_restarts = Some(1);
    let exit = Exit::Code(1);
    machine.step(Input::Exited { incarnation: 1, exit }, Moment(5));
    machine.step(Input::Swept { left: 0 }, Moment(5));
    assert_eq!(
        machine.state,
        State::Resting(Rest::Errored(Failure::TooManyRestarts { starts: 1, exit, trouble: None }))
    );
    assert_eq!(machine.unstable, 1, "the next daemon tells the failure by it");
}

#[test]
fn nothing_starts_while_something_of_the_old_tree_is_left() {
    let mut machine = running();
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(0) }, Moment(5));
    assert_eq!(deeds(machine.step(Input::Swept { left: 2 }, Moment(5))), [Effect::SendStopSignal]);
    assert_eq!(machine.step(Input::Alarm, Moment(15)), [Effect::Sweep]);
    assert_eq!(machine.step(Input::Swept { left: 1 }, Moment(15)), []);
    assert_eq!(machine.step(Input::Alarm, Moment(10_005)), [Effect::Kill { is_first: true }, Effect::Sweep]);
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(10_006))), [Effect::Spawn { incarnation: 2 }]);
}

#[test]
fn a_stop_asks_then_kills_and_ends_only_when_nothing_is_left() {
    let mut machine = running();
    assert_eq!(deeds(machine.step(Input::Stop(command()), Moment(100))), [Effect::SendStopSignal]);
    assert_eq!(machine.alarm(), Some(Moment(10_100)));
    assert_eq!(machine.step(Input::Alarm, Moment(10_100)), [Effect::Kill { is_first: true }]);
    let killed = Input::Exited { incarnation: 1, exit: Exit::Signal(9) };
    assert_eq!(deeds(machine.step(killed, Moment(10_101))), [Effect::Sweep]);
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(10_101))), []);
    assert_eq!(machine.state, State::Resting(Rest::Stopped));
}

#[test]
fn a_stop_during_a_spawn_is_carried_out_right_after_it() {
    let mut machine = machine();
    machine.step(Input::Start(command()), Moment(0));
    assert_eq!(machine.step(Input::Stop(command()), Moment(1)), []);
    assert_eq!(deeds(machine.step(Input::Spawned { pid: 7 }, Moment(2))), [Effect::SendStopSignal]);
}

#[test]
fn a_start_during_a_stop_starts_when_the_old_one_is_gone() {
    let mut machine = running();
    machine.step(Input::Stop(command()), Moment(0));
    assert_eq!(machine.step(Input::Start(command()), Moment(1)), []);
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Signal(15) }, Moment(2));
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(2))), [Effect::Spawn { incarnation: 2 }]);
}

#[test]
fn a_program_that_cannot_be_executed_is_reported_to_the_person_who_asked() {
    let mut machine = machine();
    machine.step(Input::Start(command()), Moment(0));
    let effects = machine.step(no_program(), Moment(0));
    assert!(matches!(effects[..], [Effect::Emit(_), Effect::Emit(Fact::GaveUp { .. })]), "{effects:?}");
    assert!(matches!(machine.state, State::Resting(Rest::Errored(_))));
    assert_eq!(machine.step(Input::Start(command()), Moment(9)), [Effect::Spawn { incarnation: 2 }]);
}

#[test]
fn a_program_that_vanished_while_nobody_watches_is_tried_again_and_again() {
    let mut machine = running();
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(1) }, Moment(0));
    machine.step(Input::Swept { left: 0 }, Moment(0));
    for _ in 0..5 {
        machine.step(no_program(), Moment(0));
    }
    assert!(matches!(machine.state, State::Waiting { .. }), "{:?}", machine.state);
}

#[test]
fn a_task_that_is_done_rests_and_a_failed_one_says_so() {
    let mut spec = app();
    spec.restart.restart = RestartWhen::Never;
    for (exit, is_done) in [(Exit::Code(0), true), (Exit::Code(4), false)] {
        let mut machine = running();
        machine.policy = Arc::new(spec.clone());
        machine.step(Input::Exited { incarnation: 1, exit }, Moment(5));
        machine.step(Input::Swept { left: 0 }, Moment(5));
        assert_eq!(machine.state == State::Resting(Rest::Done(exit)), is_done, "{:?}", machine.state);
    }
}

#[test]
fn an_exit_of_an_older_process_changes_nothing() {
    let mut machine = running();
    let before = machine.clone();
    assert_eq!(machine.step(Input::Exited { incarnation: 0, exit: Exit::Code(1) }, Moment(9)), []);
    assert_eq!(machine, before);
}

#[test]
fn a_new_daemon_goes_on_where_the_last_one_was() {
    let unknown = || Machine { state: State::Unknown, incarnation: 4, ..machine() };
    let mut alive = unknown();
    assert_eq!(
        alive.recover(Found::Alive { since: Moment(3), stop_deadline: None, ready_deadline: None }, Moment(9)),
        []
    );
    assert_eq!(alive.state, State::Running { since: Moment(3), readiness: Readiness::Ready });

    let mut stopping = unknown();
    stopping
        .recover(Found::Alive { since: Moment(3), stop_deadline: Some(Moment(50)), ready_deadline: None }, Moment(9));
    assert_eq!(stopping.alarm(), Some(Moment(50)));

    let mut ended = unknown();
    let effects = ended.recover(Found::Ended { exit: Exit::Code(2), since: Moment(3), was_asked: false }, Moment(9));
    assert_eq!(deeds(effects), [Effect::Sweep]);
    assert_eq!(deeds(ended.step(Input::Swept { left: 0 }, Moment(9))), [Effect::Spawn { incarnation: 5 }]);

    let mut announced = unknown();
    assert_eq!(announced.recover(Found::NeverSpawned, Moment(9)), [Effect::Spawn { incarnation: 4 }]);

    let mut waiting = unknown();
    waiting.recover(Found::Nothing(SavedState::Waiting { until: Moment(70) }), Moment(9));
    assert_eq!(waiting.alarm(), Some(Moment(70)));
}

fn any_input() -> impl Strategy<Value = Input> {
    let exit = prop_oneof![Just(Exit::Code(0)), Just(Exit::Code(1)), Just(Exit::Signal(9)), Just(Exit::Unknown)];
    prop_oneof![
        Just(Input::Start(command())),
        Just(Input::Restart(command())),
        Just(Input::Stop(command())),
        Just(Input::Delete(command())),
        Just(Input::Spawned { pid: 7 }),
        Just(no_program()),
        (0..6_u32, exit).prop_map(|(incarnation, exit)| Input::Exited { incarnation, exit }),
        (0..3_u32).prop_map(|left| Input::Swept { left }),
        Just(Input::Alarm),
        (0..6_u32, any::<bool>()).prop_map(|(incarnation, is_good)| Input::Probed {
            incarnation,
            result: if is_good { Ok(()) } else { Err("refused".into()) }
        }),
        (0..6_u32).prop_map(|incarnation| Input::OverMemory { incarnation, used: Bytes(2), limit: Bytes(1) }),
        (0..6_u32, any_hook(), any::<bool>()).prop_map(|(incarnation, hook, is_well)| Input::HookEnded {
            incarnation,
            hook,
            result: if is_well { Ok(()) } else { Err("no".into()) }
        }),
    ]
}

fn any_hook() -> impl Strategy<Value = Hook> {
    prop_oneof![
        Just(Hook::PreStart),
        Just(Hook::PostReady),
        Just(Hook::PreStop),
        Just(Hook::OnCrash),
        Just(Hook::OnGiveUp),
    ]
}

/// An instance with every hook, or with none.
fn hooked(has_hooks: bool) -> Machine {
    let mut spec = app();
    if has_hooks {
        let command = || Some("true".to_owned());
        spec.hooks.pre_start = command();
        spec.hooks.post_ready = command();
        spec.hooks.pre_stop = command();
        spec.hooks.on_crash = command();
        spec.hooks.on_give_up = command();
    }
    Machine::new(Arc::new(spec), 1)
}

fn hook_ended(machine: &mut Machine, hook: Hook, result: Result<(), &str>, at: u64) -> Vec<Effect> {
    let incarnation = machine.incarnation;
    deeds(machine.step(Input::HookEnded { incarnation, hook, result: result.map_err(str::to_owned) }, Moment(at)))
}

#[test]
fn a_hook_comes_before_the_start_and_its_failure_is_a_failed_start() {
    let mut machine = hooked(true);
    assert_eq!(machine.step(Input::Start(command()), Moment(0)), [Effect::Hook(Hook::PreStart)]);
    assert_eq!(hook_ended(&mut machine, Hook::PreStart, Ok(()), 5), [Effect::Spawn { incarnation: 1 }]);
    let mut failing = hooked(true);
    failing.step(Input::Start(command()), Moment(0));
    let failure = Failure::Hook { hook: Hook::PreStart, message: "exit code 1".into() };
    let effects = hook_ended(&mut failing, Hook::PreStart, Err("exit code 1"), 5);
    assert_eq!(effects, [Effect::Hook(Hook::OnGiveUp)]);
    assert_eq!(failing.state, State::Resting(Rest::Errored(failure)));
}

#[test]
fn a_stop_during_the_first_hook_ends_it_and_nothing_is_started() {
    let mut machine = hooked(true);
    machine.step(Input::Start(command()), Moment(0));
    let effects = deeds(machine.step(Input::Stop(command()), Moment(1)));
    assert_eq!(effects, [Effect::EndHook(Hook::PreStart)]);
    assert_eq!(hook_ended(&mut machine, Hook::PreStart, Ok(()), 2), []);
    assert_eq!(machine.state, State::Resting(Rest::Stopped));
}

#[test]
fn a_stop_waits_for_its_hook_and_goes_on_whatever_it_said() {
    for result in [Ok(()), Err("exit code 1")] {
        let mut machine = hooked(true);
        machine.step(Input::Start(command()), Moment(0));
        hook_ended(&mut machine, Hook::PreStart, Ok(()), 0);
        let up = deeds(machine.step(Input::Spawned { pid: 7 }, Moment(0)));
        assert_eq!(up, [Effect::Hook(Hook::PostReady)]);
        let stop = deeds(machine.step(Input::Stop(command()), Moment(9)));
        assert_eq!(stop, [Effect::EndHook(Hook::PostReady), Effect::Hook(Hook::PreStop)]);
        assert_eq!(hook_ended(&mut machine, Hook::PreStop, result, 10), [Effect::SendStopSignal]);
    }
}

#[test]
fn a_hook_that_is_never_heard_of_again_holds_nothing_up() {
    let mut machine = hooked(true);
    machine.step(Input::Start(command()), Moment(0));
    let until = machine.alarm().unwrap();
    let effects = deeds(machine.step(Input::Alarm, until));
    assert_eq!(effects[0], Effect::EndHook(Hook::PreStart));
    assert!(matches!(machine.state, State::Resting(Rest::Errored(Failure::Hook { .. }))), "{:?}", machine.state);
}

#[test]
fn a_process_that_has_to_be_killed_is_counted_once() {
    let mut machine = running();
    machine.step(Input::Stop(command()), Moment(0));
    assert_eq!(machine.step(Input::Alarm, Moment(10_000)), [Effect::Kill { is_first: true }]);
    assert_eq!(machine.step(Input::Alarm, Moment(10_250)), [Effect::Kill { is_first: false }]);
    assert_eq!(machine.force_kills, 1);
}

/// A process that has to become healthy, and stay healthy.
fn probed() -> Machine {
    let mut spec = app();
    spec.ready = Some(Ready { probe: Probe::Notify(true), timeout: Millis::seconds(30), interval: Ready::INTERVAL });
    spec.health = Some(Health {
        probe: Probe::Exec(crate::model::Template::default()),
        interval: Health::INTERVAL,
        timeout: Health::TIMEOUT,
        start_period: Millis(0),
        failures: 2,
        action: HealthAction::Restart,
    });
    let mut machine = Machine::new(Arc::new(spec), 1);
    machine.step(Input::Start(command()), Moment(0));
    machine.step(Input::Spawned { pid: 7 }, Moment(0));
    machine
}

fn answer(machine: &mut Machine, result: Result<(), &str>, at: u64) -> Vec<Effect> {
    let incarnation = machine.incarnation;
    machine.step(Input::Probed { incarnation, result: result.map_err(str::to_owned) }, Moment(at))
}

fn unready() -> Failure {
    Failure::NotReady { after: Millis::seconds(30), last: Some("refused".to_owned()) }
}

#[test]
fn a_process_is_ready_when_its_probe_says_so() {
    let mut machine = probed();
    assert_eq!(machine.alarm(), Some(Moment(30_000)));
    assert_eq!(answer(&mut machine, Err("refused"), 10), []);
    assert_eq!(deeds(answer(&mut machine, Ok(()), 20)), []);
    assert_eq!(machine.state, State::Running { since: Moment(0), readiness: Readiness::Ready });
    assert_eq!(machine.alarm(), None);
}

#[test]
fn a_process_that_is_not_good_in_time_is_ended_told_and_tried_again() {
    let mut machine = probed();
    answer(&mut machine, Err("refused"), 10);
    assert_eq!(deeds(machine.step(Input::Alarm, Moment(30_000))), [Effect::SendStopSignal]);
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(0) }, Moment(30_001));
    let effects = deeds(machine.step(Input::Swept { left: 0 }, Moment(30_001)));
    assert_eq!(effects, [Effect::Spawn { incarnation: 2 }]);
    assert_eq!((machine.restarts, machine.trouble), (1, Some(unready())));
}

#[test]
fn what_follows_the_end_of_a_process_is_seen_while_it_is_ended() {
    let mut machine = running();
    assert_eq!(machine.following(), None);
    for (input, following) in [
        (Input::Restart(command()), Following::Start),
        (Input::Stop(command()), Following::Rest),
        (Input::Start(command()), Following::Start),
        (Input::Delete(command()), Following::Removal),
    ] {
        machine.step(input, Moment(7));
        assert_eq!(machine.following(), Some(following));
    }
    let mut machine = running();
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(1) }, Moment(5));
    assert_eq!(machine.following(), Some(Following::Policy));
}

#[test]
fn a_process_that_ends_before_it_is_good_has_failed_for_those_who_wait() {
    let mut machine = probed();
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(3) }, Moment(5));
    let effects = deeds(machine.step(Input::Swept { left: 0 }, Moment(5)));
    let failure = Failure::EndedUnready { exit: Exit::Code(3) };
    assert_eq!((effects, machine.trouble), (vec![Effect::Spawn { incarnation: 2 }], Some(failure)));
}

#[test]
fn some_failures_in_a_row_restart_and_a_good_answer_between_them_forgives() {
    let mut machine = probed();
    answer(&mut machine, Ok(()), 1);
    assert_eq!(deeds(answer(&mut machine, Err("500"), 10)), []);
    assert_eq!(deeds(answer(&mut machine, Ok(()), 20)), []);
    answer(&mut machine, Err("500"), 30);
    assert_eq!(deeds(answer(&mut machine, Err("500"), 40)), [Effect::SendStopSignal]);
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(0) }, Moment(41));
    machine.step(Input::Swept { left: 0 }, Moment(41));
    assert_eq!((machine.incarnation, machine.restarts), (2, 1));
    assert!(matches!(&machine.state, State::Starting { cause: Cause::Unhealthy { why }, .. } if why == "500"));
    assert_eq!(machine.trouble, Some(Failure::Unhealthy { why: "500".into() }), "whoever watches the start is told");
    machine.step(Input::Restart(command()), Moment(42));
    assert_eq!(machine.trouble, None, "a person has asked for another one");
}

#[test]
fn too_much_memory_is_a_graceful_restart() {
    let mut machine = running();
    let over = Input::OverMemory { incarnation: 1, used: Bytes(2), limit: Bytes(1) };
    assert_eq!(deeds(machine.step(over, Moment(60_000))), [Effect::SendStopSignal]);
    machine.step(Input::Exited { incarnation: 1, exit: Exit::Signal(15) }, Moment(60_001));
    machine.step(Input::Swept { left: 0 }, Moment(60_001));
    assert!(matches!(machine.state, State::Starting { cause: Cause::OverMemory { .. }, .. }), "{:?}", machine.state);
}

#[test]
fn a_new_daemon_neither_forgets_readiness_nor_its_deadline() {
    let mut green = Machine { state: State::Unknown, ..probed() };
    green.recover(Found::Alive { since: Moment(0), stop_deadline: None, ready_deadline: None }, Moment(9));
    assert_eq!(green.phase(Some(7)).as_str(), "running");
    let mut waiting = Machine { state: State::Unknown, ..probed() };
    waiting
        .recover(Found::Alive { since: Moment(0), stop_deadline: None, ready_deadline: Some(Moment(70)) }, Moment(9));
    assert_eq!((waiting.alarm(), waiting.phase(Some(7)).as_str()), (Some(Moment(70)), "starting"));
    assert_eq!(waiting.saved_state(), SavedState::Unready { deadline: Moment(70) });
}

proptest! {
    /// A pretend kernel answers every spawn and sweep; whatever people do in between, there is never a
    /// second process, and a stop at the end always reaches rest.
    #[test]
    fn never_two_processes_and_a_stop_always_ends(
        orders in prop::collection::vec((any_input(), 0..400_u64), 0..60),
        has_hooks: bool,
    ) {
        let mut machine = hooked(has_hooks);
        let mut now = 0;
        let mut world = World::default();
        for (input, pause) in orders {
            now += pause;
            // The kernel's own answers come from the pretend kernel, not from the dice.
            if let Input::HookEnded { result, .. } = input {
                world.end_a_hook(&mut machine, result.is_ok(), now)?;
            } else if !matches!(input, Input::Spawned { .. } | Input::SpawnFailed { .. } | Input::Exited { .. } | Input::Swept { .. }) {
                let effects = machine.step(input, Moment(now));
                world.perform(&mut machine, effects, now)?;
            } else if let Input::Exited { exit, .. } = input {
                world.die(&mut machine, exit, now)?;
            }
        }
        let effects = machine.step(Input::Stop(command()), Moment(now));
        world.perform(&mut machine, effects, now)?;
        for _ in 0..10 {
            if let Some(at) = machine.alarm() {
                now = now.max(at.0);
                let effects = machine.step(Input::Alarm, Moment(now));
                world.perform(&mut machine, effects, now)?;
            }
        }
        prop_assert!(matches!(machine.state, State::Resting(_) | State::Gone), "{:?}", machine.state);
        prop_assert_eq!(world.alive, None);
    }

    /// No input makes the machine panic, whatever state it is in.
    #[test]
    fn any_input_in_any_order_is_answered(inputs in prop::collection::vec((any_input(), 0..40_000_u64), 0..80), has_hooks: bool) {
        let mut machine = hooked(has_hooks);
        let mut now = 0;
        for (input, pause) in inputs {
            now += pause;
            machine.step(input, Moment(now));
        }
    }
}

/// A pretend kernel that ignores SIGTERM every other time.
#[derive(Default)]
struct World {
    alive: Option<u32>,
    asked: u32,
    hooks: Vec<(u32, Hook)>,
}

impl World {
    /// The oldest hook ends, well or not.
    fn end_a_hook(&mut self, machine: &mut Machine, is_well: bool, now: u64) -> Result<(), TestCaseError> {
        if self.hooks.is_empty() {
            return Ok(());
        }
        let (incarnation, hook) = self.hooks.remove(0);
        let result = if is_well { Ok(()) } else { Err("no".to_owned()) };
        let effects = machine.step(Input::HookEnded { incarnation, hook, result }, Moment(now));
        self.perform(machine, effects, now)
    }

    fn perform(&mut self, machine: &mut Machine, effects: Vec<Effect>, now: u64) -> Result<(), TestCaseError> {
        for effect in effects {
            match effect {
                Effect::Spawn { incarnation } => {
                    prop_assert_eq!(self.alive, None, "a second process");
                    self.alive = Some(incarnation);
                    let effects = machine.step(Input::Spawned { pid: 7 }, Moment(now));
                    self.perform(machine, effects, now)?;
                }
                Effect::Drain => {
                    let incarnation = machine.incarnation;
                    let effects = machine.step(Input::Drained { incarnation }, Moment(now));
                    self.perform(machine, effects, now)?;
                }
                Effect::SendStopSignal => {
                    self.asked += 1;
                    if self.asked.is_multiple_of(2) {
                        self.die(machine, Exit::Signal(15), now)?;
                    }
                }
                Effect::Kill { .. } => self.die(machine, Exit::Signal(9), now)?,
                Effect::Sweep => {
                    prop_assert_eq!(self.alive, None, "swept while the main process lives");
                    let effects = machine.step(Input::Swept { left: 0 }, Moment(now));
                    self.perform(machine, effects, now)?;
                }
                Effect::Emit(Fact::Started { incarnation, .. }) => prop_assert_eq!(self.alive, Some(incarnation)),
                Effect::Hook(hook) => {
                    prop_assert!(hook != Hook::PreStart || self.alive.is_none(), "prepared beside a living process");
                    self.hooks.push((machine.incarnation, hook));
                }
                Effect::EndHook(hook) => self.hooks.retain(|(_, running)| *running != hook),
                Effect::Emit(_) | Effect::Forget => {}
            }
        }
        Ok(())
    }

    fn die(&mut self, machine: &mut Machine, exit: Exit, now: u64) -> Result<(), TestCaseError> {
        let Some(incarnation) = self.alive.take() else { return Ok(()) };
        let effects = machine.step(Input::Exited { incarnation, exit }, Moment(now));
        self.perform(machine, effects, now)
    }
}

#[test]
fn a_process_that_asks_for_more_time_gets_it_and_never_less() {
    let mut machine = probed();
    let extend = |machine: &mut Machine, incarnation, by| {
        assert_eq!(machine.step(Input::Extended { incarnation, by: Millis::seconds(by) }, Moment(10_000)), []);
        machine.alarm()
    };
    assert_eq!(extend(&mut machine, 1, 5), Some(Moment(30_000)), "it has that much already");
    assert_eq!(extend(&mut machine, 0, 60), Some(Moment(30_000)), "an older process");
    assert_eq!(extend(&mut machine, 1, 60), Some(Moment(70_000)));
    answer(&mut machine, Ok(()), 11_000);
    assert_eq!(extend(&mut machine, 1, 90), None, "it is good: there is no deadline");
}

#[test]
fn a_process_that_takes_longer_to_end_says_so_until_it_is_killed() {
    let mut machine = running();
    let extend = |machine: &mut Machine, by| {
        let incarnation = machine.incarnation;
        assert_eq!(machine.step(Input::Extended { incarnation, by: Millis::seconds(by) }, Moment(10_000)), []);
        machine.alarm()
    };
    machine.step(Input::Stop(Cause::Boot), Moment(10_000));
    let planned = machine.alarm();
    assert!(planned > Some(Moment(10_000)));
    assert_eq!(extend(&mut machine, 1), planned, "it has that much already");
    assert_eq!(extend(&mut machine, 60), Some(Moment(70_000)));
    machine.step(Input::Alarm, Moment(70_000));
    let repeated = machine.alarm();
    assert_eq!(extend(&mut machine, 300), repeated, "it was killed");
}

/// A worker of a cluster that runs.
fn worker() -> Machine {
    Machine { is_worker: true, ..running() }
}

#[test]
fn a_worker_ends_its_connections_before_it_is_asked_to_end() {
    let mut machine = worker();
    assert_eq!(deeds(machine.step(Input::Stop(command()), Moment(1000))), [Effect::Drain]);
    assert_eq!(machine.alarm(), Some(Moment(11_000)), "as long as the kill timeout");
    assert!(matches!(machine.phase(Some(7)), crate::model::Phase::Stopping { pid: Some(7), .. }));
    assert_eq!(machine.following(), Some(Following::Rest));
    assert_eq!(deeds(machine.step(Input::Drained { incarnation: 0 }, Moment(1500))), [], "an older process");
    assert_eq!(deeds(machine.step(Input::Drained { incarnation: 1 }, Moment(2000))), [Effect::SendStopSignal]);
    assert_eq!(machine.alarm(), Some(Moment(12_000)));
    assert_eq!(deeds(machine.step(Input::Drained { incarnation: 1 }, Moment(2100))), [], "asked once");
}

#[test]
fn connections_that_do_not_end_are_waited_for_and_then_it_is_asked_and_killed() {
    let mut machine = worker();
    machine.step(Input::Restart(command()), Moment(0));
    assert_eq!(deeds(machine.step(Input::Alarm, Moment(9999))), []);
    assert_eq!(deeds(machine.step(Input::Alarm, Moment(10_000))), [Effect::SendStopSignal]);
    assert_eq!(deeds(machine.step(Input::Alarm, Moment(20_000))), [Effect::Kill { is_first: true }]);
    let end = Input::Exited { incarnation: 1, exit: Exit::Signal(9) };
    assert_eq!(deeds(machine.step(end, Moment(20_001))), [Effect::Sweep]);
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(20_001))), [Effect::Spawn { incarnation: 2 }]);
}

#[test]
fn a_worker_that_ends_while_it_drains_has_stopped_as_requested() {
    let mut machine = worker();
    machine.step(Input::Stop(command()), Moment(0));
    let effects = machine.step(Input::Exited { incarnation: 1, exit: Exit::Code(0) }, Moment(5));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Emit(Fact::Exited { is_asked: true, .. }))));
    assert_eq!(deeds(effects), [Effect::Sweep]);
    assert_eq!(deeds(machine.step(Input::Swept { left: 0 }, Moment(5))), []);
    assert_eq!(machine.state, State::Resting(Rest::Stopped));
}

#[test]
fn one_that_does_not_answer_or_shuts_down_by_message_is_not_asked_to_drain() {
    let mut app = app();
    app.stop.shutdown_with_message = true;
    let mut machine = Machine { policy: Arc::new(app), ..worker() };
    assert_eq!(deeds(machine.step(Input::Stop(command()), Moment(0))), [Effect::SendStopSignal]);
    let mut machine = Machine { is_worker: true, ..probed() };
    let deadline = machine.alarm().unwrap();
    assert_eq!(deeds(machine.step(Input::Alarm, deadline)), [Effect::SendStopSignal], "it was not ready in time");
}
