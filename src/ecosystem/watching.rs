//! `watch`, `ignore_watch`, `watch_delay`, `watch_options`, `build`, `inputs` → [`WatchPolicy`], checked against the disk.

use std::path::{Path, PathBuf};

use crate::model::{App, Millis, WatchOptions, WatchPolicy};

use super::SourceFile;
use super::diagnostic::code;
use super::host::{Host, Look, tidy};
use super::merge::Merged;
use super::program::through_links;
use super::tree::{Span, Value};
use super::values::Values;

/// What must not be in a part of a path that is meant literally.
const GLOB_CHARACTERS: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Reads all of them.
pub(super) fn watching(values: &mut Values<'_>, cwd: &Path) -> WatchPolicy {
    let watch = watch(values, cwd);
    WatchPolicy {
        ignore_watch: ignored(values, cwd, watch.as_deref().unwrap_or_default()),
        watch,
        watch_delay: values.millis("watch_delay", WatchPolicy::default().watch_delay),
        watch_options: options(values),
        build: values.text("build"),
        inputs: inputs(values),
    }
}

/// Paths in the repository of a source: there may be none, so nothing is looked for on the disk.
fn inputs(values: &mut Values<'_>) -> Vec<String> {
    let mut good = Vec::new();
    for (text, span) in values.texts("inputs") {
        let is_inside = !text.starts_with('/') && !text.split('/').any(|part| part == "..");
        if !is_inside {
            let message = format!("`inputs`: `{text}` is outside of the folder of the ecosystem file");
            values.error(code::GLOB, span, message).hint("name paths relative to it");
        } else if let Err(problem) = fast_glob::validate(&text) {
            values.error(code::GLOB, span, format!("`inputs`: `{text}` is not a pattern: {problem}"));
        } else {
            good.push(text);
        }
    }
    good
}

fn watch(values: &mut Values<'_>, cwd: &Path) -> Option<Vec<String>> {
    let whole_folder = || Some(vec![WatchPolicy::literal(cwd)]);
    let Some(node) = values.node("watch") else {
        return if values.watches_by_default { whole_folder() } else { None };
    };
    if !matches!(node.value, Value::List(_)) {
        return if values.boolean("watch", false) { whole_folder() } else { None };
    }
    let texts = values.texts("watch");
    let globs: Vec<String> = texts.iter().filter_map(|(text, span)| one(values, cwd, text, *span)).collect();
    (!globs.is_empty()).then_some(globs)
}

/// Whether the app watches its folder without having named it.
pub(super) fn is_of_whole_folder(app: &Merged) -> bool {
    app.get("watch").is_none_or(|item| !matches!(item.node.value, Value::List(_)))
}

/// Files whose saving is answered by applying them are no reason to restart an app that watches its whole folder.
/// The user's own patterns come later, and so take precedence.
pub(super) fn leave_out(app: &mut App, files: &[SourceFile], world: &dyn Host) {
    if app.watching.watch.is_none() {
        return;
    }
    let mut patterns: Vec<String> = Vec::new();
    for path in files.iter().flat_map(|file| names_of(world, &file.path)) {
        let pattern = path.strip_prefix(&app.run.cwd).ok().map(pattern);
        patterns.extend(pattern.filter(|pattern| !patterns.contains(pattern)));
    }
    app.watching.ignore_watch.splice(0..0, patterns);
}

/// What a file is called in folders without links: by its own name, and by that of the file that it links to.
fn names_of(world: &dyn Host, file: &Path) -> impl Iterator<Item = PathBuf> {
    std::iter::once(through_links(world, file)).chain(world.resolve(file))
}

/// A path below the app's folder as a pattern that matches nothing but it. Braces mean nothing in such a pattern.
fn pattern(inside: &Path) -> String {
    format!("/{}", WatchPolicy::literal(inside).replace("\\{", "{").replace("\\}", "}"))
}

/// One folder, file or glob, made absolute; what it begins with must exist.
fn one(values: &mut Values<'_>, cwd: &Path, text: &str, span: Span) -> Option<String> {
    // Without its folder, which is an error of its own, nothing can be found.
    if cwd.as_os_str().is_empty() {
        return None;
    }
    let text = values.home("watch", text, span)?;
    let literal = tidy(&cwd.join(&text));
    // A folder may bear a name that looks like a glob: `pages/[id]`.
    if values.world.look(&literal) != Look::Missing {
        return Some(WatchPolicy::literal(&literal));
    }
    if !text.contains(GLOB_CHARACTERS) {
        missing(values, &text, &literal, cwd, span);
        return None;
    }
    if let Err(problem) = fast_glob::validate(&text) {
        values.error(code::GLOB, span, format!("`watch`: `{text}` is not a pattern: {problem}"));
        return None;
    }
    let glob = if text.starts_with('/') { text.clone() } else { format!("{}/{text}", WatchPolicy::literal(cwd)) };
    let glob = tidy(Path::new(&glob)).to_string_lossy().into_owned();
    let (base, _) = WatchPolicy::split(&glob);
    if values.world.look(&base) == Look::Missing {
        missing(values, &text, &base, cwd, span);
        return None;
    }
    Some(glob)
}

