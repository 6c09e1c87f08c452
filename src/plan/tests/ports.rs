//! `port = "auto"`: who gets which ports, and for how long.

use std::collections::BTreeSet;

use super::*;
use crate::model::{AutoPort, DesiredState, ListenAddress};
use crate::plan::ports::{block, places};

/// An app that wants free ports.
fn auto(name: &str, range: &str, instances: u32) -> App {
    let mut app = app(name);
    app.run.slot_variables.auto_port = AutoPort::parse(range);
    assert!(app.run.slot_variables.auto_port.is_some(), "{range}");
    app.instances = Some(instances);
    app
}

/// What is declared after these were applied, with these ports in use by others.
fn assigned(
    desired: &Desired,
    live: &Live,
    apps: Vec<App>,
    busy: &[u16],
) -> Result<(Desired, Vec<u16>, Vec<Note>), Refusal> {
    let mut proposed = proposed(apps);
    let is_free = |port: u16| !busy.contains(&port);
    let facts = PortFacts { desired, live, home: "/home/pm", is_free: &is_free };
    let notes = assign_ports(&mut proposed, &ApplyOptions::default(), &facts)?;
    let ports = proposed.apps.iter().map(|app| app.run.port.unwrap()).collect();
    let mut after = desired.clone();
    let project = after.projects.entry(shop()).or_default();
    for app in proposed.apps {
        let state = DesiredState::Up;
        project.apps.insert(app.name.clone(), Declared::new(app.into(), Arc::default(), state));
    }
    Ok((after, ports, notes))
}

#[test]
fn a_hundred_apps_get_different_ports_and_keep_them() {
    let apps = || (0..100).map(|at| auto(&format!("a{at}"), "auto", 1 + at % 3)).collect::<Vec<_>>();
    let (desired, ports, notes) = assigned(&Desired::default(), &Live::default(), apps(), &[]).unwrap();
    let all: BTreeSet<u16> =
        apps().iter().zip(&ports).flat_map(|(app, port)| block(*port, app.instances.unwrap()).unwrap()).collect();
    assert_eq!(all.len(), (0..100).map(|at| 1 + at % 3).sum::<usize>());
    assert_eq!(notes.len(), 100);
    let mut again = apps();
    again.reverse();
    let (_, mut same, notes) = assigned(&desired, &Live::default(), again, &[]).unwrap();
    same.reverse();
    assert_eq!((same, notes), (ports, Vec::new()));
}

#[test]
fn a_port_is_left_when_somebody_else_has_it_and_not_before() {
    let apps = || vec![auto("api", "auto:8000-8100", 2)];
    let (desired, ports, _) = assigned(&Desired::default(), &Live::default(), apps(), &[]).unwrap();
    let port = ports[0];
    // Its own processes listen there.
    let mut world = World::with(apps());
    for instance in world.live.instances.values_mut() {
        instance.spec = Arc::clone(&desired.projects[&shop()].apps[&"api".parse().unwrap()].spec);
    }
    assert_eq!(assigned(&desired, &world.live, apps(), &[port, port + 1]).unwrap().1, ports);
    let (_, moved, notes) = assigned(&desired, &Live::default(), apps(), &[port + 1]).unwrap();
    assert!(moved[0] != port && moved[0] != port + 1, "{moved:?}");
    assert!(matches!(notes[0], Note::PortChosen { instead_of: Some(was), .. } if was == port), "{notes:?}");
    // Another range, and more copies than fit at the end of it.
    let other = assigned(&desired, &Live::default(), vec![auto("api", "auto:9000-9001", 2)], &[]).unwrap();
    assert_eq!(other.1, [9000]);
}

