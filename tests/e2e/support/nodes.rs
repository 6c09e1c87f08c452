//! The majors of Node that clusters are tested with: `./test` fetches them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is in the list, in order.
const MAJORS: &str = include_str!("fixtures/node_majors");

/// A Node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `20`.
    pub major: u32,
    /// Its program.
    pub program: PathBuf,
}

/// All majors of the list.
pub fn node_majors() -> Vec<u32> {
    MAJORS.split_whitespace().map(|major| major.parse().expect("the list has numbers")).collect()
}

/// The Node of this major. A missing one fails the test: it must not look as if it had passed.
pub fn node(major: u32) -> Node {
    let folder = folder();
    let program = folder.join(major.to_string()).join("node_modules/.bin/node");
    let found = [program, PathBuf::from("node")].into_iter().find(|program| major_of(program) == Some(major));
    let program =
        found.unwrap_or_else(|| panic!("node {major} is neither in {} nor on PATH: run ./test once", folder.display()));
    Node { major, program }
}

/// The folder of prom-client. A missing one fails the test.
pub fn prom_client() -> PathBuf {
    let found = folder().join("prom-client/node_modules/prom-client");
    assert!(found.join("package.json").is_file(), "no prom-client at {}: run ./test once", found.display());
    found
}

fn folder() -> PathBuf {
    std::env::var_os("PM_TEST_NODES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nodes"), PathBuf::from)
}

fn major_of(program: &Path) -> Option<u32> {
    let said = Command::new(program).arg("--version").output().ok()?.stdout;
    String::from_utf8(said).ok()?.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Runs each of these stories on every Node of the list.
#[macro_export]
macro_rules! on_every_node {
    ($($story:ident),+ $(,)?) => {
        $crate::on_every_node!(@ node_16 16 $($story)+);
        $crate::on_every_node!(@ node_18 18 $($story)+);
        $crate::on_every_node!(@ node_20 20 $($story)+);
        $crate::on_every_node!(@ node_22 22 $($story)+);
        $crate::on_every_node!(@ node_24 24 $($story)+);
        $crate::on_every_node!(@ node_26 26 $($story)+);
        #[test]
        fn no_major_is_forgotten() {
            assert_eq!($crate::support::node_majors(), [16, 18, 20, 22, 24, 26]);
        }
    };
    (@ $name:ident $major:literal $($story:ident)+) => {
        mod $name {
            $(#[test]
            fn $story() {
                super::$story(&$crate::support::node($major));
            })+
        }
    };
}

/// Runs each of these stories on two Nodes: an old one that many have, and the newest.
#[macro_export]
macro_rules! on_two_nodes {
    ($($story:ident),+ $(,)?) => {
        $crate::on_every_node!(@ on_20 20 $($story)+);
        $crate::on_every_node!(@ on_26 26 $($story)+);
    };
}
