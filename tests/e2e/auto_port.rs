//! `port = "auto"`: each copy has a free port of its own, and keeps it.

use std::collections::BTreeSet;
use std::net::TcpListener;

use crate::support::{SOON, Sandbox, finish, free_port, kill_both_now, run, wait_for, wait_until};

/// Listens on PORT, answers its number.
const SERVER: &str = "python3 -c 'import os, socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, \
                      socket.SO_REUSEADDR, 1); s.bind((\"127.0.0.1\", int(os.environ[\"PORT\"]))); s.listen(); \
                      print(\"on\", os.environ[\"URL\"], flush=True); [s.accept()[0].close() for _ in iter(int, 1)]'";

fn servers(apps: &[(&str, &str)]) -> String {
    let app = |(name, rest): &(&str, &str)| {
        format!(
            "[apps.{name}]\ncommand = {}\nport = \"auto\"\nenv = {{ URL = \"http://127.0.0.1:${{PORT}}\" }}\n\
             ready = {{ tcp = \"127.0.0.1:${{PORT}}\" }}\nkill_timeout = \"500ms\"\n{rest}\n",
            serde_json::Value::from(SERVER)
        )
    };
    apps.iter().map(app).collect()
}

/// The port of slot 0 as it is declared.
fn port_of(sandbox: &Sandbox, app: &str) -> u16 {
    let described = sandbox.pm(&["describe", app, "--json"]).ok().json();
    let port = described["apps"][0]["spec"]["run"]["port"].as_u64();
    u16::try_from(port.unwrap_or_else(|| panic!("no port in {described}"))).unwrap()
}

#[test]
fn a_free_port_is_chosen_told_and_kept() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&servers(&[("api", "instances = 2"), ("web", "")]));
    let planned = sandbox.pm(&["plan"]).ok().stdout;
    let applied = sandbox.pm(&["apply"]).ok();
    let (api, web) = (port_of(&sandbox, "api"), port_of(&sandbox, "web"));
    let said = format!("api gets ports {api} to {}", api + 1);
    assert!(planned.contains(&said), "the plan knows it before: {planned}");
    applied.says(&[&said, &format!("web gets port {web}")]);
    assert!(web != api && web != api + 1);
    let listed = sandbox.pm(&["list", "--json"]).ok().json();
    let ports: Vec<_> = listed["apps"].as_array().unwrap().iter().map(|row| row["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, [api, api + 1, web].map(u64::from), "{listed}");
    sandbox.pm(&["list"]).ok().says(&["port", &api.to_string(), &web.to_string()]);
    // Everything that names the port means it; `ready` has connected to it.
    for (slot, port) in [(0, api), (1, api + 1)] {
        wait_until("it says where it listens", SOON, || {
            String::from_utf8_lossy(&sandbox.log_text("api", "out", slot))
                .contains(&format!("http://127.0.0.1:{port}\n"))
        });
    }
    // An apply that changes nothing, restarts, a new daemon, both new, a stop.
    let pid = sandbox.pid("api/0");
    sandbox.pm(&["apply"]).ok();
    sandbox.kill_daemon();
    assert_eq!((sandbox.pid("api/0"), port_of(&sandbox, "api")), (pid, api));
    sandbox.pm(&["restart", "api"]).ok();
    kill_both_now(&sandbox);
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["start", "api"]).ok();
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["apply"]).ok();
    assert_eq!((port_of(&sandbox, "api"), port_of(&sandbox, "web")), (api, web));
    sandbox.pm(&["describe", "api"]).ok().says(&[&format!("{api}")]);
}

#[test]
fn a_port_that_somebody_else_took_meanwhile_is_left() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&servers(&[("api", "")]));
    sandbox.pm(&["apply"]).ok();
    let mut held = Vec::new();
    for bring_back in [&["start", "api"][..], &["apply"]] {
        let port = port_of(&sandbox, "api");
        sandbox.pm(&["stop", "api"]).ok();
        held.push(wait_for("the port is free", SOON, || TcpListener::bind(("127.0.0.1", port)).ok()));
        sandbox.pm(bring_back).ok().says(&[&format!("it cannot keep port {port}")]);
        assert_ne!(port_of(&sandbox, "api"), port);
        sandbox.wait_phase("api/0", "running");
    }
}

#[test]
fn a_hundred_apps_at_once_in_two_homes_have_ports_of_their_own() {
    let names: Vec<String> = (0..50).map(|at| format!("a{at}")).collect();
    let file: String = names
        .iter()
        .map(|name| format!("[apps.{name}]\ncommand = \"sleep 1000\"\nport = \"auto\"\nkill_timeout = \"500ms\"\n"))
        .collect::<Vec<_>>()
        .concat();
    let sandboxes = [Sandbox::new(), Sandbox::new()];
    let mut ports = BTreeSet::new();
    for sandbox in &sandboxes {
        sandbox.file("ecosystem.toml", format!("project = \"shop\"\n{file}"));
        sandbox.file("other/ecosystem.toml", format!("project = \"other\"\n{file}"));
    }
    // Both projects of a home at the same time.
    let mut applies = Vec::new();
    for sandbox in &sandboxes {
        for path in ["ecosystem.toml", "other/ecosystem.toml"] {
            applies.push(sandbox.start(&["apply", "--detach", path]));
        }
    }
    for child in applies {
        finish(child, "pm apply").ok();
    }
    for sandbox in &sandboxes {
        let mut own = BTreeSet::new();
        for app in sandbox.pm(&["describe", "all", "-A", "--json"]).ok().json()["apps"].as_array().unwrap() {
            assert!(own.insert(app["spec"]["run"]["port"].as_u64().unwrap()), "twice: {app}");
        }
        assert_eq!(own.len(), 100);
        ports.extend(own);
    }
    // Nobody listens, so that nothing but the names of the homes tells them apart.
    assert!(ports.len() > 150, "{} different ports for 200 apps", ports.len());
}

#[test]
fn a_range_is_kept_to_and_its_end_is_told() {
    let sandbox = Sandbox::new();
    let first = free_port();
    let app = |range: String, rest: &str| {
        format!("[apps.api]\ncommand = \"sleep 1000\"\nport = \"auto:{range}\"\nkill_timeout = \"500ms\"\n{rest}\n")
    };
    sandbox.ecosystem(&app(format!("{first}-{first}"), ""));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(port_of(&sandbox, "api"), first);
    sandbox.pm(&["scale", "api", "2"]).code(8).says(&["a port behind its own is taken"]);
    sandbox.ecosystem(&app(format!("{first}-{first}"), "instances = 2"));
    sandbox.pm(&["check"]).code(65).says(&["too few for 2 instances"]);
    let held = free_port();
    let _held = TcpListener::bind(("127.0.0.1", held)).unwrap();
    sandbox.ecosystem(&app(format!("{held}-{held}"), ""));
    sandbox.pm(&["plan"]).code(8).says(&["needs 1 free port"]);
    for wrong in ["auto:", "auto:9-8", "auto:0-5", "auto:1-70000", "automatic"] {
        sandbox.ecosystem(&format!("[apps.api]\ncommand = \"sleep 1\"\nport = \"{wrong}\"\n"));
        run(&mut sandbox.command(&["check"])).code(65).says(&["auto:8000-8100"]);
    }
}
