//! A plain app for tests of the deciding rooms.

use std::path::PathBuf;

use crate::model::{App, RestartPolicy, Run, SlotVariables};

/// `shop:web`, all defaults.
pub(crate) fn app() -> App {
    App {
        namespace: "default".into(),
        autostart: true,
        run: Run {
            script: Some("/bin/web".into()),
            cwd: PathBuf::from("/"),
            slot_variables: SlotVariables { instance_var: "NODE_APP_INSTANCE".into(), ..SlotVariables::default() },
            ..Run::default()
        },
        restart: RestartPolicy::default(),
        ..App::with_lost_spec("shop:web".parse().unwrap())
    }
}
