//! Several files, defaults and a profile → one set of keys per app.

use std::collections::HashMap;

use super::built::{Built, VALUE_BYTES, size_of};
use super::diagnostic::{Findings, code};
use super::document::{Document, Item, Keys, Written};
use super::tree::{Entry, Node, Span, Value};

/// One app with all its layers laid over each other.
pub(super) struct Merged {
    pub name: String,
    pub name_span: Span,
    pub items: Vec<Item>,
    /// `env_file` of the defaults: below the app's own, not replaced by it.
    pub default_env_files: Option<Node>,
    pub is_sound: bool,
    /// Keys that have no value that could be read; what an unknown key was probably to be is among them.
    pub broken: Vec<&'static str>,
    /// Names of the profiles that it or its defaults define.
    pub profiles: Vec<String>,
}

impl Merged {
    pub fn get(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.key.name == name)
    }

    /// Whether the rest of a broken app can be checked: so much depends on some keys that without them nothing is sure.
    pub fn can_be_checked(&self) -> bool {
        const NEEDED: [&str; 10] =
            ["name", "script", "command", "shell", "cwd", "interpreter", "user", "kind", "exec_mode", "profiles"];
        let is_needed = |key: &&str| NEEDED.contains(key) || (*key == "env" && self.get("increment_var").is_some());
        !self.broken.iter().any(is_needed)
    }
}

/// Lays the files over each other. Maps merge, everything else is replaced; apps match by name. `None`: that would be
/// too much, which is told.
pub(super) fn merge(documents: Vec<Document>, profile: Option<&str>, report: &mut Findings) -> Option<Vec<Merged>> {
    let mut built = Built::default();
    let mut apps: Vec<(Written, Keys)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for document in documents {
        let mut in_this_file: HashMap<String, Span> = HashMap::new();
        let defaults_bytes = size_of_keys(&document.defaults);
        for app in document.apps {
            if let Some(first) = in_this_file.insert(app.name.clone(), app.name_span) {
                report
                    .error(code::DUPLICATE_APP, app.name_span, format!("a second app named `{}`", app.name))
                    .label(first, "the first one")
                    .hint("choose another name; for more copies use `instances`");
                continue;
            }
            let bytes = defaults_bytes + size_of_keys(&app.keys);
            if !built.take(bytes, &app.name, app.name_span, report) {
                return None;
            }
            match index.get(&app.name) {
                Some(at) => {
                    let (below, defaults) = &mut apps[*at];
                    below.is_sound &= app.is_sound;
                    below.keys.broken.extend(app.keys.broken);
                    defaults.broken.extend(&document.defaults.broken);
                    lay_over(&mut below.keys.own, app.keys.own);
                    below.keys.profiles.extend(app.keys.profiles);
                    lay_over(&mut defaults.own, document.defaults.own.clone());
                    defaults.profiles.extend(document.defaults.profiles.iter().cloned());
                }
                None => {
                    index.insert(app.name.clone(), apps.len());
                    apps.push((app, document.defaults.clone()));
                }
            }
        }
    }
    Some(apps.into_iter().map(|(app, defaults)| flatten(app, defaults, profile)).collect())
}

fn size_of_keys(keys: &Keys) -> usize {
    let items = keys.own.iter().chain(keys.profiles.iter().flat_map(|(_, items)| items));
    items.map(|item| size_of(&item.node)).sum::<usize>() + VALUE_BYTES
}

fn flatten(app: Written, defaults: Keys, profile: Option<&str>) -> Merged {
    let mut items = Vec::with_capacity(app.keys.own.len() + defaults.own.len());
    lay_over(&mut items, defaults.own);
    let is_env_file = |item: &Item| item.key.name == "env_file";
    let mut default_env_files = None;
    if let Some(at) = items.iter().position(is_env_file) {
        let unsets = app.keys.own.iter().any(|item| is_env_file(item) && item.node.is_unset());
        let item = items.remove(at);
        default_env_files = (!unsets).then_some(item.node);
    }
    lay_over(&mut items, app.keys.own);
    let mut profiles = Vec::new();
    for (name, layer) in defaults.profiles.into_iter().chain(app.keys.profiles) {
        if Some(name.as_str()) == profile {
            lay_over(&mut items, layer);
        }
        profiles.push(name);
    }
    let mut broken = app.keys.broken;
    broken.extend(defaults.broken);
    let is_sound = app.is_sound && broken.is_empty();
    Merged { name: app.name, name_span: app.name_span, items, default_env_files, is_sound, broken, profiles }
}

fn lay_over(below: &mut Vec<Item>, above: Vec<Item>) {
    for item in above {
        let at = below.iter().position(|other| other.key.name == item.key.name);
        match (at, item.node.is_unset()) {
            (Some(at), true) => {
                below.remove(at);
            }
            (None, true) => {}
            (Some(at), false) => {
                let keeps_unset = is_env(&item);
                let under = std::mem::replace(&mut below[at], item);
                let over = std::mem::replace(&mut below[at].node, under.node);
                lay_node(&mut below[at].node, over, keeps_unset);
            }
            (None, false) => {
                let mut item = item;
                let keeps_unset = is_env(&item);
                drop_unset(&mut item.node, keeps_unset);
                below.push(item);
            }
        }
    }
}

/// A variable that is removed may come from an env file or the shell, too: the removal stays.
fn is_env(item: &Item) -> bool {
    item.key.name == "env"
}

fn lay_node(below: &mut Node, mut above: Node, keeps_unset: bool) {
    let (Value::Map(under), Value::Map(_)) = (&mut below.value, &above.value) else {
        drop_unset(&mut above, keeps_unset);
        *below = above;
        return;
    };
    let Value::Map(over) = above.value else { return };
    let mut index: HashMap<String, usize> =
        under.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    let mut removed = vec![false; under.len()];
    for mut entry in over {
        match index.get(&entry.key) {
            Some(at) if entry.node.is_unset() && !keeps_unset => removed[*at] = true,
            Some(at) if entry.node.is_unset() || under[*at].node.is_unset() => under[*at] = entry,
            Some(at) => {
                under[*at].key_span = entry.key_span;
                lay_node(&mut under[*at].node, entry.node, false);
            }
            None if entry.node.is_unset() && !keeps_unset => {}
            None => {
                if !entry.node.is_unset() {
                    drop_unset(&mut entry.node, false);
                }
                index.insert(entry.key.clone(), under.len());
                removed.push(false);
                under.push(entry);
            }
        }
    }
    let mut gone = removed.into_iter();
    under.retain(|_| !gone.next().unwrap_or(false));
    below.span = above.span;
}

/// `{ unset = true }` with nothing below it removes nothing, and must not stay as a value.
fn drop_unset(node: &mut Node, keeps_own: bool) {
    match &mut node.value {
        Value::Map(entries) => {
            entries.retain(|entry: &Entry| keeps_own || !entry.node.is_unset());
            for entry in entries.iter_mut().filter(|entry| !entry.node.is_unset()) {
                drop_unset(&mut entry.node, false);
            }
        }
        Value::List(nodes) => nodes.iter_mut().for_each(|node| drop_unset(node, false)),
        Value::Scalar(_) => {}
    }
}
