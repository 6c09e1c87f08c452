//! Services of all kinds, each with what becomes of it.

use serde_json::{Value, json};

use super::of_compose;
use crate::pm2::{Remark, Translation};

fn read(services: &Value) -> Translation {
    of_compose(&json!({ "services": services })).unwrap()
}

/// The keys of the only app, without its name.
fn app(service: &Value) -> Value {
    let mut app = read(&json!({ "web": service })).document()["apps"][0].clone();
    app.as_object_mut().unwrap().remove("name");
    app
}

fn remarks(service: &Value) -> Vec<String> {
    read(&json!({ "web": service })).remarks.iter().map(Remark::line).collect()
}

#[test]
fn what_describes_the_process_becomes_keys() {
    for (service, expected) in [
        (json!({ "command": "npm start", "restart": "always" }), json!({ "command": "npm start" })),
        (
            json!({ "command": ["node", "a b.js", "--port=80"], "restart": "unless-stopped" }),
            json!({ "command": "node 'a b.js' --port=80" }),
        ),
        (
            json!({ "command": ["sh", "-c", "a && b"], "restart": "always" }),
            json!({ "command": "a && b", "shell": true }),
        ),
        (json!({ "command": "sh -c 'a | b'", "restart": "always" }), json!({ "command": "a | b", "shell": true })),
        (
            json!({ "entrypoint": ["./run"], "command": ["--x"], "restart": "always" }),
            json!({ "command": "./run --x" }),
        ),
        (json!({ "command": "a" }), json!({ "command": "a", "restart": "never" })),
        (json!({ "command": "a", "restart": false }), json!({ "command": "a", "restart": "never" })),
        (
            json!({ "command": "a", "restart": "on-failure:3" }),
            json!({ "command": "a", "restart": "on-failure", "max_restarts": 3 }),
        ),
        (
            json!({ "command": "a", "restart": "always", "environment": { "A": 1, "B": "x$Y", "C": null, "D": "$$5", "E": "${F:-g}", "H": true } }),
            json!({
                "command": "a", "inherit": ["C"],
                "env": { "A": 1, "B": "x${Y}", "D": "$$5", "E": "${F:-g}", "H": true },
            }),
        ),
        (
            json!({ "command": "a", "restart": "always", "environment": ["A=1=2", "B"], "env_file": ".env" }),
            json!({ "command": "a", "inherit": ["B"], "env_file": ".env", "env": { "A": "1=2" } }),
        ),
        (
            json!({ "command": "a", "restart": "always", "env_file": ["a.env", { "path": "b.env", "required": false }] }),
            json!({ "command": "a", "env_file": ["a.env", { "path": "b.env", "required": false }] }),
        ),
        (
            json!({ "command": "a", "restart": "always", "build": "./api", "working_dir": "/app" }),
            json!({ "command": "a", "cwd": "./api" }),
        ),
        (
            json!({ "command": "a", "restart": "always", "image": "node", "working_dir": "/app/web", "volumes": ["./src:/app:ro"] }),
            json!({ "command": "a", "cwd": "./src/web" }),
        ),
        (
            json!({ "command": "a", "restart": "always", "image": "node", "working_dir": "/app",
                    "volumes": ["data:/app/x", { "type": "bind", "source": ".", "target": "/app" }] }),
            json!({ "command": "a" }),
        ),
    ] {
        assert_eq!(app(&service), expected, "{service}");
    }
}

#[test]
fn how_it_is_stopped_limited_and_watched_becomes_keys() {
    for (service, expected) in [
        (
            json!({ "command": "a", "restart": "always", "stop_signal": "SIGINT", "stop_grace_period": "1m30s", "mem_limit": "512m", "cpus": 0.5, "scale": 3 }),
            json!({
                "command": "a", "instances": 3, "limits": { "memory": "512M", "cpu": "50%" },
                "kill_signal": "SIGINT", "kill_timeout": "1m30s",
            }),
        ),
        (
            json!({ "command": "a", "deploy": { "replicas": 2, "restart_policy": { "condition": "on-failure", "delay": "5s" }, "resources": { "limits": { "cpus": "2" } } } }),
            json!({ "command": "a", "restart": "on-failure", "restart_delay": "5s", "instances": 2, "limits": { "cpu": 2 } }),
        ),
        (
            json!({ "command": "a", "restart": "always", "profiles": ["debug"] }),
            json!({ "command": "a", "autostart": false }),
        ),
        (
            json!({ "command": "a", "restart": "always", "healthcheck": { "test": ["CMD", "curl", "-f", "http://localhost/"], "interval": "5s", "retries": 5, "start_period": "1m" } }),
            json!({
                "command": "a",
                "health": {
                    "exec": "curl -f http://localhost/", "interval": "5s", "timeout": "5s", "failures": 5,
                    "start_period": "1m", "action": "none",
                },
            }),
        ),
        (json!({ "command": "a", "restart": "always", "healthcheck": { "disable": true } }), json!({ "command": "a" })),
        (
            json!({ "command": "a", "restart": "always", "healthcheck": { "test": ["NONE"] } }),
            json!({ "command": "a" }),
        ),
    ] {
        assert_eq!(app(&service), expected, "{service}");
    }
}