fn missing(values: &mut Values<'_>, text: &str, path: &Path, cwd: &Path, span: Span) {
    let message = format!("`watch`: `{text}` matches nothing: `{}` does not exist", path.display());
    values.error(code::WATCH, span, message).hint(format!("paths are relative to `cwd`, here `{}`", cwd.display()));
}

fn ignored(values: &mut Values<'_>, cwd: &Path, watched: &[String]) -> Vec<String> {
    let mut good = Vec::new();
    for (pattern, span) in values.texts("ignore_watch") {
        match fast_glob::validate(pattern.trim_start_matches('!')) {
            Ok(()) => good.extend(placed(values, &pattern, span, cwd, watched)),
            Err(problem) => {
                values.error(code::GLOB, span, format!("`ignore_watch`: `{pattern}` is not a pattern: {problem}"));
            }
        }
    }
    good
}

/// `/tmp` may well be meant below `cwd`; two names that exist, one in the other, are hardly there by chance.
fn is_absolute(values: &Values<'_>, pattern: &str, cwd: &Path) -> bool {
    let Ok(inside) = Path::new(pattern).strip_prefix("/") else { return false };
    let mut parts = inside.components();
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else { return false };
    let outside = Path::new("/").join(first).join(second);
    values.world.look(&outside) != Look::Missing && values.world.look(&cwd.join(first)) == Look::Missing
}

/// A pattern as the rules read it: relative to `cwd`, or with two slashes for a place outside of it. One that can have no
/// effect is refused.
fn placed(values: &mut Values<'_>, text: &str, span: Span, cwd: &Path, watched: &[String]) -> Option<String> {
    let (sign, pattern) = text.strip_prefix('!').map_or(("", text), |pattern| ("!", pattern));
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    if let Ok(inside) = Path::new(pattern).strip_prefix(cwd) {
        let folder = if pattern.ends_with('/') { "/" } else { "" };
        return Some(format!("{sign}/{}{folder}", inside.to_string_lossy()));
    }
    if !is_absolute(values, pattern, cwd) && !pattern.starts_with("../") {
        return Some(format!("{sign}{pattern}"));
    }
    let place = tidy(&cwd.join(pattern));
    if watched.iter().any(|glob| place.starts_with(WatchPolicy::split(glob).0)) {
        return Some(format!("{sign}/{}", place.to_string_lossy()));
    }
    let message = format!("`ignore_watch`: `{text}` can have no effect: it is outside of what is watched");
    values.error(code::WATCH, span, message).hint("patterns are relative to `cwd`, also those that begin with `/`");
    None
}

