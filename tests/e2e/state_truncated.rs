//! State that was cut off costs at most the last change, is said, and never stops the daemon from starting.

use std::fs;
use std::path::PathBuf;

use crate::support::Sandbox;

const ONE: &str = "[[apps]]\nname = \"one\"\ncommand = \"sleep 1000\"\n";
const TWO: &str = "[[apps]]\nname = \"two\"\ncommand = \"sleep 2000\"\n";

/// A home with two accepted changes, nothing running, and its state files.
fn settled() -> (Sandbox, Vec<PathBuf>) {
    let sandbox = Sandbox::applied(ONE);
    sandbox.ecosystem(&format!("{ONE}{TWO}"));
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    let mut files = Vec::new();
    let mut folders = vec![sandbox.home().join("state")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "there is no state");
    (sandbox, files)
}

#[test]
fn every_state_file_may_be_cut_anywhere() {
    let count = settled().1.len();
    for number in 0..count {
        for cut in [Cut::LastByte, Cut::Half, Cut::All, Cut::Garbage] {
            let (sandbox, files) = settled();
            let file = &files[number.min(files.len() - 1)];
            cut.apply(file);
            let place = format!("{cut:?} of {}", file.display());
            let list = sandbox.pm(&["list", "-A", "--json"]);
            assert_eq!(list.status, 0, "{place}: {list}");
            let applied = sandbox.pm(&["apply"]);
            assert_eq!(applied.status, 0, "{place}: {applied}");
            for id in ["one/0", "two/0"] {
                sandbox.pid(id);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    LastByte,
    Half,
    All,
    Garbage,
}

impl Cut {
    fn apply(self, file: &PathBuf) {
        let text = fs::read(file).unwrap();
        let kept = match self {
            Self::LastByte => text[..text.len().saturating_sub(1)].to_vec(),
            Self::Half => text[..text.len() / 2].to_vec(),
            Self::All => Vec::new(),
            Self::Garbage => text.iter().map(|byte| byte ^ 0x55).collect(),
        };
        fs::write(file, kept).unwrap();
    }
}