#[test]
fn a_range_is_used_to_the_last_port_and_then_refused() {
    let apps = |count: usize| (0..count).map(|at| auto(&format!("a{at}"), "auto:8000-8009", 1)).collect::<Vec<_>>();
    let (_, ports, _) = assigned(&Desired::default(), &Live::default(), apps(9), &[8004]).unwrap();
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 9);
    assert!(!ports.contains(&8004));
    let refusal = assigned(&Desired::default(), &Live::default(), apps(10), &[8004]).unwrap_err();
    assert!(refusal.message.contains("auto:8000-8009"), "{}", refusal.message);
    assert!(assigned(&Desired::default(), &Live::default(), vec![auto("a", "auto:8000-8009", 11)], &[]).is_err());
}

#[test]
fn other_projects_numbers_of_the_file_and_sockets_are_left_alone() {
    let fixed = |name: &str, port: u16| {
        let mut app = app(name);
        app.run.port = Some(port);
        app
    };
    let mut theirs = app("theirs");
    theirs.project = "other".parse().unwrap();
    theirs.run.port = Some(8001);
    theirs.instances = Some(2);
    let mut desired = Desired::default();
    let declared = Declared::new(theirs.into(), Arc::default(), DesiredState::Up);
    desired.projects.entry("other".parse().unwrap()).or_default().apps.insert("theirs".parse().unwrap(), declared);
    let mut listens = app("listens");
    listens.run.listen = vec![ListenAddress::Tcp("127.0.0.1:8003".parse().unwrap())];
    listens.run.port = Some(1);
    let apps = vec![auto("api", "auto:8000-8005", 1), fixed("web", 8000), listens, auto("b", "auto:8000-8005", 1)];
    let (_, ports, _) = assigned(&desired, &Live::default(), apps, &[]).unwrap();
    assert_eq!([ports[0], ports[3]].iter().collect::<BTreeSet<_>>(), [8004, 8005].iter().collect());
}

#[test]
fn every_place_of_a_range_is_tried_once_there_is_no_other() {
    for (range, count) in [("auto:5-5", 1), ("auto:10-19", 3), ("auto:20000-30000", 2)] {
        let range = AutoPort::parse(range).unwrap();
        for place in [0, 1, 77, u64::MAX] {
            let all: BTreeSet<u16> = places(range, count, place).collect();
            let expected = usize::from(range.last - range.first) + 2 - count as usize;
            assert_eq!(all.len(), expected, "{range} {count} {place}");
            assert!(all.iter().all(|port| range.contains(*port)));
        }
    }
}

#[test]
fn an_app_that_is_started_moves_only_where_its_port_is_taken() {
    let (desired, ports, _) =
        assigned(&Desired::default(), &Live::default(), vec![auto("api", "auto", 1)], &[]).unwrap();
    let declared = &desired.projects[&shop()].apps[&"api".parse().unwrap()];
    let running = World::with([(*declared.spec).clone()]).live;
    let moved = |busy: &[u16], live: &Live, scaled: Option<u32>| {
        let is_free = |port: u16| !busy.contains(&port);
        let facts = PortFacts { desired: &desired, live, home: "/home/pm", is_free: &is_free };
        let declared = Declared { scaled, ..declared.clone() };
        let mut changes =
            vec![Change::App { project: shop(), name: "api".parse().unwrap(), declared: Box::new(declared) }];
        let notes = move_ports(&mut changes, &facts)?;
        let Some(Change::App { declared, .. }) = changes.pop() else { panic!("one app") };
        assert_eq!(declared.digest, crate::model::Digest::of_content(&*declared.spec));
        Ok::<_, Refusal>((declared.spec.run.port.unwrap(), notes.len()))
    };
    let nothing = Live::default();
    assert_eq!(moved(&[], &nothing, None), Ok((ports[0], 0)));
    assert_eq!(moved(&[ports[0]], &running, None), Ok((ports[0], 0)), "its own process has it");
    assert_eq!(moved(&[ports[0] + 2], &running, Some(2)), Ok((ports[0], 0)));
    for scaled in [None, Some(3)] {
        let (port, notes) = moved(&[ports[0]], &nothing, scaled).unwrap();
        assert!(port != ports[0] && notes == 1, "{port}");
    }
    assert!(moved(&[ports[0] + 2], &running, Some(3)).unwrap_err().message.contains("3 copies"));
}
