//! A plain app for tests of the deciding rooms.

use std::path::PathBuf;

use crate::model::{App, RestartPolicy, Run};

/// `shop:web`, all defaults.
pub(crate) fn app() -> App {
    App {
        namespace: "default".into(),
        autostart: true,
        run: Run {
            script: Some("/bin/web".into()),
            cwd: PathBuf::from("/"),
            instance_var: "NODE_APP_INSTANCE".into(),
            ..Run::default()
        },
        restart: RestartPolicy::default(),
        ..App::with_lost_spec("shop:web".parse().unwrap())
    }
}
