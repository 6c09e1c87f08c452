//! Readable stories and random histories on a simulated machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::sim::{Sim, app_of, steps};
use crate::model::{
    App, AppId, AppName, ApplyOptions, Edit, HealPolicy, HealWhen, Hooks, InstanceId, Millis, Phase, Plan, SelfHeal,
    Template, Unmet, UpdateStrategy, Verb,
};
use crate::plan::is_of_revision;
use crate::plan::tests::shop;
use crate::rules::{self, DependencyStatus};
use crate::supervisor::tests::Dice;

// ---- stories

/// Each file of `stories/` tells what people and faults do, and what follows. `PM_UPDATE_STORIES=1` writes what follows
/// anew; then read the difference.
#[test]
fn every_story_goes_as_it_is_told() {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let before = fs::read_to_string(&path).unwrap();
        let after = tell(&before);
        if std::env::var_os("PM_UPDATE_STORIES").is_some() {
            fs::write(&path, &after).unwrap();
        } else if before != after {
            wrong.push(format!("{}:\n{}", path.display(), difference(&before, &after)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/jobs/stories")
}

/// The story with what follows from it.
fn tell(text: &str) -> String {
    let mut sim = Sim::new();
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        lines.push(line.to_owned());
        if !line.is_empty() && !line.starts_with('#') {
            act(&mut sim, line, &mut lines);
            lines.extend(std::mem::take(&mut sim.log).into_iter().map(|line| format!("  {line}")));
        }
    }
    lines.join("\n") + "\n"
}

fn act(sim: &mut Sim, line: &str, lines: &mut Vec<String>) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let planned = match verb {
        "apply" => {
            let apps: Vec<App> = rest.split('|').filter(|app| !app.trim().is_empty()).map(app_of).collect();
            let options = ApplyOptions { allow_empty: true, yes: true, ..ApplyOptions::default() };
            Some(sim.apply(apps, &options))
        }
        "stop" | "start" | "restart" | "reload" | "delete" | "scale" => {
            let (target, count) = rest.split_once(' ').unwrap_or((rest, "0"));
            let (name, slot) = target.split_once('/').map_or((target, None), |(name, slot)| (name, slot.parse().ok()));
            let edit = match verb {
                "stop" => Edit::Stop { is_held: false },
                "start" => Edit::Start,
                "restart" => Edit::Restart,
                "reload" => Edit::Reload,
                "delete" => Edit::Delete,
                _ => Edit::Scale { to: count.parse().unwrap() },
            };
            Some(sim.edit(name, slot, &edit))
        }
        _ => {
            fate(sim, verb, rest, lines);
            None
        }
    };
    match planned {
        Some(Ok(plan)) => lines.extend(steps(&plan).into_iter().map(|step| format!("  plan {step}"))),
        Some(Err(refusal)) => lines.push(format!("  refused: {refusal}")),
        None => {}
    }
}

fn fate(sim: &mut Sim, verb: &str, rest: &str, lines: &mut Vec<String>) {
    match (verb, rest) {
        ("pause", app) => sim.command_rollout(app, true, false),
        ("resume", app) => sim.command_rollout(app, false, false),
        ("abort", app) => sim.command_rollout(app, false, true),
        ("wait", time) => sim.wait(Millis(time.parse().unwrap())),
        ("kill", "daemon") => sim.kill_daemon(),
        ("rows", count) => sim.set_rows(count.parse().unwrap()),
        ("limit", count) => sim.start_concurrency = count.parse().ok(),
        ("heal", mode) => sim.heal.mode = SelfHeal::parse(mode).unwrap(),
        ("touch", app) => sim.touch(app),
        ("disk", state) => sim.fill_disk(state == "full"),
        ("crash", what) => {
            let (id, code) = what.split_once(' ').unwrap_or((what, "1"));
            sim.crash(&format!("shop:{id}").parse().unwrap(), code.parse().unwrap());
            sim.wait(Millis(1));
        }
        ("state", _) => lines.extend(sim.state().into_iter().map(|line| format!("  {line}"))),
        _ => panic!("a story does not know `{verb} {rest}`"),
    }
}

fn difference(before: &str, after: &str) -> String {
    let changes = similar::TextDiff::from_lines(before, after);
    let signed = changes.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Equal => ' ',
        };
        format!("{sign} {change}")
    });
    signed.collect()
}

// ---- histories

