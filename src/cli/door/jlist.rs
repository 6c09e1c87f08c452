//! The keys that scripts read. Values that may be secret are masked, as in every other JSON.

use serde_json::{Map, Value, json};

use super::scene::{DoorScene, ListedProcess};
use super::version::version_of;
use crate::model::{App, Exit, RestartWhen, Template};
use crate::os;

/// Every process.
pub(super) fn all(scene: &DoorScene) -> Value {
    let user = os::user_name(os::user_id());
    scene.members().map(|member| of(&member, &user)).collect()
}

fn of(member: &ListedProcess<'_>, user: &str) -> Value {
    let row = member.row;
    let memory = row.memory_bytes.map_or(0, |bytes| bytes.0);
    let cpu = row.cpu_percent.map_or(0.0, |percent| (f64::from(percent) * 10.0).round() / 10.0);
    json!({
        "pid": row.pid.unwrap_or(0),
        "name": member.known.name,
        "pm_id": member.number,
        "monit": { "memory": memory, "cpu": cpu },
        "pm2_env": pm2_env(member, user),
    })
}

/// `fork_mode` or `cluster_mode`.
pub(super) fn mode(app: &App) -> &'static str {
    if app.is_cluster() { "cluster_mode" } else { "fork_mode" }
}

/// PM2 has no word for a signal: what a shell would say.
fn exit_code(exit: Exit) -> Value {
    match exit {
        Exit::Code(code) => code.into(),
        Exit::Signal(signal) => (128 + signal).into(),
        Exit::Unknown => Value::Null,
    }
}

fn pm2_env(member: &ListedProcess<'_>, user: &str) -> Value {
    let (app, row): (&App, _) = (&member.app.spec, member.row);
    let slot = row.slot.unwrap_or(0);
    let env = app.run.env.iter().map(|(name, value)| (name.clone(), Value::from(value.to_string())));
    let env: Map<String, Value> = env.collect();
    let words = |words: &[Template]| -> Value { words.iter().map(|word| Value::from(word.to_string())).collect() };
    let args = if app.run.script.is_some() { words(&app.run.args) } else { words(&app.run.command) };
    let [out_file, error_file] =
        member.log_paths().map(|path| path.map_or(Value::Null, |path| path.to_string_lossy().into()));
    let started = row.started_at.map_or(Value::Null, |time| time.0.into());
    let mut keys = json!({
        "name": member.known.name,
        "namespace": member.known.namespace,
        "status": member.status(),
        "pm_id": member.number,
        "restart_time": member.restarts(),
        "unstable_restarts": row.status.count.unwrap_or(0),
        "pm_uptime": started.clone(),
        "created_at": member.counted_from.map_or(started, |from| from.at.0.into()),
        "exec_mode": mode(app),
        "instances": member.app.scaled.or(app.instances).unwrap_or(1),
        "exec_interpreter": app.run.interpreter.as_deref().unwrap_or("none"),
        "node_args": words(&app.run.interpreter_args),
        "args": args,
        "pm_exec_path": member.known.script,
        "pm_cwd": app.run.cwd.to_string_lossy(),
        "pm_out_log_path": out_file,
        "pm_err_log_path": error_file,
        "pm_pid_path": null,
        "watch": app.watching.watch.is_some(),
        "autostart": app.autostart,
        "autorestart": app.restart.restart != RestartWhen::Never,
        "kill_timeout": app.stop.kill_timeout.0,
        "instance_var": app.run.slot_variables.instance_var,
        "NODE_APP_INSTANCE": slot,
        "username": user,
        "version": version_of(&member.known.script),
        "node_version": "N/A",
        "env": env,
    });
    if let Some(exit) = row.last_exit {
        keys["exit_code"] = exit_code(exit);
    }
    if let Some(bytes) = app.max_memory_restart {
        keys["max_memory_restart"] = bytes.0.into();
    }
    if let Some(cron) = &app.schedule.cron_restart {
        keys["cron_restart"] = json!(cron);
    }
    keys
}
