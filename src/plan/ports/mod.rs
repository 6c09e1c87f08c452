//! `port = "auto"`: which ports an app gets, kept for as long as nobody else takes them.
//!
//! The copies of an app have ports in a row, slot after slot, as with a number in the file. Where they begin follows from
//! the home, the project and the app, so that the same app gets the same ports again, and different ones rarely want the
//! same. What is chosen becomes a part of the declaration.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::model::{
    App, AppId, ApplyOptions, AutoPort, Change, Declared, Desired, Digest, ListenAddress, Live, Note, ProjectName,
    Proposed, Refusal, RefusalKind,
};

/// Between the beginnings of two apps where there is room: most can be scaled in place.
const GAP: u32 = 16;
/// Ranges smaller than this are used to the last port.
const ROOMY: u32 = 1024;

/// What is known of the machine when ports are chosen.
#[derive(Clone, Copy)]
pub struct PortFacts<'a> {
    /// Everything that is declared.
    pub desired: &'a Desired,
    /// What lives.
    pub live: &'a Live,
    /// What tells this daemon from others on the machine: its home.
    pub home: &'a str,
    /// Whether nobody listens on a port now.
    pub is_free: &'a dyn Fn(u16) -> bool,
}

/// Gives the proposed apps that want free ports theirs, and says which are new.
///
/// # Errors
/// A range has not so many free ports.
pub fn assign_ports(proposed: &mut Proposed, options: &ApplyOptions, facts: &PortFacts) -> Result<Vec<Note>, Refusal> {
    let mut notes = Vec::new();
    if !proposed.apps.iter().any(is_auto) {
        return Ok(notes);
    }
    let project = facts.desired.projects.get(&proposed.project);
    let prior = |app: &App| {
        let stored = &project?.apps;
        let old = app.moved_from.iter().filter(|old| old.project == app.project).find_map(|old| stored.get(&old.name));
        stored.get(&app.name).or(old)
    };
    let is_proposed =
        |id: &AppId| id.project == proposed.project && proposed.apps.iter().any(|app| app.name == id.name);
    let mut taken = OtherPorts::default();
    for app in declared(facts.desired).filter(|app| !is_proposed(&app.spec.id())) {
        taken.add(&app.spec, app.instances());
    }
    for app in proposed.apps.iter().filter(|app| !is_auto(app)) {
        taken.add(app, app.instances.unwrap_or(1));
    }
    // Those that keep theirs come first: a new app takes nothing from them.
    let is_meant = |app: &App| options.only.is_empty() || options.only.contains(&app.name);
    let mut new = BTreeMap::new();
    for (at, app) in proposed.apps.iter_mut().enumerate().filter(|(_, app)| is_auto(app)) {
        let prior = prior(app);
        let count = copies(app, prior);
        let had = prior.filter(|prior| is_auto(&prior.spec)).and_then(|prior| prior.spec.run.port);
        let keeps = |port: u16| {
            let slots = slots_alive(facts.live, &prior.map_or_else(|| app.id(), |prior| prior.spec.id()));
            let is_ours = |slot: u32| slots.contains(&slot);
            !is_meant(app) || taken.lets(app, port, count, |slot, port| is_ours(slot) || (facts.is_free)(port))
        };
        match had.filter(|port| keeps(*port)) {
            Some(port) => {
                app.run.port = Some(port);
                taken.add(app, count);
            }
            None if is_meant(app) => drop(new.insert(at, (count, had))),
            // It is not touched, and not started.
            None => {}
        }
    }
    for (at, (count, had)) in new {
        let app = &mut proposed.apps[at];
        notes.push(choose(app, count, had, &mut taken, facts)?);
    }
    Ok(notes)
}

/// Gives apps that a user starts new ports where somebody else has taken theirs meanwhile.
///
/// # Errors
/// A range has not so many free ports.
pub fn move_ports(changes: &mut [Change], facts: &PortFacts) -> Result<Vec<(ProjectName, Note)>, Refusal> {
    let mut notes = Vec::new();
    for change in changes {
        let Change::App { declared, .. } = change else { continue };
        let (id, count) = (declared.spec.id(), declared.instances());
        let Some(port) = declared.spec.run.port.filter(|_| is_auto(&declared.spec) && declared.may_run(0)) else {
            continue;
        };
        // As long as one of them lives, they stay together.
        if !slots_alive(facts.live, &id).is_empty() {
            check_scale(declared, facts)?;
            continue;
        }
        let mut taken = others(facts.desired, &id);
        if taken.lets(&declared.spec, port, count, |_, port| (facts.is_free)(port)) {
            continue;
        }
        let mut app = (*declared.spec).clone();
        notes.push((id.project, choose(&mut app, count, Some(port), &mut taken, facts)?));
        declared.digest = Digest::of_content(&app);
        declared.spec = app.into();
    }
    Ok(notes)
}

