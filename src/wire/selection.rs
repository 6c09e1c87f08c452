//! The apps that a command is about: selectors as typed, and where they were typed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Problem, Query};
use crate::model::ProjectName;

/// From where selectors are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// `--project`: only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The caller's folder as typed, symlinks kept: the project declared there or nearest above comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// `-A`: all projects alike.
    pub everywhere: bool,
}

/// Selectors and their scope. No selector at all means every app of every project in scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`.
    pub selectors: Vec<String>,
    /// From where.
    pub scope: Scope,
}

impl Selection {
    /// For a URL. Names hold no comma.
    pub fn query(&self) -> Query {
        let Self { selectors, scope } = self;
        Query::default()
            .with("select", (!selectors.is_empty()).then(|| selectors.join(",")))
            .with("project", scope.project.as_ref())
            .with("folder", scope.folder.as_ref().and_then(|folder| folder.to_str()))
            .with_flag("everywhere", scope.everywhere)
    }

    /// From a URL.
    ///
    /// # Errors
    /// A project name that is none.
    pub fn from_query(query: &Query) -> Result<Self, Problem> {
        let selectors = query.text("select").unwrap_or_default().split(',').filter(|text| !text.is_empty());
        let scope = Scope {
            project: query.value("project")?,
            folder: query.value("folder")?,
            everywhere: query.flag("everywhere"),
        };
        Ok(Self { selectors: selectors.map(str::to_owned).collect(), scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_survives_the_url() {
        for selectors in [vec![], vec!["api".to_owned()], vec!["shop:api/1".to_owned(), "all".to_owned()]] {
            let scope = Scope { project: None, folder: Some("/srv/my shop".into()), everywhere: true };
            let selection = Selection { selectors, scope };
            assert_eq!(Selection::from_query(&selection.query()).unwrap(), selection);
        }
    }
}
