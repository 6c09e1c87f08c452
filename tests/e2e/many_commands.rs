//! Thirty commands at once on one app: all end, and there are never more copies than allowed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Sandbox, finish, wait_until};

const COPIES_MAX: usize = 2;

#[test]
fn there_are_never_more_copies_than_allowed() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 2\n");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(copies(&sandbox));
            }
            most
        });
        let verbs: [&[&str]; 5] =
            [&["restart", "api"], &["stop", "api"], &["start", "api"], &["apply"], &["restart", "api/1"]];
        let children: Vec<_> = (0..30).map(|number| (number, sandbox.start(verbs[number % verbs.len()]))).collect();
        let finished =
            children.into_iter().map(|(number, child)| finish(child, &verbs[number % verbs.len()].join(" ")));
        let outputs: Vec<_> = finished.collect();
        is_over.store(true, Ordering::Relaxed);
        let most = watcher.join().unwrap();
        for output in outputs {
            // A command whose order was overtaken says so (1, or 3 for an apply); none hangs, none crashes.
            assert!([0, 1, 3].contains(&output.status), "{output}");
        }
        assert!(most <= COPIES_MAX, "{most} copies at once");
    });
    sandbox.pm(&["apply"]).ok();
    wait_until("both copies run", crate::support::SOON, || copies(&sandbox) == COPIES_MAX);
}

fn copies(sandbox: &Sandbox) -> usize {
    sandbox
        .app_processes()
        .iter()
        .filter(|process| process.args.first().is_some_and(|word| word.contains("sleep")))
        .count()
}