fn options(values: &mut Values<'_>) -> WatchOptions {
    let Some(node) = values.node("watch_options") else { return WatchOptions::default() };
    let mut is_on = |name: &str| values.boolean_of(&format!("watch_options.{name}"), node.get(name), false);
    let (poll, follow_symlinks) = (is_on("poll"), is_on("follow_symlinks"));
    let interval = node.get("interval").and_then(|node| {
        let read = |text: &str| Millis::parse(text).ok();
        let interval = values.scalar("watch_options.interval", node, read)?;
        if interval.0 == 0 {
            values
                .error(code::BAD_VALUE, node.span, "`watch_options.interval` is 0: polling would never pause")
                .hint("write \"1s\"");
        }
        Some(interval)
    });
    WatchOptions { poll, interval, follow_symlinks }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{World, read_toml, source};
    use super::super::{ReadOptions, Reading, read};

    fn read_app(body: &str, options: &ReadOptions) -> Reading {
        let world = World::usual()
            .file("/srv/shop/src/a.js", "", false)
            .file("/srv/shop/pages/[id]/b.js", "", false)
            .file("/srv/shop/conf.json", "", false);
        let text = format!("[[apps]]\nname = \"api\"\nscript = \"/bin/sleep\"\n{body}\n");
        read(&[source("pm.toml", &text)], options, &world)
    }

    #[test]
    fn a_pattern_that_can_have_no_effect_is_refused() {
        for (watch, pattern, placed) in [
            ("true", "tmp", Some("tmp")),
            ("true", "./tmp", Some("tmp")),
            ("true", "!/tmp", Some("!/tmp")),
            ("true", "/srv/shop/src/tmp/", Some("/src/tmp/")),
            ("true", "!/srv/shop/src", Some("!/src")),
            ("true", "../shared/tmp", None),
            ("[\"/srv/shop/src\", \"/bin\"]", "/bin/sh", Some("//bin/sh")),
            ("true", "/bin/sh", None),
        ] {
            let reading =
                read_app(&format!("watch = {watch}\nignore_watch = [\"{pattern}\"]"), &ReadOptions::default());
            let codes: Vec<&str> = reading.diagnostics.iter().map(|found| found.code).collect();
            let found = reading.proposed.map(|proposed| proposed.apps[0].watching.ignore_watch.clone());
            match placed {
                Some(placed) => assert_eq!(found, Some(vec![placed.to_owned()]), "{pattern}: {codes:?}"),
                None => assert_eq!((found, codes), (None, vec!["watch"]), "{pattern}"),
            }
        }
    }

    fn watched(body: &str) -> Option<Vec<String>> {
        let reading = read_app(body, &ReadOptions::default());
        let proposed = reading.proposed.unwrap_or_else(|| panic!("{body}: {:#?}", reading.diagnostics));
        proposed.apps[0].watching.watch.clone()
    }

    #[test]
    fn folders_files_and_globs_become_absolute() {
        for (body, expected) in [
            ("", None),
            ("watch = false", None),
            ("watch = []", None),
            ("watch = true", Some(vec!["/srv/shop"])),
            ("watch = [\"src\", \"./conf.json\"]", Some(vec!["/srv/shop/src", "/srv/shop/conf.json"])),
            ("watch = [\"src/**/*.{js,ts}\"]", Some(vec!["/srv/shop/src/**/*.{js,ts}"])),
            ("watch = [\"/srv/shop/*.json\"]", Some(vec!["/srv/shop/*.json"])),
            ("watch = [\"../shop/src\"]", Some(vec!["/srv/shop/src"])),
            ("watch = [\"pages/[id]\"]", Some(vec!["/srv/shop/pages/\\[id\\]"])),
            ("watch = true\ncwd = \"src\"", Some(vec!["/srv/shop/src"])),
        ] {
            let expected = expected.map(|globs| globs.into_iter().map(str::to_owned).collect());
            assert_eq!(watched(body), expected, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_watched_is_said_at_check() {
        for (body, code) in [
            ("watch = [\"lib\"]", "watch"),
            ("watch = [\"lib/**/*.js\"]", "watch"),
            ("watch = [\"src/[\"]", "glob"),
            ("ignore_watch = [\"a[\"]", "glob"),
            ("watch_options = { interval = \"0s\" }", "bad-value"),
        ] {
            let diagnostics = read_app(body, &ReadOptions::default()).diagnostics;
            assert_eq!(diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), [code], "{body}");
            assert_eq!(diagnostics[0].place.as_ref().map(|place| place.line), Some(4), "{body}");
        }
        assert!(read_toml("[[apps]]\nname=\"a\"\nscript=\"run.sh\"\nbuild=\"make\"").proposed.is_some());
    }

    #[test]
    fn in_dev_mode_an_app_watches_unless_its_file_says_otherwise() {
        let options = ReadOptions { watches_by_default: true, ..ReadOptions::default() };
        for (body, is_watched) in [("", true), ("watch = false", false), ("watch = [\"src\"]", true)] {
            let app = read_app(body, &options).proposed.unwrap().apps.remove(0);
            assert_eq!(app.watching.watch.is_some(), is_watched, "{body}");
        }
    }

    #[test]
    fn in_dev_mode_a_watched_folder_leaves_out_what_is_applied_when_it_is_saved() {
        let options = ReadOptions { watches_by_default: true, ..ReadOptions::default() };
        let env = "env_file = [\"src/x.env\", { path = \"gone [1] {a}\", required = false }]";
        let applied: &[&str] = &["/pm.toml", "/src/x.env", "/gone \\[1\\] {a}"];
        for (watch, expected) in [
            ("", applied),
            ("watch = true", applied),
            ("watch = true\nignore_watch = [\"!pm.toml\"]", &[applied, &["!pm.toml"]].concat()),
            ("cwd = \"src\"", &["/x.env"]),
            ("cwd = \"/srv/current\"", applied),
            ("cwd = \"/bin\"", &[]),
            ("watch = false", &[]),
            ("watch = [\".\"]", &[]),
        ] {
            let mut world = World::usual().file("/srv/shop/src/x.env", "A=1", false);
            world.links.insert("/srv/current".into(), "/srv/shop".into());
            let text = format!("[[apps]]\nname = \"a\"\nscript = \"/srv/shop/run.sh\"\n{env}\n{watch}\n");
            let reading = read(&[source("pm.toml", &text)], &options, &world);
            let app = reading.proposed.unwrap_or_else(|| panic!("{watch}: {:#?}", reading.diagnostics)).apps.remove(0);
            assert_eq!(app.watching.ignore_watch, expected, "{watch}");
            let plain = read(&[source("pm.toml", &text)], &ReadOptions::default(), &world).proposed.unwrap();
            assert!(!plain.apps[0].watching.ignore_watch.contains(&applied[0].to_owned()), "{watch}: only there");
        }
    }
}
