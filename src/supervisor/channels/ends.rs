//! Our ends of what a process can speak on: opened before it exists, or taken over from an earlier daemon.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use crate::anchor::{HELD_CHANNEL, HELD_NOTIFY};
use crate::model::{App, Fact, InstanceId, Subject};
use crate::os;
use crate::rules::Channels as Used;
use crate::supervisor::handover::Handover;
use crate::supervisor::host::token;
use crate::supervisor::world::World;

/// Far more than one message holds.
const STATUS_BYTES_MAX: u64 = 64 << 10;
/// Longer than an abstract name can be.
const NAME_BYTES_MAX: u64 = 256;

/// Our ends, for one process.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Ends {
    pub(super) notify: Option<OwnedFd>,
    pub(super) messages: Option<OwnedFd>,
    /// The user that the process runs as, if another one than ours.
    pub user_id: Option<u32>,
    pub(super) is_suspect_told: bool,
}

impl Ends {
    /// Opens what the app uses, for the process `incarnation` of a row, and adds it to what the process gets.
    pub fn open(
        world: &World,
        row: u32,
        incarnation: u32,
        spec: &App,
        mut handover: Handover,
    ) -> io::Result<(Self, Handover)> {
        let mut ends = Self::default();
        let key = token(row, incarnation);
        if Used::of(spec).notify {
            // Of a process of another boot that had our numbers.
            let _ = os::remove_if_there(&status_path(world, row, incarnation));
            let (socket, name) = new_notify_socket(world, row, incarnation, spec)?;
            world.anchor.hold(key, HELD_NOTIFY, socket.as_fd())?;
            ends.notify = Some(socket);
            handover.variables.push(("NOTIFY_SOCKET".into(), name));
            if let Some(interval) = Used::of(spec).watchdog {
                let micros = interval.0.saturating_mul(1000);
                handover.variables.push(("WATCHDOG_USEC".into(), micros.to_string()));
            }
        }
        if Used::of(spec).message {
            let (ours, theirs) = os::open_channel()?;
            world.anchor.hold(key, HELD_CHANNEL, ours.as_fd())?;
            ends.messages = Some(ours);
            handover.variables.push(("NODE_CHANNEL_FD".into(), (3 + handover.descriptors.len()).to_string()));
            handover.variables.push(("NODE_CHANNEL_SERIALIZATION_MODE".into(), "json".into()));
            handover.descriptors.push(theirs);
        }
        Ok((ends, handover))
    }

    /// Those of a process that an earlier daemon started: what the anchor held for it. A notify socket that went down
    /// with the anchor is opened again in its place; a channel cannot be.
    pub(super) fn recover(
        world: &World,
        row: u32,
        incarnation: u32,
        (id, spec): (&InstanceId, &App),
        held: &mut BTreeMap<(u64, u32), OwnedFd>,
    ) -> Self {
        let key = token(row, incarnation);
        let mut notify = held.remove(&(key, HELD_NOTIFY));
        if notify.is_none() && Used::of(spec).notify {
            notify = lost_notify_socket(world, row, incarnation, spec)
                .inspect(|socket| {
                    // Not held = lost with us; the next daemon opens it once more.
                    let _ = world.anchor.hold(key, HELD_NOTIFY, socket.as_fd());
                })
                .inspect_err(|error| {
                    let message = format!(
                        "its NOTIFY_SOCKET cannot be opened again: {error}; its messages are lost until it is restarted"
                    );
                    world.events.emit(Subject::Instance(id.clone()), Fact::Trouble { message });
                })
                .ok();
        }
        Self { notify, messages: held.remove(&(key, HELD_CHANNEL)), ..Self::default() }
    }
}

/// Opens the socket of a new process. An abstract name is written down for the case that both of us die.
fn new_notify_socket(world: &World, row: u32, incarnation: u32, spec: &App) -> io::Result<(OwnedFd, String)> {
    let path = notify_path(world, row, incarnation);
    let (socket, name) = os::open_notify_socket(&path, spec.run.user.is_some())?;
    if name.starts_with('@') {
        // On a full disk the socket is lost when the anchor is.
        let _ = os::write_whole(&name_path(world, row, incarnation), name.as_bytes(), 0o600);
    } else {
        let _ = os::remove_if_there(&name_path(world, row, incarnation));
    }
    Ok((socket, name))
}

/// Opens the socket again that went down with an anchor, where the process knows it.
fn lost_notify_socket(world: &World, row: u32, incarnation: u32, spec: &App) -> io::Result<OwnedFd> {
    match os::read_limited(&name_path(world, row, incarnation), NAME_BYTES_MAX) {
        Ok(name) => os::reopen_notify_socket(&String::from_utf8_lossy(&name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && spec.run.user.is_none() => {
            os::open_notify_socket(&notify_path(world, row, incarnation), false).map(|(socket, _)| socket)
        }
        Err(error) => Err(error),
    }
}

fn notify_path(world: &World, row: u32, incarnation: u32) -> PathBuf {
    world.home.notify().join(format!("{row}.{incarnation}"))
}

/// Where the abstract name of a socket stands, if it has one.
fn name_path(world: &World, row: u32, incarnation: u32) -> PathBuf {
    world.home.notify().join(format!("{row}.{incarnation}.name"))
}

/// Where the last status of a process stands for the next daemon.
pub(super) fn status_path(world: &World, row: u32, incarnation: u32) -> PathBuf {
    world.home.notify().join(format!("{row}.{incarnation}.status"))
}

/// What a process has said about itself to an earlier daemon.
pub(in crate::supervisor) fn kept_status(world: &World, row: u32, incarnation: u32, spec: &App) -> Option<String> {
    if !Used::of(spec).notify {
        return None;
    }
    let bytes = os::read_limited(&status_path(world, row, incarnation), STATUS_BYTES_MAX).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Lets go of everything that was held for one process.
pub(in crate::supervisor) fn release(world: &World, row: u32, incarnation: u32, spec: &App) {
    let key = token(row, incarnation);
    // An anchor that does not listen is about to be replaced; the new one holds nothing of this process.
    if Used::of(spec).notify {
        let _ = world.anchor.drop_held(key, HELD_NOTIFY);
        for path in [notify_path, name_path, status_path] {
            os::remove_if_there(&path(world, row, incarnation)).unwrap_or_default();
        }
    }
    if Used::of(spec).message {
        let _ = world.anchor.drop_held(key, HELD_CHANNEL);
    }
}
