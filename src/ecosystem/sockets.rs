//! Sockets that two apps want at the same time.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::model::{App, ListenAddress};

use super::diagnostic::{Findings, code};
use super::merge::Merged;
use super::tree::Span;

/// What two addresses have in common that cannot both be open, or would be one socket.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Endpoint<'a> {
    Port(u16),
    Path(&'a Path),
}

/// Who listens where, by endpoint.
type Taken<'a> = BTreeMap<Endpoint<'a>, Vec<(&'a ListenAddress, &'a App)>>;

/// Two apps on one socket would share its connections by chance; on a port of which one has every address, only the
/// first of them starts.
pub(super) fn sockets(merged: &[Merged], apps: &[(App, Span)], report: &mut Findings) {
    let places: HashMap<&str, &Merged> = merged.iter().map(|app| (app.name.as_str(), app)).collect();
    let span_of = |app: &App, key: &str| places.get(app.name.as_str())?.get(key).map(|item| item.node.span);
    let mut taken = Taken::new();
    for app in apps.iter().map(|(app, _)| app).filter(|app| is_started(app)) {
        for address in &app.run.listen {
            let others = taken.entry(endpoint(address)).or_default();
            let is_it = |(theirs, other): &&(&ListenAddress, &App)| {
                other.name != app.name && (*theirs == address || theirs.excludes(address))
            };
            if let Some((theirs, other)) = others.iter().find(is_it) {
                let message =
                    format!("apps `{}` and `{}` both listen on {}", other.name, app.name, both(theirs, address));
                report
                    .error(code::PORT, span_of(app, "listen"), message)
                    .hint("use a different address for each app; copies of one app (`instances`) share theirs");
            }
            others.push((address, app));
        }
    }
    for (app, span) in apps.iter().filter(|(app, _)| is_started(app)) {
        ports_beside(app, span_of(app, "port").unwrap_or(*span), &taken, report);
    }
}

/// An app that opens a port on its own, beside one for which `pm` has opened it.
fn ports_beside(app: &App, span: Span, taken: &Taken<'_>, report: &mut Findings) {
    let Some(port) = app.run.port else { return };
    let count = u16::try_from(app.instances.unwrap_or(1)).unwrap_or(u16::MAX);
    let last = port.saturating_add(count.saturating_sub(1));
    let inside = taken.range(Endpoint::Port(port)..=Endpoint::Port(last)).flat_map(|(_, all)| all);
    let mut others = inside.filter(|(_, other)| other.name != app.name);
    let Some((address, other)) = others.next() else { return };
    let message = format!("app `{}` gets a port that app `{}` listens on: {address}", app.name, other.name);
    let hint = "each instance gets `port` + its slot, and `pm` opens the other one itself";
    // On one address only there may be room for both; on every address there is none.
    if is_everywhere(address) {
        report.error(code::PORT, span, message).hint(hint);
    } else {
        report.warning(code::PORT, span, message).hint(hint);
    }
}

/// Whether an apply starts it: of two that are started by hand, one at a time may be meant.
fn is_started(app: &App) -> bool {
    app.autostart && app.instances.unwrap_or(1) > 0
}

fn endpoint(address: &ListenAddress) -> Endpoint<'_> {
    match address {
        ListenAddress::Tcp(address) => Endpoint::Port(address.port()),
        ListenAddress::Unix(path) => Endpoint::Path(path),
    }
}

fn is_everywhere(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp(address) if address.ip().is_unspecified())
}

fn both(one: &ListenAddress, other: &ListenAddress) -> String {
    if one == other { one.to_string() } else { format!("one port: {one} and {other}") }
}
