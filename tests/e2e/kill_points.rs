//! The daemon dies at every named place of its code, at the first visits to it; the next one finishes the work.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{Counts, Numbered, SOON, Sandbox, run, wait_until};

/// Which visits to a place are tried.
const VISITS: [u32; 3] = [1, 2, 5];

/// Every `killpoint("name")` in the source: a new place is tried without being listed anywhere. Those of `git` are not
/// reached by these apps; `tests/git_sources/killed.rs` tries every one of them.
fn places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.extend((!path.ends_with("src/git")).then_some(path));
            } else {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("killpoint(\"").skip(1).filter_map(|rest| rest.split('"').next());
                places.extend(names.map(str::to_owned));
            }
        }
    }
    places
}

#[test]
fn dying_at_any_place_loses_and_doubles_nothing() {
    let places = places();
    assert!(places.len() >= 8, "there are hardly any places: {places:?}");
    let (mut counts, mut deaths) = (Counts::default(), 0);
    for place in &places {
        for visit in VISITS {
            let (one, has_died) = die_at(&format!("{place}:{visit}"));
            counts += one;
            deaths += u32::from(has_died);
        }
    }
    eprintln!("{} places, {deaths} deaths, {counts:?}", places.len());
    assert!(deaths as usize >= places.len(), "most places were never reached: {deaths} deaths");
}

/// Two apps crash three times each and are then given up, while the daemon dies once at `point`.
fn die_at(point: &str) -> (Counts, bool) {
    let sandbox = Sandbox::new();
    let apps = Numbered::several(2, 5);
    let rest = "max_restarts = 3\nrestart_delay = \"1ms\"\nlog_file = \"all.log\"\nlog_timestamps = true";
    sandbox.ecosystem(&apps.iter().map(|app| app.toml(&sandbox, rest)).collect::<String>());
    // The first command may lose its daemon in the middle; a person says it again, and so does this test.
    let mut last = run(sandbox.command(&["apply", "--detach"]).env("PM_KILLPOINT", point));
    for _ in 0..3 {
        if last.status == 0 {
            break;
        }
        last = sandbox.pm(&["apply", "--detach"]);
    }
    assert_eq!(last.status, 0, "{point}: {last}");
    let is_at_rest =
        || apps.iter().all(|app| sandbox.instance(&format!("{}/0", app.name)).is_some_and(|i| i.phase == "errored"));
    wait_until(&format!("{point}: both apps are given up"), SOON, is_at_rest);
    sandbox.pm(&["stop", "all"]).ok();
    let mut counts = Counts::default();
    for app in &apps {
        counts += app.check(&sandbox);
    }
    let daemons = sandbox.events().iter().filter(|event| event.fact == "daemon_started").count();
    (counts, daemons > 1)
}

#[test]
fn dying_at_places_by_chance_loses_and_doubles_nothing() {
    for per_mille in [20, 50] {
        let sandbox = Sandbox::new();
        let apps = Numbered::several(4, 20);
        let rest = "restart_delay = \"2ms\"";
        sandbox.ecosystem(&apps.iter().map(|app| app.toml(&sandbox, rest)).collect::<String>());
        let applied = run(sandbox.command(&["apply", "--detach"]).env("PM_KILLPOINT", format!("random:{per_mille}")));
        assert!([0, 1, 7, 69].contains(&applied.status), "{applied}");
        let has_run = || apps.iter().all(|app| app.starts(&sandbox).len() > 20);
        wait_until("every app has started 20 times", SOON, has_run);
        // The daemon goes on dying by chance: every command may need a second try.
        wait_until("the apps are stopped", SOON, || sandbox.pm(&["stop", "all"]).status == 0);
        wait_until("the events can be read and all is well", SOON, || {
            sandbox.pm(&["events", "-A", "--json"]).status == 0
        });
        for app in &apps {
            app.check(&sandbox);
        }
    }
}