/// Further copies of a running app have the ports behind those of the others, or there are none.
fn check_scale(declared: &Declared, facts: &PortFacts) -> Result<(), Refusal> {
    let id = declared.spec.id();
    let before = facts.desired.projects.get(&id.project).and_then(|project| project.apps.get(&id.name));
    let (Some(before), Some(port)) = (before, declared.spec.run.port) else { return Ok(()) };
    if before.instances() >= declared.instances() {
        return Ok(());
    }
    let (taken, had) = (others(facts.desired, &id), before.instances());
    if taken.lets(&declared.spec, port, declared.instances(), |slot, port| slot < had || (facts.is_free)(port)) {
        return Ok(());
    }
    Err(Refusal {
        kind: RefusalKind::Safety,
        message: format!("`{}` cannot have {} copies: a port behind its own is taken", id.name, declared.instances()),
        hint: Some(format!("`instances = {}` in its file moves all copies to other ports", declared.instances())),
        confirm: None,
    })
}

/// The ports of all apps but this one.
fn others(desired: &Desired, app: &AppId) -> OtherPorts {
    let mut taken = OtherPorts::default();
    for other in declared(desired).filter(|other| other.spec.id() != *app) {
        taken.add(&other.spec, other.instances());
    }
    taken
}

fn is_auto(app: &App) -> bool {
    app.run.slot_variables.auto_port.is_some()
}

fn declared(desired: &Desired) -> impl Iterator<Item = &Declared> {
    desired.projects.values().flat_map(|project| project.apps.values())
}

/// How many copies there will be: `pm scale` may have asked for more than the file.
fn copies(app: &App, prior: Option<&Declared>) -> u32 {
    app.instances.unwrap_or(1).max(prior.and_then(|prior| prior.scaled).unwrap_or(0)).max(1)
}

/// Slots that have a process: it has the port, or is about to.
fn slots_alive(live: &Live, app: &AppId) -> BTreeSet<u32> {
    let all = live.instances.range(app.instance(0)..=app.instance(u32::MAX).successor());
    all.filter(|(_, instance)| instance.phase.is_alive()).map(|(id, _)| id.slot).collect()
}

pub(super) fn block(port: u16, count: u32) -> Option<RangeInclusive<u16>> {
    let last = u32::from(port).checked_add(count.max(1) - 1)?;
    Some(port..=u16::try_from(last).ok()?)
}

/// The ports of other apps.
#[derive(Default)]
struct OtherPorts(BTreeSet<u16>);

impl OtherPorts {
    fn add(&mut self, app: &App, count: u32) {
        let listens = app.run.listen.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        });
        self.0.extend(listens);
        self.0.extend(app.run.port.and_then(|port| block(port, count)).into_iter().flatten());
    }

    /// Whether the copies of an app can have the ports from this one on.
    fn lets(&self, app: &App, port: u16, count: u32, is_free: impl Fn(u32, u16) -> bool) -> bool {
        let (Some(range), Some(mut ports)) = (app.run.slot_variables.auto_port, block(port, count)) else {
            return false;
        };
        let is_ours = |one: u16| range.contains(one) && !self.0.contains(&one);
        ports.all(|one| is_ours(one) && is_free(u32::from(one - port), one))
    }
}

/// Looks for ports in a row, from the place on that the names of the app say.
fn choose(
    app: &mut App,
    count: u32,
    had: Option<u16>,
    taken: &mut OtherPorts,
    facts: &PortFacts,
) -> Result<Note, Refusal> {
    let range = app.run.slot_variables.auto_port.unwrap_or(AutoPort::DEFAULT);
    let place = Digest::of(format!("{}\0{}", facts.home, app.id()).as_bytes()).number();
    let is_free = |port: &u16| taken.lets(app, *port, count, |_, port| (facts.is_free)(port));
    let found = places(range, count, place).find(is_free);
    let Some(first) = found else {
        return Err(Refusal {
            kind: RefusalKind::Safety,
            message: format!("`{}` needs {count} free ports in a row, and there are none in `{range}`", app.name),
            hint: Some("use a larger range, as `port = \"auto:20000-30000\"`, or `port = \"auto\"`".to_owned()),
            confirm: None,
        });
    };
    app.run.port = Some(first);
    taken.add(app, count);
    let last = block(first, count).map_or(first, |ports| *ports.end());
    Ok(Note::PortChosen { app: app.name.clone(), first, last, instead_of: had })
}

/// All ports at which a row of so many can begin: first those with room between them, then all.
pub(super) fn places(range: AutoPort, count: u32, place: u64) -> impl Iterator<Item = u16> {
    let length = u32::from(range.last - range.first) + 1;
    let begins = |step: u32| {
        let number = if length < count { 0 } else { (length - count) / step + 1 };
        let start = u32::try_from(place % u64::from(number.max(1))).unwrap_or(0);
        (0..number).map(move |at| (start + at) % number * step)
    };
    let step = if length < ROOMY { 1 } else { GAP };
    let rest = begins(1).filter(move |_| step > 1);
    begins(step).chain(rest).filter_map(move |offset| u16::try_from(u32::from(range.first) + offset).ok())
}
