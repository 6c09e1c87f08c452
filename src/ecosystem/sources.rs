//! Where every resolved value came from: `pm config --sources`, and the causes in a plan.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::diagnostic::{Place, Places};
use super::environment::{Collected, From};
use super::merge::Merged;
use super::tree::Span;

/// Where one value came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Source {
    /// `api.env.DB`.
    pub path: String,
    /// From where.
    #[serde(flatten)]
    pub from: SourceFrom,
}

/// Where a value came from. What is not listed is a default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum SourceFrom {
    /// Written here.
    File {
        /// In the ecosystem file.
        place: Place,
        /// Shell variables that were filled in.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        variables: Vec<String>,
    },
    /// A line of an env file.
    EnvFile {
        /// The env file itself.
        file: PathBuf,
    },
    /// `inherit`: the shell that applies.
    Shell,
}

/// What is remembered about where values came from.
#[derive(Default)]
pub(super) struct Notes {
    pub from_shell: BTreeMap<String, String>,
    written: Vec<(String, Span, Vec<String>)>,
    others: Vec<Source>,
}

impl Notes {
    pub fn take(&mut self, app: &Merged, collected: &Collected, from_shell: &[(String, String)], with_sources: bool) {
        for (path, variable) in from_shell {
            // A list is one field to the planner: `args[0]` counts as `args`.
            let path =
                path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map_or(path.as_str(), |parts| parts.0);
            let names = self.from_shell.entry(format!("{}.{path}", app.name)).or_default();
            if !names.split(", ").any(|name| name == variable) {
                names.push_str(if names.is_empty() { "" } else { ", " });
                names.push_str(variable);
            }
        }
        if !with_sources {
            return;
        }
        let variables = |path: &str| -> Vec<String> {
            from_shell.iter().filter(|(known, _)| known == path).map(|(_, name)| name.clone()).collect()
        };
        for item in app.items.iter().filter(|item| item.key.name != "env") {
            let key = item.key.name;
            self.written.push((format!("{}.{key}", app.name), item.node.span, variables(key)));
        }
        for (name, from) in &collected.from {
            let path = format!("{}.env.{name}", app.name);
            match from {
                From::File(span) => self.written.push((path, *span, variables(&format!("env.{name}")))),
                From::EnvFile(file) => {
                    self.others.push(Source { path, from: SourceFrom::EnvFile { file: file.clone() } });
                }
                From::Shell => self.others.push(Source { path, from: SourceFrom::Shell }),
            }
        }
    }

    pub fn sources(&self, places: &Places<'_>) -> Vec<Source> {
        let written = self.written.iter().filter_map(|(path, span, variables)| {
            let from = SourceFrom::File { place: places.place(*span)?, variables: variables.clone() };
            Some(Source { path: path.clone(), from })
        });
        let mut sources: Vec<Source> = written.chain(self.others.iter().cloned()).collect();
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }
}
