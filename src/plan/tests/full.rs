//! Apps in which every key is set.

use super::app;
use crate::model::{
    App, Bytes, ClusterPolicy, Condition, CronOverlap, CronPolicy, Digest, ExecMode, Health, HealthAction, Hooks,
    HttpProbe, Limits, ListenAccess, ListenAddress, LogForm, LogFormat, Millis, Probe, Ready, Run, Scheduling,
    SlotVariables, StdinMode, Template, UpdatePolicy, UpdateStrategy, WatchOptions, WatchPolicy,
};

/// One for each kind of probe; together they have every key.
pub(in crate::plan) fn full_apps() -> Vec<App> {
    let text = Template::literal;
    let http = HttpProbe {
        url: text("http://127.0.0.1/$x"),
        status: vec![204],
        headers: [("Accept".to_owned(), text("text/$html"))].into(),
        body: Some("good".into()),
    };
    let asked = [Probe::Http(http), Probe::Tcp(text("[::1]:80")), Probe::Exec(text("test $HOME")), Probe::Notify(true)];
    let told = [Probe::Log("listening".into()), Probe::Message(true), Probe::Listening(true)];
    asked.iter().chain(&told).map(|probe| full_app(probe, asked.contains(probe).then_some(probe))).collect()
}

fn full_app(ready: &Probe, health: Option<&Probe>) -> App {
    let mut app = app("api");
    app.moved_from = vec!["shop:old".parse().unwrap()];
    app.instances = Some(2);
    app.depends_on = [("db".parse().unwrap(), Condition::Ready)].into();
    app.run = run();
    app.restart.stop_exit_codes = vec![0];
    app.restart.max_restarts = Some(3);
    app.stop.kill_signal = 2;
    app.logs.out_file = Some(Template::prepared("/var/log/$$out-${PM_INSTANCE}".into()));
    app.logs.error_file = Some(Template::literal("/var/log/$error"));
    app.logs.log_file = Some(Template::literal("/var/log/$all"));
    app.logs.merge_logs = true;
    app.logs.form = LogForm { log_format: LogFormat::Json, log_timestamps: Some("%F".into()) };
    app.ready = Some(Ready { probe: ready.clone(), timeout: Millis::seconds(10), interval: Millis(250) });
    app.health = health.map(|probe| Health {
        probe: probe.clone(),
        interval: Millis::seconds(9),
        timeout: Millis::seconds(2),
        start_period: Millis::seconds(1),
        failures: 2,
        action: HealthAction::Restart,
    });
    app.update = UpdatePolicy {
        strategy: Some(UpdateStrategy::Rolling),
        healthy_deadline: Some(Millis::seconds(60)),
        ..UpdatePolicy::default()
    };
    app.watching = WatchPolicy {
        watch: Some(vec!["/srv/shop".into()]),
        ignore_watch: vec!["tmp".into()],
        watch_options: WatchOptions { poll: true, interval: Some(Millis(500)), follow_symlinks: true },
        build: Some("make".into()),
        inputs: vec!["src".into()],
        ..WatchPolicy::default()
    };
    app.schedule = CronPolicy {
        cron_restart: Some("@daily".into()),
        cron_timezone: Some("UTC".into()),
        cron_overlap: CronOverlap::Queue,
    };
    app.max_memory_restart = Some(Bytes(300 << 20));
    let command = || Some("true".to_owned());
    app.hooks = Hooks {
        pre_start: command(),
        post_ready: command(),
        pre_stop: command(),
        on_crash: command(),
        on_give_up: command(),
        timeout: Some(Millis::seconds(5)),
    };
    app
}

fn run() -> Run {
    let name = || Some("www".to_owned());
    Run {
        script: Some("/srv/shop/api.js".into()),
        command: vec![Template::literal("echo"), Template::literal("a b")],
        shell: true,
        args: vec![Template::literal("-$v")],
        interpreter: Some("node".into()),
        interpreter_args: vec![Template::literal("--x")],
        exec_mode: ExecMode::Cluster,
        cluster: ClusterPolicy { scheduling: Some(Scheduling::Shared), drain_hook: false },
        cwd: "/srv/shop".into(),
        env: [("LEVEL".to_owned(), Template::literal("in$fo"))].into(),
        port: Some(8080),
        listen: vec![ListenAddress::Tcp("127.0.0.1:80".parse().unwrap()), ListenAddress::Unix("/run/api.sock".into())],
        access: ListenAccess {
            socket_names: vec!["http".into(), "admin".into()],
            socket_mode: Some(0o666),
            socket_user: name(),
            socket_group: name(),
        },
        slot_variables: SlotVariables {
            instance_var: "N".into(),
            increment_var: Some("LEVEL".into()),
            auto_port: crate::model::AutoPort::parse("auto:8000-9000"),
        },
        stdin: StdinMode::Pipe,
        user: name(),
        group: name(),
        umask: Some(0o27),
        limits: Limits {
            memory: Some(Bytes(1 << 30)),
            cpu: Some(50),
            nofile: Some(1000),
            nproc: Some(10),
            nice: Some(5),
            oom_score_adj: Some(100),
        },
        restart_on: [("/srv/shop/package-lock.json".into(), Digest::of(b"x"))].into(),
    }
}
