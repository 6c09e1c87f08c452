//! Every example does what its folder promises: applied twice, the second time nothing happens; then deleted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{InstanceView, Sandbox};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folders = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let file_in = |folder: PathBuf| {
        let names = ["ecosystem.toml", "ecosystem.yaml", "ecosystem.json"];
        let found = names.iter().map(|name| folder.join(name)).find(|file| file.exists());
        found.unwrap_or_else(|| panic!("{} has no ecosystem file", folder.display()))
    };
    folders.map(file_in).collect()
}

#[test]
fn every_example_can_be_applied_twice_and_deleted() {
    let examples = examples();
    assert!(examples.len() >= 7, "{examples:?}");
    for file in &examples {
        let sandbox = Sandbox::new();
        let path = file.to_str().unwrap();
        sandbox.pm(&["check", path]).ok();
        sandbox.pm(&["apply", path]).ok();
        let first = sandbox.list();
        assert!(!first.is_empty(), "{path}: nothing runs");
        sandbox.pm(&["plan", path, "--detailed-exitcode"]).ok();
        sandbox.pm(&["apply", path]).ok();
        let names = |list: &[InstanceView]| -> Vec<_> {
            list.iter().map(|instance| (instance.id.clone(), instance.project.clone())).collect()
        };
        assert_eq!(names(&sandbox.list()), names(&first), "{path}");
        sandbox.pm(&["delete", "-A", "all"]).ok();
        assert_eq!(sandbox.list(), [], "{path}");
        assert_eq!(sandbox.app_processes(), [], "{path}");
    }
}

#[test]
fn every_example_names_its_schema_and_its_place_in_the_learning_order() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/README.md")).unwrap();
    for file in examples() {
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(first.contains("../../schemas/ecosystem.schema.json"), "{}: {first}", file.display());
        let name = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("[{name}]({name}/")), "examples/README.md does not list {name}");
    }
}