#[test]
fn the_order_of_the_services_is_kept_with_its_conditions() {
    let healthy = json!({ "test": "pg_isready", "interval": "1s" });
    let document = read(&json!({
        "db": { "command": "postgres", "restart": "always", "healthcheck": healthy },
        "migrate": { "command": "./migrate", "depends_on": { "db": { "condition": "service_healthy", "restart": true } } },
        "web": {
            "command": "./web", "restart": "always",
            "depends_on": {
                "migrate": { "condition": "service_completed_successfully" },
                "db": { "condition": "service_started" },
                "cache": { "condition": "service_started" },
            },
        },
        "cache": { "image": "redis" },
        "late": { "command": "./late", "restart": "always", "depends_on": ["web"] },
    }))
    .document();
    let of = |name: &str| -> Value {
        let apps = document["apps"].as_array().unwrap();
        apps.iter().find(|app| app["name"] == name).cloned().unwrap_or(Value::Null)
    };
    assert_eq!(of("cache"), Value::Null);
    assert_eq!(of("db")["ready"], json!({ "exec": "pg_isready" }));
    assert_eq!(of("migrate")["kind"], "task");
    assert_eq!(of("migrate")["depends_on"], json!({ "db": "ready" }));
    assert_eq!(of("migrate")["on_dependency_restart"], "restart");
    assert_eq!(of("web")["depends_on"], json!({ "db": "started", "migrate": "completed" }));
    assert_eq!(of("late")["depends_on"], json!({ "web": "started" }));
}

#[test]
fn what_only_a_container_has_is_told() {
    let lines = remarks(&json!({
        "command": "a", "restart": "always", "image": "node:22", "ports": ["8080:80", { "published": 1, "target": 2 }],
        "user": "node", "volumes": ["x:/y"], "networks": ["back"], "cap_add": ["ALL"], "x-mine": 1, "container_name": "c",
    }));
    for line in [
        "web.ports: `8080:80`, `1:2`: the app itself listens here; `port = N` gives it `PORT`",
        "web.image: `node:22` is not used: the programs of this machine run, with its files and network",
        "web.user: ignored: it is a user of the container; `user = \"…\"` names one of this machine",
        "web.volumes: ignored: the app sees the files of this machine",
        "web.cap_add: ignored: it concerns containers",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
    }
    assert_eq!(lines.len(), 6, "{lines:#?}");
    let left_out = read(&json!({ "a": { "command": "x" }, "db": { "image": "postgres" }, "b": { "build": "." } }));
    let lines: Vec<String> = left_out.remarks.iter().map(Remark::line).collect();
    assert!(lines[1].starts_with("services.db: left out: what the image `postgres` runs"), "{lines:?}");
    assert!(lines[0].starts_with("services.b: left out: its command is in a Dockerfile"), "{lines:?}");
}

#[test]
fn what_cannot_be_understood_is_said_all_at_once() {
    for (file, says) in [
        (json!({}), "it has no `services`"),
        (json!({ "services": { "db": { "image": "postgres" } } }), "no service names its `command`"),
        (
            json!({ "services": { "a": 3, "b": {
                "command": "x", "restart": "sometimes", "stop_grace_period": 10, "mem_limit": "lots",
                "depends_on": 3, "environment": "x", "healthcheck": { "test": "x", "interval": "soon" },
            } } }),
            "services.a: expected a table\n\
             b.environment: expected a table, or a list of `NAME=VALUE`\n\
             b.depends_on: expected a list or a table of services\n\
             b.healthcheck.interval: expected a duration such as \"30s\"\n\
             b.restart: expected \"no\", \"always\", \"on-failure\" or \"unless-stopped\"\n\
             b.mem_limit: expected a size such as \"512m\"\n\
             b.stop_grace_period: expected a duration such as \"30s\"",
        ),
    ] {
        let misfit = of_compose(&file).unwrap_err().to_string();
        assert!(misfit.starts_with(says), "{misfit}");
    }
}
