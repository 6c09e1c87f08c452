//! The lines below the logs: what is under way, and how far it is.

use crate::cli::live::ChangeView;
use crate::cli::output::{Screen, progress};
use crate::model::Progress;
use crate::os;
use crate::wire::ChangeMessage;

/// What is under way, on a terminal.
#[derive(Default)]
pub(super) struct DevRegion {
    view: ChangeView,
    /// Changes that are not over.
    changes: usize,
    is_drawn: bool,
}

impl DevRegion {
    /// A change was requested.
    pub(super) fn begin(&mut self) {
        if self.changes == 0 {
            self.view = ChangeView::new(os::wall());
        }
        self.changes += 1;
    }

    /// One message of a change.
    pub(super) fn note(&mut self, message: &ChangeMessage) {
        match message {
            ChangeMessage::Progress { project, progress } => match progress {
                Progress::Began { app, verb } => self.view.began(project, app, *verb),
                Progress::Ended(report) => self.view.ended(&report.app),
                Progress::Waits { app, waits_for } => self.view.waits(app, progress::waits(app, waits_for)),
                Progress::Paused { app } => self.view.waits(app, progress::paused(app)),
                Progress::Unready { .. } | Progress::Left { .. } | Progress::Finished(_) => {}
            },
            ChangeMessage::Finished { .. } | ChangeMessage::Interrupted { .. } => self.end(),
            ChangeMessage::Accepted { .. } | ChangeMessage::Missed { .. } => {}
        }
    }

    /// A change is over, or nothing more is told of it.
    pub(super) fn end(&mut self) {
        self.changes = self.changes.saturating_sub(1);
        if self.changes == 0 {
            self.view = ChangeView::default();
        }
    }

    /// Shows it in the place of what was there.
    pub(super) fn draw(&mut self, screen: &mut Screen) {
        if self.changes == 0 || !screen.has_live_region() {
            return self.clear(screen);
        }
        self.view.look(Screen::live_lines_max());
        let lines = self.view.lines(Screen::live_lines_max());
        screen.live(&lines);
        self.is_drawn = !lines.is_empty();
    }

    /// Makes room for lines of the apps.
    pub(super) fn clear(&mut self, screen: &mut Screen) {
        if std::mem::take(&mut self.is_drawn) {
            screen.live(&[]);
        }
    }
}