fn one_of<'a>(dice: &mut Dice, all: &[&'a str]) -> &'a str {
    all[usize::try_from(dice.roll(all.len() as u64)).unwrap()]
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_app(name: &str, dice: &mut Dice) -> String {
    let version = dice.roll(4);
    let behaviour = one_of(
        dice,
        &["", "", "ready=50", "ready=300", "timeout=400", "exit=1@100", "exit=1@100/1", "missing", "sick=80"],
    );
    let more = one_of(
        dice,
        &["", "rolling", "rolling batch=2", "batch=3", "always", "forward", "stop=700", "hook=20", "hook=900"],
    );
    let needs = match name {
        "b" => one_of(dice, &["", "", "needs=a"]),
        "c" => one_of(dice, &["", "needs=b", "was=d"]),
        _ => "",
    };
    let healthy = one_of(dice, &["healthy=0", "healthy=200"]);
    let conf = if version.is_multiple_of(2) { "conf" } else { "" };
    format!("{name} v{version} x{} {behaviour} {more} {needs} {healthy} {conf}", 1 + dice.roll(3))
}

fn any_apps(dice: &mut Dice) -> Vec<App> {
    let named: Vec<&str> = NAMES.into_iter().filter(|_| dice.roll(4) > 0).collect();
    let apps: Vec<String> = named.iter().map(|name| any_app(name, dice)).collect();
    let mut apps: Vec<App> = apps.iter().map(|text| app_of(text)).collect();
    for app in &mut apps {
        app.depends_on.retain(|other, _| named.contains(&other.as_str()));
    }
    apps
}

/// One thing that people or fate do.
fn any_act(sim: &mut Sim, dice: &mut Dice, has_faults: bool) -> String {
    let name = one_of(dice, &NAMES);
    let slot = if dice.roll(3) == 0 { Some(u32::try_from(dice.roll(3)).unwrap()) } else { None };
    match dice.roll(if has_faults { 26 } else { 20 }) {
        0..=4 => {
            let apps = any_apps(dice);
            let text =
                format!("apply {:?}", apps.iter().map(|app| (app.name.as_str(), &app.run.env)).collect::<Vec<_>>());
            let options = ApplyOptions { allow_empty: true, yes: true, ..ApplyOptions::default() };
            sim.start_concurrency = [None, None, Some(1), Some(2)][usize::try_from(dice.roll(4)).unwrap()];
            let _refused = sim.apply(apps, &options);
            format!("limit {:?} {text}", sim.start_concurrency)
        }
        at @ 5..=11 => {
            let edit = match at {
                5 => Edit::Stop { is_held: false },
                6 | 7 => Edit::Start,
                8 => Edit::Restart,
                9 => Edit::Reload,
                10 => Edit::Scale { to: u32::try_from(1 + dice.roll(3)).unwrap() },
                _ => Edit::AutoRestart,
            };
            let slot = slot.filter(|_| !matches!(edit, Edit::Scale { .. } | Edit::AutoRestart));
            let _refused = sim.edit(name, slot, &edit);
            format!("{edit:?} {name} {slot:?}")
        }
        12 | 13 => {
            let (is_paused, is_aborted) = (dice.roll(2) == 0, dice.roll(4) == 0);
            sim.command_rollout(name, is_paused && !is_aborted, is_aborted);
            format!("rollout {name} {is_paused} {is_aborted}")
        }
        14 => {
            let ids: Vec<InstanceId> = sim.processes();
            if !ids.is_empty() {
                sim.crash(&ids[usize::try_from(dice.roll(ids.len() as u64)).unwrap()], 9);
            }
            "crash".to_owned()
        }
        15 => {
            sim.kill_daemon();
            "kill daemon".to_owned()
        }
        16 => {
            let is_full = dice.roll(2) == 0;
            sim.fill_disk(is_full);
            format!("disk full {is_full}")
        }
        17..=19 => {
            let time = dice.roll(900);
            let (touches, heals) = (time.is_multiple_of(3), time.is_multiple_of(5));
            if touches {
                sim.touch(name);
            }
            sim.wait(Millis(time));
            if heals {
                sim.heal();
            }
            format!("wait {time}: touch {name} {touches} heal {heals}")
        }
        20 | 21 => {
            let steps = 1 + dice.roll(60);
            sim.die_in(steps);
            format!("die in {steps} steps")
        }
        25 => {
            sim.repeat_orders();
            "repeat orders".to_owned()
        }
        who => {
            let (is_daemon, is_anchor, down) = (who != 23, who != 22, dice.roll(300));
            sim.kill(is_daemon, is_anchor, Millis(down));
            format!("kill daemon {is_daemon} anchor {is_anchor} for {down}")
        }
    }
}

