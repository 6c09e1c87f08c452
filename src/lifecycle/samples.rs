//! A plain app for tests of the deciding rooms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{
    App, AppName, CronPolicy, Hooks, Kind, LogPolicy, OnDependencyRestart, ProjectName, RestartPolicy, Run, StopPolicy,
    UpdatePolicy, WatchPolicy,
};

/// `shop:web`, all defaults.
pub(crate) fn app() -> App {
    App {
        project: ProjectName::new("shop").unwrap(),
        name: AppName::new("web").unwrap(),
        moved_from: Vec::new(),
        namespace: "default".into(),
        instances: None,
        autostart: true,
        protect: false,
        kind: Kind::Service,
        depends_on: BTreeMap::new(),
        on_dependency_restart: OnDependencyRestart::Ignore,
        run: Run {
            script: Some("/bin/web".into()),
            cwd: PathBuf::from("/"),
            instance_var: "NODE_APP_INSTANCE".into(),
            ..Run::default()
        },
        restart: RestartPolicy::default(),
        stop: StopPolicy::default(),
        logs: LogPolicy::default(),
        ready: None,
        health: None,
        update: UpdatePolicy::default(),
        watching: WatchPolicy::default(),
        schedule: CronPolicy::default(),
        max_memory_restart: None,
        hooks: Hooks::default(),
    }
}
