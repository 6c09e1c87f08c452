//! Boot: inheritance, state, threads, instances, intents, socket. In this order.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use tokio::sync::mpsc;

use crate::anchor::{AnchorLink, Mirror};
use crate::api::{Context, DaemonFacts, Followers, Leave, MetricsFolder, Warnings};
use crate::events::Events;
use crate::logs::{ExportJournal, Notice, Pump};
use crate::model::{Fact, Subject};
use crate::os::{self, Home, HomeError, ShutdownSignals, Worker};
use crate::reconciler::{Reconciler, ReconcilerDeps, StoreHandle};
use crate::rules::DescriptorShares;
use crate::sensors;
use crate::store::{Store, StoreError};
use crate::supervisor::{Clusters, Listeners, Outputs, Supervisor, World};

/// Threads that start processes. Each is suspended until its child executes its program, so two are too few even for two
/// processors; a script on a hung folder holds up one of them.
const SPAWNERS: usize = 4;
/// Spawns that may wait; every row of the table at most once.
const SPAWNS_MAX: usize = crate::anchor::ROWS as usize;
/// Threads that read logs for requests.
const READERS: usize = 2;
/// Reads that may wait.
const READS_MAX: usize = 256;
/// Commits that may wait; the reconciler has one in progress at most.
const COMMITS_MAX: usize = 4;

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Started by hand.
    #[error("`--inherited` is for the anchor process only: `pm daemon run` runs anchor and daemon in the foreground")]
    NoAnchor,
    /// The kernel refuses the runtime.
    #[error("cannot create the event loop")]
    Runtime(#[source] io::Error),
    /// The inheritance is broken.
    #[error("cannot take over from the previous daemon")]
    Inheritance(#[source] io::Error),
    /// There is no home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The state cannot be read; it is left as it is.
    #[error("cannot read the state")]
    Store(#[from] StoreError),
    /// A thread, a descriptor, a file.
    #[error("cannot {step}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// A daemon that is ready to answer.
pub(super) struct Daemon {
    pub context: Context,
    pub listener: UnixListener,
    pub signals: ShutdownSignals,
    pub leave: mpsc::Receiver<Leave>,
    pub pump: Pump,
    /// Held for as long as we live: exactly one daemon per home.
    pub lock: OwnedFd,
}

/// Puts everything together. Instances are looked at before the first intent is taken.
#[expect(clippy::unused_async, reason = "much of it needs the runtime around it")]
pub(super) async fn boot() -> Result<Daemon, BootError> {
    let at = |step| move |source| BootError::Step { step, source };
    let inherited = AnchorLink::inherit().map_err(BootError::Inheritance)?.ok_or(BootError::NoAnchor)?;
    os::killpoint("boot.inherited");
    let home = Home::from_env()?;
    os::make_files_for_owner_of(&home);
    let (store, desired, troubles) = Store::open(&home.state)?;
    let (events, more_troubles) = Events::open(&home.state);
    let mut warnings: Vec<String> = troubles.into_iter().chain(more_troubles).collect();
    for message in &warnings {
        events.emit(Subject::Daemon, Fact::Trouble { message: message.clone() });
    }
    let (files_max, table) = (os::file_limit(), inherited.table);
    let shares = DescriptorShares::of(files_max);
    let journal = export_journal(&home, &events);
    let pump = Pump::start(shares.log_files, journal, notices(events.clone())).map_err(at("start the log pump"))?;
    let storing = Worker::start("pm-store", 1, COMMITS_MAX).map_err(at("start the storing thread"))?;
    let store_handle = StoreHandle::new(store, storing, table);
    let world = World {
        mirror: Mirror::create(&home.table(), &table).map_err(at("mirror the process table"))?,
        table,
        anchor: inherited.link,
        pump: pump.clone(),
        outputs: Outputs::below(files_max.saturating_sub(shares.kept_free as u64)),
        events: events.clone(),
        listeners: Listeners::default(),
        clusters: Clusters::default(),
        spawners: Worker::start("pm-spawn", SPAWNERS, SPAWNS_MAX).map_err(at("start the spawning threads"))?,
        groups: std::sync::OnceLock::new(),
        home: home.clone(),
    };
    let (supervisor, recovered) =
        Supervisor::start(world, inherited.held, &store_handle).map_err(at("watch processes"))?;
    os::killpoint("boot.recovered");
    store_handle.copy_soon();
    warnings.extend(recovered.warnings);
    let (pid, found, version) = (os::own_pid(), recovered.alive, env!("CARGO_PKG_VERSION").into());
    events.emit(Subject::Daemon, Fact::DaemonStarted { pid, found, version });
    let reader = Worker::start("pm-read", READERS, READS_MAX).map_err(at("start the reading threads"))?;
    let deps = ReconcilerDeps {
        supervisor: supervisor.clone(),
        events: events.clone(),
        home: home.clone(),
        reader: reader.clone(),
    };
    let reconciler = Reconciler::start(desired, store_handle, deps);
    let sources = sensors::start(sensors::SensorDeps {
        reconciler: reconciler.clone(),
        supervisor: supervisor.clone(),
        events: events.clone(),
        home: home.clone(),
        log_growth: pump.advanced(),
        reader: reader.clone(),
    });
    let (leave, asked) = mpsc::channel(1);
    let context = Context {
        reconciler,
        supervisor,
        usage: sensors::Usage::default(),
        sources,
        events,
        log_growth: pump.advanced(),
        logs_folder: home.logs.clone(),
        metrics: MetricsFolder::new(home.state.join("metrics")),
        daemon: DaemonFacts {
            pid: os::own_pid(),
            anchor_pid: os::parent_pid(),
            home: home.root,
            started_at: os::wall(),
            started: os::now(),
        },
        leave,
        reader,
        followers: Followers::new(&shares),
        connections_max: shares.connections,
        warnings: Warnings::new(warnings),
    };
    let signals = ShutdownSignals::new().map_err(at("listen for signals"))?;
    Ok(Daemon { context, listener: inherited.listener, signals, leave: asked, pump, lock: inherited.lock })
}

/// Without it everything works; only a kill may then write a line twice, or not at all, into a file that is written
/// from logs.
fn export_journal(home: &Home, events: &Events) -> Option<ExportJournal> {
    let path = home.log_exports();
    let opened = ExportJournal::open(&path);
    if let Err(error) = &opened {
        let message = format!("cannot open `{}`: {error}; kills may tear the files of `log_file`", path.display());
        events.emit(Subject::Daemon, Fact::Trouble { message });
    }
    opened.ok()
}

/// What the pump has to say becomes events.
fn notices(events: Events) -> impl Fn(Notice) + Send + 'static {
    move |notice| {
        let (instance, fact) = match notice {
            Notice::Dropped { instance, stream, bytes } => (instance, Fact::OutputDropped { stream, bytes }),
            Notice::DiskFull { instance, message, .. } => (instance, Fact::LogDiskFull { message }),
            Notice::Trouble { instance, message, .. } => (instance, Fact::Trouble { message }),
        };
        events.emit(Subject::Instance(instance), fact);
    }
}
