//! Keys about replacing processes: `update`, and the sockets that outlive them, `listen`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::model::{App, ListenAddress, Millis, Run, UpdatePolicy, UpdateStrategy};

use super::diagnostic::code;
use super::formats::umask;
use super::host::{Host as _, NoAccount};
use super::tree::{Node, Span, integer};
use super::values::Values;

/// Longest path of a Unix socket (`sun_path` without its null).
const SOCKET_PATH_MAX: usize = 107;
/// Longest name of a socket (`FDNAME_MAX` of systemd).
const SOCKET_NAME_BYTES_MAX: usize = 255;

/// Reads both into the app.
pub(super) fn update(values: &mut Values<'_>, app: &mut App) {
    app.run.listen = listen(values);
    socket_files(values, &mut app.run);
    app.update = policy(values);
    if app.update.strategy == Some(UpdateStrategy::Rolling)
        && app.run.has_port()
        && let Some(item) = values.item("update")
    {
        let span = item.node.get("strategy").map_or(item.key_span, |node| node.span);
        values
            .error(code::CONFLICTING_KEYS, span, "two processes of one slot cannot share its `port`")
            .hint("use `listen` instead of `port`, which gives both the same socket; or remove the strategy");
    }
    check_counts(values, app);
    if let (true, false, Some(item)) = (app.run.has_port(), app.run.listen.is_empty(), values.item("listen")) {
        let span = item.key_span;
        values
            .report
            .warning(code::PORT, span, format!("app `{}`: both `port` and `listen`", app.name))
            .hint("`port` only sets PORT; the sockets of `listen` are passed as descriptors");
    }
}

/// With none that may be added, or none that may be missing, the first process could never be replaced.
fn check_counts(values: &mut Values<'_>, app: &App) {
    let (key, count, what, hint) = match app.update_strategy() {
        UpdateStrategy::Rolling => {
            let hint = "write 1, or `strategy = \"restart\"` to end the old process first";
            ("max_surge", app.update.max_surge, "new processes come before old ones", hint)
        }
        _ => {
            let hint = "write 1, or use `listen` or a cluster, with which a new process can come first";
            ("max_unavailable", app.update.max_unavailable, "old processes end before new ones", hint)
        }
    };
    if let (0, Some(node)) = (count, values.node("update").and_then(|node| node.get(key))) {
        let message = format!("`update.{key}` is 0, but {what}: nothing could be replaced");
        values.error(code::BAD_VALUE, node.span, message).hint(hint);
    }
}

/// The names of the sockets; owner and mode of the files of Unix sockets.
fn socket_files(values: &mut Values<'_>, run: &mut Run) {
    if let Some(node) = values.node("socket_mode") {
        let mode = values.scalar("socket_mode", node, umask);
        run.access.socket_mode = mode.filter(|mode| *mode != Run::SOCKET_MODE);
    }
    run.access.socket_names = socket_names(values, run.listen.len());
    run.access.socket_user = values.text("socket_user");
    run.access.socket_group = values.text("socket_group");
    let world = values.world;
    let accounts = [
        (
            "socket_user",
            "user",
            run.access.socket_user.as_deref().map(|user| (user, world.account(user, None) != Err(NoAccount::NoUser))),
        ),
        (
            "socket_group",
            "group",
            run.access
                .socket_group
                .as_deref()
                .map(|group| (group, world.account("0", Some(group)) != Err(NoAccount::NoGroup))),
        ),
    ];
    for (key, word, account) in accounts {
        if let (Some((name, false)), Some(item)) = (account, values.item(key)) {
            values.error(code::UNKNOWN_USER, item.node.span, format!("`{key}`: no {word} `{name}`"));
        }
    }
    let has_files = run.listen.iter().any(|address| matches!(address, ListenAddress::Unix(_)));
    let given =
        ["socket_mode", "socket_user", "socket_group"].into_iter().find_map(|key| Some((key, values.item(key)?)));
    if let (false, false, Some((key, item))) = (has_files, run.listen.is_empty(), given) {
        let message = format!("app `{}`: `{key}` is for Unix sockets, but `listen` has none", values.app.name);
        values.report.warning(code::CONFLICTING_KEYS, item.key_span, message).hint("write `listen = [\"unix:PATH\"]`");
    }
}

