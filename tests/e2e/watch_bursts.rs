//! A build is not a save: what writes several files with pauses, or one file slowly, replaces its app once.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::{Sandbox, pause_between_faults};
use crate::watch::{FILE, is_watched, restarts_by};

fn watching(delay: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.file("app/dist/0.js", "one");
    sandbox.ecosystem(&FILE.replace("100ms", delay));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    sandbox
}

#[test]
fn a_build_with_pauses_replaces_the_app_twice_only_the_first_time() {
    let sandbox = watching("600ms");
    let mut round = 0;
    let mut build = || {
        round += 1;
        restarts_by(&sandbox, || {
            // No continuation of what was before.
            pause_between_faults(Duration::from_secs(4));
            for file in 0..3 {
                sandbox.file(&format!("app/dist/{file}.js"), format!("{round}"));
                // Longer than a save takes (90 ms here), shorter than the quiet period.
                pause_between_faults(Duration::from_millis(250));
            }
        })
    };
    assert_eq!(build(), 2, "the first file may be a save");
    assert_eq!(build(), 1, "it has been learned");
    assert_eq!(build(), 1);
}

#[test]
fn a_new_file_that_is_written_slowly_replaces_the_app_once_it_is_closed() {
    let sandbox = watching("400ms");
    let count = restarts_by(&sandbox, || {
        pause_between_faults(Duration::from_secs(3));
        let mut file = fs::File::create(sandbox.path("app/dist/bundle.js")).unwrap();
        for _ in 0..4 {
            file.write_all(b"part\n").unwrap();
            pause_between_faults(Duration::from_millis(250));
        }
    });
    assert_eq!(count, 1);
}

#[test]
fn a_release_link_that_is_turned_replaces_the_app_once() {
    let sandbox = Sandbox::new();
    for release in 1..=3 {
        sandbox.file(&format!("releases/{release}/server.js"), release.to_string());
    }
    symlink("releases/1", sandbox.path("current")).unwrap();
    sandbox.file("app/x", "");
    sandbox.ecosystem(&FILE.replace("watch = true", "watch = [\".\", \"../current\"]"));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    for release in 2..=3 {
        let count = restarts_by(&sandbox, || {
            symlink(format!("releases/{release}"), sandbox.path("next")).unwrap();
            fs::rename(sandbox.path("next"), sandbox.path("current")).unwrap();
        });
        assert_eq!(count, 1, "release {release}");
    }
    let count = restarts_by(&sandbox, || drop(sandbox.file("releases/1/server.js", "old")));
    assert_eq!(count, 0, "an old release");
    let count = restarts_by(&sandbox, || drop(sandbox.file("releases/3/server.js", "new")));
    assert_eq!(count, 1, "the present one");
}
