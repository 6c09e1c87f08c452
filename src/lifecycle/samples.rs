//! A plain app and a plain process of it for tests of the deciding rooms.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{App, Counts, LiveInstance, Phase, RestartPolicy, Run, SlotVariables, Taken};

/// Its first process in this phase; nothing else is known of it.
pub(crate) fn live(phase: Phase) -> LiveInstance {
    LiveInstance {
        phase,
        incarnation: 1,
        since: None,
        restarts: 0,
        counts: Counts::default(),
        spec: Arc::new(app()),
        restart_requests: 0,
        started: None,
        last_exit: None,
        trouble: None,
        status_text: None,
        hook: None,
        taken: Taken::default(),
        following: None,
        is_unreachable: false,
    }
}

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
