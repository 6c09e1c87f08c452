//! One method per route.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Repeat, json};
use super::{Client, ClientError, Messages};
use crate::model::ProjectName;
use crate::wire::{
    ApplyRequest, ChangeMessage, CronAnswer, DaemonAnswer, DeletedLogsAnswer, DescribeAnswer, Edit, EditRequest,
    EnvironmentAnswer, EventMessage, EventsAnswer, EventsQuery, HistoryAnswer, HistoryEntryAnswer, InputAnswer,
    InputRequest, ListAnswer, LogMessage, LogsAnswer, LogsQuery, MetricsAnswer, PlanAnswer, PlanDetail, PlanRequest,
    ProjectsAnswer, Query, RemoveLogsRequest, RollbackAnswer, RollbackRequest, RolloutRequest, RolloutsAnswer, Scope,
    Selection, SendAnswer, SendRequest, SignalAnswer, SignalRequest, StatusAnswer, TagRequest,
};

/// The project of a folder, or the one that is named.
fn of_scope(scope: &Scope) -> Query {
    Selection { selectors: Vec::new(), scope: scope.clone() }.query()
}

type Answer<T> = Result<T, ClientError>;

/// What can be handed to processes.
pub trait ForProcesses: Serialize {
    /// Who has got it, and who has not.
    type Answer: DeserializeOwned;
    /// Where it is posted.
    const ROUTE: &'static str;
}

impl ForProcesses for SendRequest {
    type Answer = SendAnswer;
    const ROUTE: &'static str = "/v1/send";
}

impl ForProcesses for SignalRequest {
    type Answer = SignalAnswer;
    const ROUTE: &'static str = "/v1/signal";
}

impl ForProcesses for InputRequest {
    type Answer = InputAnswer;
    const ROUTE: &'static str = "/v1/input";
}

/// How a daemon ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DaemonEnd {
    /// Another daemon takes over.
    Restart,
    /// Daemon and anchor end, if no app runs.
    Stop,
}

impl Client {
    /// What is.
    ///
    /// # Errors
    /// No answer, or a problem: so for every call.
    pub fn list(&mut self, selection: &Selection) -> Answer<ListAnswer> {
        self.connection.ask("GET", &selection.query().on("/v1/list"), None)
    }

    /// The same, as far as a table shows it: the text of a [`crate::wire::BriefAnswer`], for [`understood`](super::understood).
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn brief_list(&mut self, selection: &Selection) -> Answer<Vec<u8>> {
        self.connection.fetch("GET", &selection.query().with_flag("brief", true).on("/v1/list"), None)
    }

