//! How much the files may become. A short text can stand for a long one (aliases, defaults, variables, env files), so
//! what is built is counted, not only what is written.

use crate::model::{App, PROPOSED_BYTES_MAX, Proposed};

use super::diagnostic::{Findings, code};
use super::tree::{Node, Span, Value};

/// What the values of all apps may take together in memory, about.
const BUILT_BYTES_MAX: usize = 48 << 20;
/// What a value takes besides its text: its place, its key, its share of a table.
pub(super) const VALUE_BYTES: usize = 128;
const WAY_OUT: &str =
    "values from `defaults`, an env file or an alias count for every app that gets them: split the project";

/// What has been built so far.
pub(super) struct Built {
    left: usize,
    /// The number of findings when it was reported as too much.
    told_at: Option<usize>,
}

impl Default for Built {
    fn default() -> Self {
        Self { left: BUILT_BYTES_MAX, told_at: None }
    }
}

impl Built {
    /// Counts what app `app` is about to get. `false`: it is too much, which is reported once.
    pub fn take(&mut self, bytes: usize, app: &str, span: Span, report: &mut Findings) -> bool {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return true;
        }
        self.left = 0;
        if self.told_at.is_none() {
            let message =
                format!("app `{app}`: from here on, the values of all apps exceed {} MiB", BUILT_BYTES_MAX >> 20);
            report.error(code::TOO_LARGE, span, message).hint(WAY_OUT);
            self.told_at = Some(report.findings.len());
        }
        false
    }

    /// Whether what was built is accepted in any case: nearly always, and to count it exactly takes as long as to send it.
    fn is_far_below(&self, proposed: &Proposed) -> bool {
        /// `\u001b` for one byte.
        const ESCAPED: usize = 6;
        /// The keys of an app and its defaults.
        const KEYS_BYTES: usize = 4096;
        /// Paths of an app below its folder.
        const PATHS: usize = 64;
        let base: usize = proposed.base.iter().map(|(name, value)| name.len() + value.len()).sum();
        let folder = proposed.apps.iter().map(|app| app.run.cwd.as_os_str().len()).max().unwrap_or(0);
        let values = BUILT_BYTES_MAX - self.left + base + proposed.apps.len() * folder * PATHS;
        values * ESCAPED + proposed.apps.len() * KEYS_BYTES < PROPOSED_BYTES_MAX
    }

    /// Whether it was too much. What was found since then only comes from what is missing, and is forgotten.
    pub fn is_over(&self, report: &mut Findings) -> bool {
        if let Some(told_at) = self.told_at {
            report.findings.truncate(told_at);
        }
        self.told_at.is_some()
    }
}

/// What a tree takes in memory, about.
pub(super) fn size_of(node: &Node) -> usize {
    let inside = match &node.value {
        Value::Scalar(scalar) => scalar.text.len(),
        Value::List(nodes) => nodes.iter().map(size_of).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + size_of(&entry.node)).sum(),
    };
    VALUE_BYTES + inside
}

/// Refuses what the daemon would not accept.
pub(super) fn must_be_acceptable(proposed: &Proposed, built: &Built, report: &mut Findings) {
    if built.is_far_below(proposed) {
        return;
    }
    let bytes = json_bytes(proposed);
    if bytes <= PROPOSED_BYTES_MAX {
        return;
    }
    let largest = proposed.apps.iter().max_by_key(|app| json_bytes::<App>(app));
    let name = largest.map(|app| format!(", most of all `{}`", app.name)).unwrap_or_default();
    let (mib, limit) = (bytes.div_ceil(1 << 20), PROPOSED_BYTES_MAX >> 20);
    let message = format!("the resolved apps are {mib} MiB{name}; the daemon accepts {limit} MiB at a time");
    report.error(code::TOO_LARGE, None, message).hint(WAY_OUT);
}

fn json_bytes<T: serde::Serialize>(value: &T) -> usize {
    let mut count = Count(0);
    // Only a path that is not text fails, and that is reported when it is sent.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Counts what is written to it.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
