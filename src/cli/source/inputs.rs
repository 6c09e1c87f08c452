//! Which files of a repository an app is made of, and in which older releases they are the same.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::model::{App, AppName, SameInputs};
use crate::wire::AppReleases;

/// For each path or glob of a commit what names its content.
pub(super) type InputDigests = BTreeMap<String, String>;

/// The inputs of an app: paths and globs relative to the root of the repository; the empty one is everything.
pub(super) struct AppInputs<'a> {
    app: &'a App,
    paths: Vec<String>,
}

impl<'a> AppInputs<'a> {
    /// Those of each app. `root` is the folder of the release, `folder` that of the ecosystem file, relative to it.
    pub(super) fn of(apps: &'a [App], root: &Path, folder: &Path) -> Vec<Self> {
        apps.iter().map(|app| Self { app, paths: inputs(app, root, folder) }).collect()
    }
}

/// Everything that is an input of any app.
pub(super) fn all_paths(inputs: &[AppInputs<'_>]) -> Vec<String> {
    let mut paths: Vec<String> = inputs.iter().flat_map(|of| of.paths.iter().cloned()).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// For each app the older releases in which its inputs have the same contents. `new`: the contents of the new release;
/// `old`: those of each older one that is known.
pub(super) fn same_inputs(
    inputs: &[AppInputs<'_>],
    releases: &[AppReleases],
    new: &InputDigests,
    old: &BTreeMap<PathBuf, InputDigests>,
) -> Vec<SameInputs> {
    let of_app = |of: &AppInputs<'_>| {
        let known = releases.iter().find(|known| known.app == of.app.name)?;
        let is_same = |release: &&PathBuf| {
            old.get(*release).is_some_and(|old| of.paths.iter().all(|path| old.get(path) == new.get(path)))
        };
        let same: Vec<PathBuf> = known.releases.iter().filter(is_same).cloned().collect();
        (!same.is_empty()).then(|| SameInputs { app: AppName::clone(&of.app.name), releases: same })
    };
    inputs.iter().filter_map(of_app).collect()
}

/// `inputs` of the app; without them its folder and its script, and where its folder is the root of the repository, everything.
fn inputs(app: &App, root: &Path, folder: &Path) -> Vec<String> {
    if !app.watching.inputs.is_empty() {
        return app.watching.inputs.iter().map(|text| named(folder, text)).collect();
    }
    let inside = |path: &Path| path.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned());
    let script = app.run.script.as_deref().and_then(|script| inside(&root.join(script)));
    match inside(&app.run.cwd).filter(|own| !own.is_empty()) {
        None => vec![String::new()],
        Some(own) => std::iter::once(own).chain(script).collect(),
    }
}

/// An input of the file, relative to the root of the repository.
fn named(folder: &Path, text: &str) -> String {
    let is_name = |part: &Component<'_>| *part != Component::CurDir;
    folder.join(text).components().filter(is_name).collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_relative_to_the_root_of_the_repository() {
        for (folder, text, path) in [
            ("", "apps/a", "apps/a"),
            ("", "./apps//a/", "apps/a"),
            ("apps", "a/", "apps/a"),
            ("apps", "./a", "apps/a"),
            ("", "lib/*.js", "lib/*.js"),
            ("apps", "**/*.js", "apps/**/*.js"),
            ("", "README.md", "README.md"),
            ("", ".", ""),
            ("", "./", ""),
            ("apps", ".", "apps"),
        ] {
            assert_eq!(named(Path::new(folder), text), path, "{folder} {text}");
        }
    }
}