    /// Everything about some apps.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn describe(&mut self, selection: &Selection) -> Answer<DescribeAnswer> {
        self.connection.ask("GET", &selection.query().on("/v1/apps"), None)
    }

    /// Who owns what.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn projects(&mut self) -> Answer<ProjectsAnswer> {
        self.connection.ask("GET", "/v1/projects", None)
    }

    /// How these projects stand, or all.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn status(&mut self, projects: &[ProjectName]) -> Answer<StatusAnswer> {
        let query = projects.iter().fold(Query::default(), |query, project| query.with("project", Some(project)));
        self.connection.ask("GET", &query.on("/v1/status"), None)
    }

    /// Logs of deleted apps.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn deleted_logs(&mut self) -> Answer<DeletedLogsAnswer> {
        self.connection.ask("GET", "/v1/logs/deleted", None)
    }

    /// Removes logs of deleted apps; what was removed.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn remove_deleted_logs(&mut self, request: &RemoveLogsRequest) -> Answer<DeletedLogsAnswer> {
        self.connection.ask_once("POST", "/v1/logs/deleted", Some(&json(request)?))
    }

    /// What an apply would do.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn plan(&mut self, request: &PlanRequest) -> Answer<PlanAnswer> {
        self.connection.ask("POST", "/v1/plan", Some(&json(request)?))
    }

    /// Does it.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn apply(self, request: &ApplyRequest, detail: PlanDetail) -> Answer<Messages<ChangeMessage>> {
        let path = Query::default().with_flag("brief", detail == PlanDetail::Changes).on("/v1/apply");
        Ok(Messages::new(self.connection.open("POST", &path, Some(&json(request)?), Repeat::Harmless)?))
    }

    /// A change without a file.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn edit(self, request: &EditRequest) -> Answer<Messages<ChangeMessage>> {
        self.edit_on("/v1/edit", request)
    }

    /// The same; when it is done, the daemon ends unless a process runs. It does so without us, too.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn edit_and_leave(self, request: &EditRequest) -> Answer<Messages<ChangeMessage>> {
        self.edit_on(&Query::default().with_flag("leave", true).on("/v1/edit"), request)
    }

    fn edit_on(self, path: &str, request: &EditRequest) -> Answer<Messages<ChangeMessage>> {
        let is_new_each_time = matches!(request.edit, Edit::Restart | Edit::Reload | Edit::AutoRestart | Edit::Run);
        let repeat = if is_new_each_time { Repeat::Never } else { Repeat::Harmless };
        Ok(Messages::new(self.connection.open("POST", path, Some(&json(request)?), repeat)?))
    }

    /// The rollouts in progress; before that, some are paused, resumed or aborted.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn rollouts(&mut self, request: Option<&RolloutRequest>) -> Answer<RolloutsAnswer> {
        match request {
            Some(request) => self.connection.ask("POST", "/v1/rollouts", Some(&json(request)?)),
            None => self.connection.ask("GET", "/v1/rollouts", None),
        }
    }

    /// Stops everything, then the daemon.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn shut_down(self) -> Answer<Messages<ChangeMessage>> {
        Ok(Messages::new(self.connection.open("POST", "/v1/shutdown", Some(b""), Repeat::Harmless)?))
    }

    /// Lines that are there.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn logs(&mut self, query: &LogsQuery) -> Answer<LogsAnswer> {
        self.connection.ask("GET", &query.query().on("/v1/logs"), None)
    }

    /// Lines that are there, and that come.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn follow_logs(self, query: &LogsQuery) -> Answer<Messages<LogMessage>> {
        let query = LogsQuery { follow: true, ..query.clone() };
        Ok(Messages::new(self.connection.open("GET", &query.query().on("/v1/logs"), None, Repeat::Harmless)?))
    }

    /// What happened.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn events(&mut self, query: &EventsQuery) -> Answer<EventsAnswer> {
        self.connection.ask("GET", &query.query().on("/v1/events"), None)
    }

    /// What happened, and what happens.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn follow_events(self, query: &EventsQuery) -> Answer<Messages<EventMessage>> {
        let query = EventsQuery { follow: true, ..query.clone() };
        Ok(Messages::new(self.connection.open("GET", &query.query().on("/v1/events"), None, Repeat::Harmless)?))
    }

    /// What a copy is started with.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn environment(&mut self, selection: &Selection, reveal: bool) -> Answer<EnvironmentAnswer> {
        self.connection.ask("GET", &selection.query().with_flag("reveal", reveal).on("/v1/env"), None)
    }

    /// Hands something to processes: a message, a line, a signal.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn hand_over<T: ForProcesses>(&mut self, request: &T) -> Answer<T::Answer> {
        self.connection.ask_once("POST", T::ROUTE, Some(&json(request)?))
    }

    /// What the workers of an app report of themselves.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn metrics(&mut self, selection: &Selection) -> Answer<MetricsAnswer> {
        self.connection.ask("GET", &selection.query().on("/v1/metrics"), None)
    }

    /// Which times come next, `count` of them for each app.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn schedules(&mut self, selection: &Selection, count: u32) -> Answer<CronAnswer> {
        self.connection.ask("GET", &selection.query().with("count", Some(count)).on("/v1/cron"), None)
    }

    /// The history of a project.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn history(&mut self, scope: &Scope) -> Answer<HistoryAnswer> {
        self.connection.ask("GET", &of_scope(scope).on("/v1/history"), None)
    }

    /// One entry of it, by generation or tag, and what differs from another one.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn history_entry(&mut self, scope: &Scope, entry: &str, against: Option<&str>) -> Answer<HistoryEntryAnswer> {
        let query = of_scope(scope).with("entry", Some(entry)).with("against", against);
        self.connection.ask("GET", &query.on("/v1/history/entry"), None)
    }

    /// Gives an entry a tag, or takes it away.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn tag(&mut self, request: &TagRequest) -> Answer<HistoryAnswer> {
        self.connection.ask("POST", "/v1/history/tag", Some(&json(request)?))
    }

    /// What a rollback would do.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn plan_rollback(&mut self, request: &RollbackRequest) -> Answer<RollbackAnswer> {
        self.connection.ask("POST", "/v1/rollback/plan", Some(&json(request)?))
    }

    /// Does it. Which entry is meant may be another one after it: it is not repeated.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn roll_back(self, request: &RollbackRequest) -> Answer<Messages<ChangeMessage>> {
        Ok(Messages::new(self.connection.open("POST", "/v1/rollback", Some(&json(request)?), Repeat::Never)?))
    }

    /// The daemon about itself.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn daemon(&mut self) -> Answer<DaemonAnswer> {
        self.connection.ask("GET", "/v1/daemon", None)
    }

    /// The daemon is asked to end.
    ///
    /// # Errors
    /// No answer, or a problem.
    pub fn end_daemon(&mut self, how: DaemonEnd) -> Answer<DaemonAnswer> {
        let what = match how {
            DaemonEnd::Restart => "/v1/daemon/restart",
            DaemonEnd::Stop => "/v1/daemon/stop",
        };
        self.connection.ask("POST", what, Some(b""))
    }
}
