//! Log files into which several copies write: nobody knows whose a line in them is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::api::Context;
use crate::api::answer::Failed;
use crate::api::apps::{files, writing};
use crate::logs::Source;
use crate::model::{AppId, Desired, InstanceId, Live, LogForm, LogPolicy, Stream};

/// Who else writes into the file of a source, and how its app wants lines to be shown.
#[derive(Debug, Default)]
pub(super) struct SharedFiles {
    others: BTreeMap<(InstanceId, Stream), Vec<InstanceId>>,
    /// Of the copies of apps that want their lines in a form.
    forms: BTreeMap<InstanceId, LogForm>,
}

impl SharedFiles {
    /// Looks for others among everything that is declared or lives. Only files that were named can be shared.
    pub(super) async fn of(context: &Context, sources: &[Source]) -> Result<Self, Failed> {
        let live = context.supervisor.live().await;
        let desired = context.reconciler.desired().await?;
        let writers = writers(&context.logs_folder, &desired, &live);
        let others = |source: &Source| {
            let all = writers.get(&source.location.path)?;
            let others: Vec<InstanceId> = all.iter().filter(|id| **id != source.instance).cloned().collect();
            (!others.is_empty()).then(|| ((source.instance.clone(), source.stream), others))
        };
        let form = |source: &Source| {
            let (policy, _) = writing(&desired, &live, &source.instance)?;
            (!policy.form.is_plain()).then(|| (source.instance.clone(), policy.form.clone()))
        };
        let forms = sources.iter().filter_map(form).collect();
        Ok(Self { others: sources.iter().filter_map(others).collect(), forms })
    }

    /// How lines of this copy are shown by default.
    pub(super) fn form(&self, instance: &InstanceId) -> LogForm {
        if self.forms.is_empty() { LogForm::default() } else { self.forms.get(instance).cloned().unwrap_or_default() }
    }

    /// Who may have written a line of this source as well.
    pub(super) fn others(&self, instance: &InstanceId, stream: Stream) -> &[InstanceId] {
        // Most logs are nobody else's, and most lines are asked about one by one.
        if self.others.is_empty() {
            return &[];
        }
        self.others.get(&(instance.clone(), stream)).map_or(&[], Vec::as_slice)
    }
}

/// Named log files, with the copies that write into them.
fn writers(logs_folder: &Path, desired: &Desired, live: &Live) -> BTreeMap<PathBuf, BTreeSet<InstanceId>> {
    let declared = desired.projects.iter().flat_map(|(project, content)| {
        content.apps.iter().flat_map(|(name, declared)| {
            let app = AppId::new(project.clone(), name.clone());
            let is_named = has_named_log(&declared.spec.logs);
            (0..declared.instances()).filter(move |_| is_named).map(move |slot| app.instance(slot))
        })
    });
    let alive = live.instances.iter().filter(|(_, live)| has_named_log(&live.spec.logs));
    let mut writers: BTreeMap<PathBuf, BTreeSet<InstanceId>> = BTreeMap::new();
    for id in declared.chain(alive.map(|(id, _)| id.clone().settled())) {
        let Some((policy, run)) = writing(desired, live, &id) else { continue };
        let paths = files(logs_folder, &id, policy, run);
        for path in [paths.stdout, paths.stderr].into_iter().flatten() {
            writers.entry(path).or_default().insert(id.clone());
        }
    }
    writers.retain(|_, all| all.len() > 1);
    writers
}

fn has_named_log(policy: &LogPolicy) -> bool {
    [Stream::Stdout, Stream::Stderr].iter().any(|stream| policy.direct_file(*stream).is_some())
}