fn policy(values: &mut Values<'_>) -> UpdatePolicy {
    let defaults = UpdatePolicy::default();
    let Some(node) = values.node("update") else { return defaults };
    let max_surge = count(values, node, "max_surge").unwrap_or(defaults.max_surge);
    let max_unavailable = count(values, node, "max_unavailable").unwrap_or(defaults.max_unavailable);
    let policy = UpdatePolicy {
        strategy: node.get("strategy").and_then(|node| {
            let read = |word: &str| match word {
                "rolling" => Some(UpdateStrategy::Rolling),
                _ => Some(UpdateStrategy::Restart),
            };
            values.scalar("update.strategy", node, read)
        }),
        max_surge,
        max_unavailable,
        min_healthy_time: duration(values, node, "min_healthy_time").unwrap_or(defaults.min_healthy_time),
        healthy_deadline: duration(values, node, "healthy_deadline"),
        auto_revert: values.boolean_of("update.auto_revert", node.get("auto_revert"), true),
    };
    if let (Some(deadline), Some(node)) = (policy.healthy_deadline, node.get("healthy_deadline"))
        && deadline <= policy.min_healthy_time
    {
        let message = "`update.healthy_deadline` must be longer than `min_healthy_time`: otherwise every process would be too late";
        values.error(code::BAD_VALUE, node.span, message);
    }
    policy
}

fn count(values: &mut Values<'_>, node: &Node, name: &str) -> Option<u32> {
    let read = |text: &str| integer(text).and_then(|number| u32::try_from(number).ok());
    values.scalar(&format!("update.{name}"), node.get(name)?, read)
}

fn duration(values: &mut Values<'_>, node: &Node, name: &str) -> Option<Millis> {
    let read = |text: &str| Millis::parse(text).ok();
    values.scalar(&format!("update.{name}"), node.get(name)?, read)
}

fn listen(values: &mut Values<'_>) -> Vec<ListenAddress> {
    let mut addresses = Vec::new();
    for (text, span) in values.texts("listen") {
        match address(values, &text, span) {
            Some(address) if addresses.contains(&address) => {
                values.error(code::BAD_VALUE, span, format!("`listen` contains {address} twice"));
            }
            Some(address) if addresses.iter().any(|other| is_covered(&address, other)) => {
                values
                    .error(code::BAD_VALUE, span, format!("`listen` contains the port of {address} twice"))
                    .hint("a port alone means every address of this machine: keep one of the two");
            }
            Some(address) => addresses.push(address),
            None => {
                values
                    .error(code::BAD_VALUE, span, format!("`listen`: `{text}` is not an address"))
                    .hint("write \"8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/run/app.sock\"");
            }
        }
    }
    addresses
}

/// What the sockets are called: one name for each, as `sd_listen_fds_with_names(3)` can tell them apart.
fn socket_names(values: &mut Values<'_>, count: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, span) in values.texts("socket_names") {
        let is_printable = name.chars().all(|letter| letter.is_ascii_graphic() && letter != ':');
        if !is_printable || name.is_empty() || name.len() > SOCKET_NAME_BYTES_MAX {
            values
                .error(code::BAD_VALUE, span, format!("`socket_names`: `{name}` cannot be the name of a socket"))
                .hint("1 to 255 printable ASCII characters, no blank and no colon");
        } else if names.contains(&name) {
            values.error(code::BAD_VALUE, span, format!("`socket_names` contains `{name}` twice"));
        }
        names.push(name);
    }
    if let (false, Some(item)) = (names.is_empty() || names.len() == count, values.item("socket_names")) {
        let (span, given) = (item.node.span, names.len());
        values
            .error(code::BAD_VALUE, span, format!("`socket_names`: {given} names for {count} sockets of `listen`"))
            .hint("give each of them a name, in the same order");
    }
    names
}

/// Whether both cannot be open at once on any machine: what `[::]` covers besides depends on the machine.
fn is_covered(one: &ListenAddress, other: &ListenAddress) -> bool {
    let is_one_family = match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => one.is_ipv4() == other.is_ipv4(),
        _ => false,
    };
    is_one_family && one.excludes(other)
}

/// A bare port listens on every address of the machine.
fn address(values: &mut Values<'_>, text: &str, span: Span) -> Option<ListenAddress> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        let path = values.home("listen", path, span)?;
        let path: PathBuf = values.folder_of(span).join(path);
        let path = super::host::tidy(&path);
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            let message = format!("`listen`: the path of the socket has {length} bytes: `{}`", path.display());
            values
                .error(code::BAD_VALUE, span, message)
                .hint(format!("clients can connect to at most {SOCKET_PATH_MAX} bytes: use a shorter path"));
        }
        return Some(ListenAddress::Unix(path));
    }
    let is_usable = |address: &SocketAddr| address.port() > 0;
    if let Ok(port) = text.parse::<u16>() {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
            .filter(is_usable)
            .map(ListenAddress::Tcp);
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse::<SocketAddr>().ok().filter(is_usable).map(ListenAddress::Tcp)
}