/// With no more faults everything comes to what is declared, or says that it will not.
fn check_rest(sim: &mut Sim) {
    sim.die_in(0);
    sim.fill_disk(false);
    for name in NAMES {
        sim.command_rollout(name, false, false);
    }
    sim.wait(Millis(240_000));
    sim.wake(false);
    sim.wait(Millis(120_000));
    stop_what_never_comes(sim);
    let waits = sim.jobs.waiting();
    let log = sim.log.join("\n");
    assert!(sim.jobs.is_empty(), "{log}\nsomething never ends: {:?}\n{waits:?}", sim.state());
    assert!(sim.waited_for.is_empty(), "{log}\na command was never answered");
    let stored = sim.stored().cloned().unwrap_or_default();
    let mut missing = sim.missing();
    missing.keep_only(|app| !is_held_up(sim, app));
    assert!(missing.is_empty(), "{log}\na wake-up would still do: {:?}\n{:?}", steps(&missing), sim.state());
    for (id, live) in &sim.live().instances {
        let Some(declared) = stored.apps.get(&id.app.name) else { panic!("{id} lives and is not declared") };
        let is_held_up = is_held_up(sim, &id.app.name);
        assert!(
            !id.is_successor || is_held_up,
            "{log}\n{id} is left over: {:?} {:?}",
            sim.state(),
            steps(&sim.missing())
        );
        let is_up = matches!(live.phase, Phase::Running { .. } | Phase::Backoff { .. });
        assert!(
            !is_up || is_held_up || declared.may_run(id.slot),
            "{}\n{id} runs and should not: {:?}",
            log,
            stored.rollouts.get(&id.app.name)
        );
        let is_rejected = stored.rollouts.get(&id.app.name).is_some_and(|rollout| rollout.rejected.is_some());
        let may_be_old = is_rejected || is_held_up;
        assert!(
            !is_up || may_be_old || is_of_revision(live, declared, id.slot),
            "{id} runs another spec than declared"
        );
    }
    for declared in stored.apps.values() {
        assert!(!declared.is_leaving, "{} is neither kept nor removed", declared.spec.name);
    }
}

/// After the longest pause nothing is left to be put right, except what has failed and what is being tried.
fn check_heals(sim: &mut Sim) {
    sim.wait(Millis(3 * 3_600_000));
    for (app, heal) in sim.heals() {
        let is_busy = sim.jobs.is_busy(&AppId::new(shop(), app.clone()));
        let log = sim.log.join("\n");
        assert!(heal.when == HealWhen::Failed || is_busy, "{log}\n{app} is never put right: {heal:?}");
    }
}

/// What depends on an app that crashes again and again waits as long as that one is tried, and the deletes of its apply
/// with it. A person ends that.
fn stop_what_never_comes(sim: &mut Sim) {
    for _ in NAMES {
        let waits = sim.jobs.waiting();
        let Some(never) = waits.values().find(|waits| matches!(waits.why, Unmet::Backoff { .. })) else {
            return;
        };
        sim.edit(never.app.as_str(), None, &Edit::Stop { is_held: false }).unwrap();
        sim.wait(Millis(240_000));
        sim.wake(false);
        sim.wait(Millis(120_000));
    }
}

/// Whether something that the app depends on, directly or not, did not come up.
fn is_held_up(sim: &Sim, app: &AppName) -> bool {
    let Some(declared) = sim.stored().and_then(|stored| stored.apps.get(app)) else { return false };
    declared.spec.depends_on.iter().any(|(other, condition)| {
        let id = AppId::new(shop(), other.clone());
        let of = sim.stored().and_then(|stored| stored.apps.get(other));
        let status = rules::dependency(*condition, of, |slot| sim.live().instances.get(&id.instance(slot)));
        status != DependencyStatus::Met || is_held_up(sim, other)
    })
}

/// One history. Prints what was done if it breaks.
fn history(seed: u64) -> u64 {
    struct Said(u64, Vec<String>);
    impl Drop for Said {
        fn drop(&mut self) {
            if std::thread::panicking() {
                println!("again: PM_SIM_SEED={} PM_SIM_HISTORIES=1 cargo test any_history", self.0);
                println!("{:#?}", self.1);
            }
        }
    }
    let mut said = Said(seed, Vec::new());
    let mut dice = Dice(seed);
    let mut sim = Sim::new();
    // Every other history on a machine on which nothing is punctual, and everybody may die.
    let has_faults = seed.is_multiple_of(2);
    if has_faults {
        sim.roll_dice(seed);
    }
    // What users scale is theirs for a moment only.
    let mode = [SelfHeal::Off, SelfHeal::Config, SelfHeal::Full][usize::try_from(seed % 3).unwrap()];
    sim.heal = HealPolicy { mode, override_grace: Millis(seed % 7 * 100) };
    for _ in 0..30 {
        sim.survive(|sim| {
            let act = any_act(sim, &mut dice, has_faults);
            said.1.push(act);
        });
        said.1.append(&mut sim.log);
    }
    check_rest(&mut sim);
    sim.check_facts();
    if seed.is_multiple_of(40) {
        check_heals(&mut sim);
    }
    sim.steps
}

