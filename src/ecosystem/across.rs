//! Checks across all apps: dependencies, cycles, ports.

use std::collections::{BTreeMap, HashMap};

use crate::model::{App, Condition, Kind, RestartWhen};

use super::diagnostic::{Findings, code};
use super::merge::Merged;
use super::nearest::did_you_mean;
use super::tree::{Node, Span};

/// Checks dependencies against all declared names, broken apps included.
pub(super) fn dependencies(merged: &[Merged], report: &mut Findings) {
    let index: HashMap<&str, usize> = merged.iter().enumerate().map(|(at, app)| (app.name.as_str(), at)).collect();
    let mut edges: Vec<Vec<(usize, Span)>> = vec![Vec::new(); merged.len()];
    for (at, app) in merged.iter().enumerate() {
        for (name, span) in named(app) {
            match index.get(name) {
                Some(needed) => {
                    edges[at].push((*needed, span));
                    warn_of_timed(app, &merged[*needed], span, report);
                }
                None => {
                    let message =
                        format!("app `{}` depends on `{name}`, which is not an app of this project", app.name);
                    let hint = did_you_mean(name, merged.iter().map(|app| app.name.as_str()));
                    report.error(code::UNKNOWN_DEPENDENCY, span, message).hint = hint;
                }
            }
        }
    }
    cycles(merged, &edges, report);
}

/// It may be intended; if not, it is hard to see why nothing starts.
fn warn_of_timed(app: &Merged, needed: &Merged, span: Span, report: &mut Findings) {
    let is_task = needed.get("kind").is_some_and(|item| item.node.as_text() == Some("task"));
    if is_task && needed.get("cron_restart").is_some() {
        let message = format!("app `{}` depends on `{}`, which runs only on its schedule", app.name, needed.name);
        report.warning(code::CRON, span, message).hint("it does not start before the first scheduled run");
    }
}

fn named(app: &Merged) -> Vec<(&str, Span)> {
    let Some(item) = app.get("depends_on") else { return Vec::new() };
    let listed =
        item.node.as_list().unwrap_or_default().iter().filter_map(|node: &Node| Some((node.as_text()?, node.span)));
    let tabled = item.node.as_map().unwrap_or_default().iter().map(|entry| (entry.key.as_str(), entry.key_span));
    listed.chain(tabled).collect()
}

/// Walks every app once, without recursion; a step back onto the current path is a cycle.
fn cycles(merged: &[Merged], edges: &[Vec<(usize, Span)>], report: &mut Findings) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; merged.len()];
    for start in 0..merged.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // Each entry: an app on the current path, and which of its edges comes next.
        let mut path = vec![(start, 0)];
        while let Some((app, next)) = path.last_mut() {
            let Some((needed, span)) = edges[*app].get(*next).copied() else {
                marks[*app] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[needed] {
                Mark::New => {
                    marks[needed] = Mark::Open;
                    path.push((needed, 0));
                }
                Mark::Done => {}
                Mark::Open => {
                    let from = path.iter().position(|(app, _)| *app == needed).unwrap_or(0);
                    let mut names: Vec<&str> = path[from..].iter().map(|(app, _)| merged[*app].name.as_str()).collect();
                    names.push(&merged[needed].name);
                    let message = format!("apps wait for each other: {}", names.join(" → "));
                    report.error(code::DEPENDENCY_CYCLE, span, message).hint("remove one of these dependencies");
                }
            }
        }
    }
}

/// An app that waits for the end of an app that never ends waits forever.
pub(super) fn completions(merged: &[Merged], apps: &[(App, Span)], report: &mut Findings) {
    for (app, _) in apps {
        for (name, _) in app.depends_on.iter().filter(|(_, condition)| **condition == Condition::Completed) {
            let Some((needed, _)) = apps.iter().find(|(other, _)| other.name == *name) else { continue };
            if needed.kind == Kind::Task || needed.restart.restart != RestartWhen::Always {
                continue;
            }
            let declared = merged.iter().find(|merged| merged.name == app.name.as_str());
            let spans = declared.map(named).unwrap_or_default();
            let Some((_, span)) = spans.into_iter().find(|(other, _)| *other == name.as_str()) else { continue };
            let message =
                format!("app `{}` waits for `{name}` to complete, but `{name}` is always restarted", app.name);
            report
                .error(code::CONFLICTING_KEYS, span, message)
                .hint(format!("`kind = \"task\"` in `{name}` runs it once"));
        }
    }
}

/// Two apps on one port may be meant (other addresses), so it is a warning.
pub(super) fn ports(apps: &[(App, Span)], report: &mut Findings) {
    let mut by_port: BTreeMap<u16, (u32, &App)> = BTreeMap::new();
    for (app, span) in apps {
        let (Some(port), count) = (app.run.port, app.instances.unwrap_or(1)) else { continue };
        if count == 0 || !app.autostart {
            continue;
        }
        let end = u32::from(port) + count;
        let below = by_port.range(..=port).next_back().filter(|(_, (their_end, _))| *their_end > u32::from(port));
        let above = by_port.range(port..).next().filter(|(their_port, _)| u32::from(**their_port) < end);
        if let Some((_, (_, other))) = below.or(above) {
            let message = format!("apps `{}` and `{}` get the same port", other.name, app.name);
            report.warning(code::PORT, *span, message).hint("each instance gets `port` + its slot");
        }
        by_port.insert(port, (end, app));
    }
}
