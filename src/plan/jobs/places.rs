//! How many processes start at the same time: a start waits for a place, and gives it back once it is up or has failed.

use std::collections::BTreeMap;

use super::job::Job;
use super::line::Line;
use super::{Jobs, Next, View};
use crate::model::{AppId, ProjectName, StartWait};

impl Jobs {
    /// Apps that could start, but only so many may at the same time.
    pub fn awaiting_places(&self, view: &View) -> Vec<(AppId, StartWait)> {
        let of_job = |job: &Job| {
            let Some((sharing, limit)) = job.start_limit(view) else { return Vec::new() };
            let wait = StartWait::Place { limit, is_declared: sharing.is_some() };
            let lines = job.lines.iter().filter(|line| line.wants_place());
            lines.map(|line| (AppId::new(job.project.clone(), line.app.clone()), wait.clone())).collect()
        };
        self.all.iter().flat_map(of_job).collect()
    }

    /// Gives free places to lines that wait for one, oldest first. True: some of them can begin now.
    pub(super) fn admit(&mut self, view: &View, next: &mut Next) -> bool {
        if !self.all.iter().any(|job| job.lines.iter().any(Line::wants_place)) {
            return false;
        }
        let mut taken: BTreeMap<Option<ProjectName>, u32> = BTreeMap::new();
        let mut until = None;
        for job in &self.all {
            let Some((sharing, limit)) = job.start_limit(view) else { continue };
            for (count, at) in job.lines.iter().filter_map(|line| line.starting(view)) {
                *taken.entry(sharing.clone()).or_default() += count.min(limit);
                until = Some(until.map_or(at, |known| at.min(known)));
            }
        }
        let mut has_admitted = false;
        for job in &mut self.all {
            let limit = job.start_limit(view);
            for line in job.lines.iter_mut().filter(|line| line.wants_place()) {
                if let Some((sharing, limit)) = &limit {
                    let taken = taken.entry(sharing.clone()).or_default();
                    let wanted = line.next_starts(*limit);
                    // Those that follow do not overtake it: an app of many copies would wait for ever.
                    if *taken > 0 && taken.saturating_add(wanted) > *limit {
                        break;
                    }
                    *taken = taken.saturating_add(wanted);
                }
                line.admit();
                has_admitted = true;
                next.has_new_waits = true;
            }
        }
        if let Some(at) = until.filter(|_| !has_admitted) {
            next.wake_at(at);
        }
        has_admitted
    }
}