/// `PM_SIM_HISTORIES` asks for more than a test run has time for, `PM_SIM_SEED` for those from a seed on.
#[test]
fn any_history_ends_where_it_should() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (from, count) = (number("PM_SIM_SEED").unwrap_or(1), number("PM_SIM_HISTORIES").unwrap_or(400));
    let steps: u64 = (from..from + count).map(history).sum();
    println!("{count} histories, {steps} steps");
    assert!(steps > count, "nothing happened");
}

// ---- what is printed is what happens

/// The orders that a plan announces for each app, in their order, as the pretended machine tells them.
fn announced(plan: &Plan) -> BTreeMap<AppName, Vec<String>> {
    let mut all: BTreeMap<AppName, Vec<String>> = BTreeMap::new();
    for operation in &plan.operations {
        let app = &operation.app;
        let each = |word: &str, slots: &[u32], more: &str| {
            slots.iter().map(|slot| format!("{word} {app}/{slot}{more}")).collect::<Vec<_>>()
        };
        let orders = all.entry(app.clone()).or_default();
        match &operation.verb {
            Verb::Start { slots } => orders.extend(each("start", slots, "")),
            Verb::Roll { slots, strategy, batch } => {
                for batch in slots.chunks(usize::try_from(*batch).unwrap()) {
                    match strategy {
                        UpdateStrategy::Rolling => {
                            orders.extend(each("start", batch, "+"));
                            orders.extend(each("delete", batch, ""));
                            orders.extend(batch.iter().map(|slot| format!("{app}/{slot}+ takes over")));
                        }
                        UpdateStrategy::Restart => orders.extend(each("restart", batch, "")),
                        UpdateStrategy::Together => {
                            orders.extend(each("stop", batch, ""));
                            orders.extend(each("restart", batch, ""));
                        }
                    }
                }
            }
            Verb::Scale { add, remove, .. } => {
                orders.extend(each("delete", remove, ""));
                orders.extend(each("start", add, ""));
            }
            Verb::Stop { slots } => orders.extend(each("stop", slots, "")),
            Verb::Delete { slots } => orders.extend(each("delete", slots, "")),
            Verb::Rename { .. }
            | Verb::Replace { .. }
            | Verb::Restart { .. }
            | Verb::Reconfigure
            | Verb::Keep
            | Verb::Hold => {}
        }
    }
    all.retain(|_, orders| !orders.is_empty());
    all
}

/// The orders that were given, by app; the version that each brings is left out.
fn given(log: &[String]) -> BTreeMap<AppName, Vec<String>> {
    let mut all: BTreeMap<AppName, Vec<String>> = BTreeMap::new();
    for line in log.iter().filter_map(|line| line.strip_prefix("  ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let (order, id) = match words.as_slice() {
            [word @ ("start" | "restart" | "stop" | "delete"), id, ..] => (format!("{word} {id}"), *id),
            [id, "takes", "over"] => (format!("{id} takes over"), *id),
            _ => continue,
        };
        let app = id.split('/').next().unwrap().parse().unwrap();
        all.entry(app).or_default().push(order);
    }
    all
}

#[test]
fn what_is_printed_is_what_happens() {
    let mut compared = 0;
    for seed in 1..=150 {
        let mut dice = Dice(seed);
        let mut sim = Sim::new();
        for _ in 0..4 {
            let mut apps = any_apps(&mut dice);
            for app in &mut apps {
                // Good ones: a plan does not announce what a failure changes.
                let version = dice.roll(4);
                let ready = if app.ready.is_some() { "ready=80" } else { "" };
                app.run.env.insert("SIM".to_owned(), Template::literal(&format!("v{version} {ready}")));
                app.ready.iter_mut().for_each(|ready| ready.timeout = Millis(5000));
                app.moved_from.clear();
                app.hooks = Hooks::default();
            }
            let options = ApplyOptions { allow_empty: true, yes: true, ..ApplyOptions::default() };
            let plan = sim.apply(apps, &options).unwrap();
            sim.wait(Millis(60_000));
            let log = std::mem::take(&mut sim.log);
            let is_replacing = plan.operations.iter().any(|one| matches!(one.verb, Verb::Replace { .. }));
            if !is_replacing {
                assert_eq!(given(&log), announced(&plan), "seed {seed}: {log:#?}");
                compared += announced(&plan).len();
            }
            assert!(sim.jobs.is_empty() && log.iter().all(|line| !line.starts_with("FAILED")), "seed {seed}: {log:#?}");
        }
    }
    assert!(compared > 500, "only {compared} apps were compared");
}
