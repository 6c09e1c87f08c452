//! The published formats: the schema, the reference page and the samples all agree with the parser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pm::ecosystem::{self, Diagnostic, DiagnosticSeverity, Host, Look, NoAccount, ReadOptions, SourceFile, Unreadable};
use pm::model::{ExecLimits, Proposed};

/// A machine where everything exists, unless its name says that it is missing.
struct Everything(BTreeMap<String, String>);

impl Everything {
    fn new() -> Self {
        Self(BTreeMap::from([("PATH".into(), "/bin".into()), ("HOME".into(), "/home/me".into())]))
    }
}

impl Host for Everything {
    fn read(&self, path: &Path, _bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        if path.to_string_lossy().contains("missing") {
            Err(Unreadable::Missing)
        } else {
            Ok(b"FROM_FILE=1\n".to_vec())
        }
    }
    fn look(&self, path: &Path) -> Look {
        let is_file = path.extension().is_some() || path.starts_with("/bin");
        match path.to_string_lossy().contains("missing") {
            true => Look::Missing,
            false if is_file => Look::File { is_executable: true },
            false => Look::Folder,
        }
    }
    fn first_line(&self, _path: &Path) -> Option<Vec<u8>> {
        None
    }
    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_path_buf())
    }
    fn list(&self, _folder: &Path) -> Vec<(String, bool)> {
        vec![("bundle.js".into(), false)]
    }
    fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
    }
    fn cpus(&self) -> u32 {
        4
    }
    fn account(&self, _user: &str, _group: Option<&str>) -> Result<(), NoAccount> {
        Ok(())
    }
    fn has_zone(&self, zone: &str) -> bool {
        zone == "Europe/Berlin"
    }
    fn exec_limits(&self) -> ExecLimits {
        ExecLimits { string_bytes: 128 << 10, total_bytes: 6 << 20 }
    }
    fn open_files_max(&self) -> Option<u64> {
        None
    }
}

/// All samples of a folder, at paths of a made-up project.
fn samples(folder: &str) -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/ecosystem").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let sample = |path: PathBuf| {
        let named = Path::new("/srv/shop").join(path.file_name().unwrap());
        SourceFile::new(named, std::fs::read(&path).unwrap())
    };
    let samples: Vec<SourceFile> = paths.into_iter().map(sample).collect();
    assert!(samples.len() > 5);
    samples
}

fn read(sample: &SourceFile) -> (Option<Proposed>, Vec<Diagnostic>) {
    let reading = ecosystem::read(std::slice::from_ref(sample), &ReadOptions::default(), &Everything::new());
    let errors = reading.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == DiagnosticSeverity::Error);
    (reading.proposed, errors.collect())
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&ecosystem::schema()).unwrap()
}

#[test]
fn what_is_valid_passes_parser_and_schema() {
    let validator = validator();
    for sample in samples("valid") {
        let name = sample.path.display();
        let (_, errors) = read(&sample);
        let wrong: Vec<&Diagnostic> = errors.iter().filter(|error| error.code != "unsupported").collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        let json = ecosystem::to_json(&sample).unwrap();
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn what_is_invalid_fails_in_parser_and_schema() {
    let validator = validator();
    for sample in samples("invalid") {
        let name = sample.path.display();
        let (proposed, errors) = read(&sample);
        assert!(proposed.is_none(), "{name}: the parser takes it");
        assert!(errors.iter().all(|error| error.code != "unsupported"), "{name}: {errors:#?}");
        assert!(errors.iter().all(|error| error.place.is_some()), "{name}: {errors:#?}");
        let json = ecosystem::to_json(&sample);
        assert!(json.is_none_or(|json| !validator.is_valid(&json)), "{name}: the schema takes it");
    }
}

#[test]
fn what_only_shows_in_the_whole_is_told_with_its_code() {
    for sample in samples("invalid-meaning") {
        let name = sample.path.display().to_string();
        let code = name.rsplit('.').nth(1).unwrap();
        let (proposed, errors) = read(&sample);
        assert!(proposed.is_none(), "{name}");
        let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
        assert_eq!(codes, [code], "{name}");
    }
}

#[test]
fn the_format_makes_no_difference() {
    let mut twins: Vec<Proposed> = Vec::new();
    for sample in samples("valid").into_iter().filter(|sample| sample.path.file_stem().unwrap() == "twin") {
        let (proposed, errors) = read(&sample);
        let mut proposed = proposed.unwrap_or_else(|| panic!("{errors:#?}"));
        proposed.origin.files.clear();
        twins.push(proposed);
    }
    assert_eq!(twins.len(), 4);
    for twin in &twins[1..] {
        assert_eq!(twin, &twins[0]);
    }
}

#[test]
fn every_key_stands_in_a_valid_sample() {
    let text: String =
        samples("valid").iter().map(|sample| String::from_utf8_lossy(&sample.text).into_owned()).collect();
    for key in pm::model::KEYS.iter().filter(|key| key.name != "env_NAME") {
        let names = || std::iter::once(&key.name).chain(key.aliases);
        assert!(names().any(|name| text.contains(name)), "{} is in no sample", key.name);
    }
}

/// Compares a committed file with what the code says; `UPDATE_COMMITTED=1` writes it.
fn is_fresh(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_COMMITTED").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == wanted, "{} is not fresh: run the tests with UPDATE_COMMITTED=1", path.display());
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    is_fresh("schemas/ecosystem.schema.json", &format!("{:#}\n", ecosystem::schema()));
}

#[test]
fn the_committed_reference_is_that_of_the_code() {
    is_fresh("docs/reference/ecosystem.md", &ecosystem::reference());
}
