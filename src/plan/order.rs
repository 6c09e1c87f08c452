//! Which operation comes before which: dependencies first for starts, last for stops.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{App, AppName, Operation, Verb};

/// `names` with everything that an app depends on before it; otherwise in the given order.
///
/// A cycle cannot be satisfied: it is entered at its first app and the closing edge is ignored.
pub(super) fn dependencies_first<'a>(
    names: impl IntoIterator<Item = &'a AppName>,
    specs: &BTreeMap<&'a AppName, &'a App>,
) -> Vec<&'a AppName> {
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names {
        // An explicit stack: the depth of a chain is a matter of the file, not of this program's stack.
        let mut path = vec![(name, false)];
        while let Some((name, is_entered)) = path.pop() {
            if is_entered {
                ordered.push(name);
                continue;
            }
            let Some(spec) = specs.get(name).filter(|_| seen.insert(name)) else { continue };
            path.push((name, true));
            path.extend(spec.depends_on.keys().rev().map(|dependency| (dependency, false)));
        }
    }
    ordered
}

/// Fills in `after`: what each operation must wait for, among the operations that stand before it.
pub(super) fn fill_after(operations: &mut [Operation], specs: &BTreeMap<&AppName, &App>) {
    let mut started = BTreeSet::new();
    let mut ended: BTreeSet<AppName> = BTreeSet::new();
    let dependents = dependents(specs);
    for operation in operations {
        let depends_on = specs.get(&operation.app).map(|spec| &spec.depends_on);
        if operation.verb.is_start() {
            let dependencies = depends_on.into_iter().flat_map(|all| all.keys());
            operation.after = dependencies.filter(|name| started.contains(*name)).cloned().collect();
            started.insert(operation.app.clone());
        } else if ends(&operation.verb) {
            let dependents = dependents.get(&operation.app).into_iter().flatten();
            operation.after = dependents.filter(|name| ended.contains(**name)).map(|name| (*name).clone()).collect();
            ended.insert(operation.app.clone());
        }
    }
}

/// Who depends on each app, by name.
fn dependents<'a>(specs: &BTreeMap<&'a AppName, &'a App>) -> BTreeMap<&'a AppName, BTreeSet<&'a AppName>> {
    let mut dependents: BTreeMap<&AppName, BTreeSet<&AppName>> = BTreeMap::new();
    for (name, spec) in specs {
        for dependency in spec.depends_on.keys() {
            dependents.entry(dependency).or_default().insert(name);
        }
    }
    dependents
}

/// Whether the app is taken down.
fn ends(verb: &Verb) -> bool {
    matches!(verb, Verb::Stop { .. } | Verb::Delete { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Condition;
    use crate::plan::tests::app;

    fn ordered(apps: &[(&str, &[&str])]) -> Vec<String> {
        let apps: Vec<App> = apps
            .iter()
            .map(|(name, dependencies)| {
                let mut app = app(name);
                app.depends_on = dependencies.iter().map(|name| (name.parse().unwrap(), Condition::Started)).collect();
                app
            })
            .collect();
        let specs = apps.iter().map(|app| (&app.name, app)).collect();
        dependencies_first(apps.iter().map(|app| &app.name), &specs).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_depended_on_comes_first_and_the_rest_stays_in_order() {
        assert_eq!(ordered(&[("c", &[]), ("b", &[]), ("a", &[])]), ["c", "b", "a"]);
        assert_eq!(ordered(&[("web", &["api"]), ("x", &[]), ("api", &["db"]), ("db", &[])]), ["db", "api", "web", "x"]);
        assert_eq!(ordered(&[("a", &["gone"])]), ["a"]);
        assert_eq!(ordered(&[("a", &["b"]), ("b", &["a"])]), ["b", "a"]);
        assert_eq!(ordered(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]), ["c", "b", "a"]);
    }
}
