//! An app whose whole tree uses too much memory is restarted gracefully; what apps use is in the list.

use std::time::Duration;

use crate::support::{SOON, Sandbox, wait_until};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_child_that_grows_restarts_the_whole_app_once_and_gracefully() {
    let sandbox = Sandbox::new();
    // The child grows in the first run only; the app itself stays small.
    let child = "import os, signal\nblock = bytearray(80 << 20) if not os.path.exists('grown') else b''\nopen('grown', 'w').close()\nprint('grown', flush=True)\nsignal.pause()\n";
    sandbox.file("child.py", child);
    sandbox.file("app.sh", "trap 'echo bye; exit 0' TERM\npython3 child.py &\nwait $!\n");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh app.sh\"\nmax_memory_restart = \"60M\"\n");
    sandbox.pm(&["apply"]).ok();
    let first = sandbox.pid("api/0");
    wait_until("it is restarted", LONG, || sandbox.pid("api/0") != first);
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 1);
    let log = String::from_utf8_lossy(&sandbox.log_text("api", "out", 0)).into_owned();
    assert!(log.contains("bye"), "it was asked, not killed: {log}");
    sandbox.pm(&["events", "api"]).ok().says(&["memory: ", "of 60M"]);
}

#[test]
fn the_list_shows_what_each_tree_uses() {
    let sandbox = Sandbox::new();
    sandbox.file("app.py", "block = bytearray(50 << 20)\nprint('up', flush=True)\nwhile True: pass\n");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"python3 app.py\"\nlimits = { nice = 19 }\n");
    sandbox.pm(&["apply"]).ok();
    wait_until("it has grown", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"up"));
    let row = || sandbox.pm(&["list", "--json"]).ok().json()["apps"][0].clone();
    wait_until("memory and processor time are shown", SOON, || {
        let row = row();
        row["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 50 << 20)
            && row["cpu_percent"].as_f64().is_some_and(|percent| percent > 1.0)
    });
    sandbox.pm(&["list"]).ok().says(&["cpu", "memory"]);
}
