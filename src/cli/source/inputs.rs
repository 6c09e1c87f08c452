//! Which files of a repository an app is made of, and in which older releases they are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::repository::CommitFiles;
use crate::model::{App, AppName, SameInputs};
use crate::wire::AppReleases;

/// What is named in a commit: a path with everything below it, or a glob.
#[derive(Clone, PartialEq, Eq, Debug)]
enum NamedInput {
    Everything,
    Path(String),
    Glob(String),
}

/// For each app the older releases in which its inputs have the same contents. `folder`: that of the ecosystem file, relative to
/// the root of the repository; `contents`: of the new release and of each older one that is known.
pub(super) fn same_inputs(
    apps: &[App],
    (root, folder): (&Path, &Path),
    releases: &[AppReleases],
    new: &CommitFiles,
    old: &BTreeMap<PathBuf, CommitFiles>,
) -> Vec<SameInputs> {
    let of_app = |app: &App| {
        let inputs = inputs(app, root, folder);
        let now = chosen(&inputs, new);
        let known = releases.iter().find(|known| known.app == app.name)?;
        let is_same = |release: &&PathBuf| old.get(*release).is_some_and(|old| chosen(&inputs, old) == now);
        let same: Vec<PathBuf> = known.releases.iter().filter(is_same).cloned().collect();
        (!same.is_empty()).then(|| SameInputs { app: AppName::clone(&app.name), releases: same })
    };
    apps.iter().filter_map(of_app).collect()
}

/// `inputs` of the app; without them its folder and its script, and where its folder is the root of the repository, everything.
fn inputs(app: &App, root: &Path, folder: &Path) -> Vec<NamedInput> {
    if !app.watching.inputs.is_empty() {
        return app.watching.inputs.iter().map(|text| named(folder, text)).collect();
    }
    let inside = |path: &Path| path.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned());
    let own = inside(&app.run.cwd);
    let script = app.run.script.as_deref().and_then(|script| inside(&root.join(script)));
    match own.as_deref() {
        Some("") | None => vec![NamedInput::Everything],
        Some(own) => std::iter::once(own.to_owned()).chain(script).map(NamedInput::Path).collect(),
    }
}

fn named(folder: &Path, text: &str) -> NamedInput {
    let path = folder.join(text);
    let text = path.components().collect::<PathBuf>().to_string_lossy().into_owned();
    let text = text.trim_start_matches("./").to_owned();
    match text.as_str() {
        "" | "." => NamedInput::Everything,
        glob if glob.contains(['*', '?', '[', '{']) => NamedInput::Glob(text),
        _ => NamedInput::Path(text),
    }
}

fn chosen<'a>(inputs: &[NamedInput], contents: &'a CommitFiles) -> Vec<(&'a String, &'a String)> {
    let is_below = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_chosen = |path: &str| {
        inputs.iter().any(|input| match input {
            NamedInput::Everything => true,
            NamedInput::Path(folder) => is_below(path, folder),
            NamedInput::Glob(glob) => fast_glob::glob_match(glob.as_bytes(), path.as_bytes()),
        })
    };
    contents.iter().filter(|(path, _)| is_chosen(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_chosen_by_path_and_by_glob() {
        let contents: CommitFiles = ["apps/a/main.js", "apps/ab/main.js", "lib/x.js", "lib/x.css", "README.md"]
            .map(|path| (path.to_owned(), String::new()))
            .into();
        let names = |inputs: &[NamedInput]| -> Vec<&str> {
            chosen(inputs, &contents).into_iter().map(|(path, _)| path.as_str()).collect()
        };
        assert_eq!(names(&[named(Path::new(""), "apps/a")]), ["apps/a/main.js"]);
        assert_eq!(names(&[named(Path::new("apps"), "a/")]), ["apps/a/main.js"]);
        assert_eq!(
            names(&[named(Path::new(""), "lib/*.js"), named(Path::new(""), "README.md")]),
            ["README.md", "lib/x.js"]
        );
        assert_eq!(names(&[named(Path::new(""), ".")]).len(), 5);
    }
}
