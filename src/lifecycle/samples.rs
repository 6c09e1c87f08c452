//! A plain app for tests of the deciding rooms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{App, AppName, LogPolicy, ProjectName, RestartPolicy, Run, StopPolicy};

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
        depends_on: BTreeMap::new(),
        run: Run {
            script: Some("/bin/web".into()),
            cwd: PathBuf::from("/"),
            instance_var: "NODE_APP_INSTANCE".into(),
            ..Run::default()
        },
        restart: RestartPolicy::default(),
        stop: StopPolicy::default(),
        logs: LogPolicy::default(),
    }
}
