//! Settings that a process only gets when it is started.

use crate::model::{App, ListenAddress, Millis, Probe};

/// How a process can talk to us: both are variables and descriptors of its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channels {
    /// `NOTIFY_SOCKET`.
    pub notify: bool,
    /// `WATCHDOG_USEC`: it says that it is alive at least this often.
    pub watchdog: Option<Millis>,
    /// The channel of Node's messages.
    pub message: bool,
}

impl Channels {
    /// What an app uses.
    pub fn of(spec: &App) -> Self {
        let ready = spec.ready.as_ref().map(|ready| &ready.probe);
        let health = spec.health.as_ref().filter(|health| matches!(health.probe, Probe::Notify(_)));
        let watchdog = health.map(|health| health.interval);
        Self {
            notify: watchdog.is_some() || matches!(ready, Some(Probe::Notify(_))),
            watchdog,
            message: !spec.is_cluster()
                && (spec.stop.shutdown_with_message || matches!(ready, Some(Probe::Message(_)))),
        }
    }
}

/// The keys outside of [`crate::model::Run`] whose new value a process that was started with the old one can never
/// follow: as paths of the file, each with what lies below it.
pub fn fixed_at_start(old: &App, new: &App) -> Vec<&'static str> {
    let (had, wanted) = (Channels::of(old), Channels::of(new));
    let mut fixed = Vec::new();
    if old.kind != new.kind {
        fixed.push("kind");
    }
    // Without pipes it writes into nothing; with them, somebody must read.
    if old.logs.disable_logs != new.logs.disable_logs {
        fixed.push("disable_logs");
    }
    if wanted.notify && !had.notify {
        fixed.push("ready.notify");
    }
    // A process that reports more often than it has to is fine, a rarer one would be ended for it.
    if wanted.watchdog.is_some_and(|wanted| had.watchdog.is_none_or(|had| had > wanted)) {
        fixed.extend(["health.notify", "health.interval"]);
    }
    if wanted.message && !had.message {
        fixed.extend(["ready.message", "shutdown_with_message"]);
    }
    fixed
}

/// Whether a process of the one spec can continue under the other.
pub fn can_follow(old: &App, new: &App) -> bool {
    old.run == new.run && fixed_at_start(old, new).is_empty()
}

/// One name for each, no two alike: the given ones, or else `tcp-8080`, `app.sock`. A second one of a name that is made from an
/// address gets a number: `tcp-8080-2`.
pub fn socket_names(addresses: &[ListenAddress], given: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.iter().enumerate() {
        let wanted = given.get(index).cloned().unwrap_or_else(|| name(address));
        let mut name = wanted.clone();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = format!("{wanted}-{number}");
        }
        names.push(name);
    }
    names
}

/// The separator of the variable is a colon.
fn name(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => format!("tcp-{}", address.port()),
        ListenAddress::Unix(path) => {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().replace(':', "-"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_has_a_name_of_its_own() {
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        let unix = |path: &str| ListenAddress::Unix(path.into());
        let addresses = [tcp("127.0.0.1:80"), tcp("[::1]:80"), unix("/a/x:1.sock"), unix("/b/x:1.sock")];
        assert_eq!(socket_names(&addresses, &[]), ["tcp-80", "tcp-80-2", "x-1.sock", "x-1.sock-2"]);
        let given = ["http", "admin"].map(str::to_owned);
        assert_eq!(socket_names(&addresses[..2], &given), given);
        let twin = [unix("/a/s-2"), unix("/a/s"), unix("/b/s")];
        assert_eq!(socket_names(&twin, &[]), ["s-2", "s", "s-3"]);
    }
}
