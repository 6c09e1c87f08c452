//! What a process can tell us by itself: the socket of `sd_notify` and the channel of Node, each of one process only.
//!
//! Both are opened before the process exists and held by the anchor too, so that nothing is lost while no daemon
//! lives. What is said is taken off only after it was acted on.

mod ends;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::NotSaid;
use super::host::{Channel, Words, row_and_incarnation, token};
use super::processes::is_of_app;
use super::world::World;
use crate::anchor::{HELD_CHANNEL, HELD_NOTIFY, HELD_VAULT};
use crate::model::{App, Fact, InstanceId, Subject};
use crate::os::{self, InputWatch};
use crate::rules::{self, CHANNEL_LINE_BYTES_MAX, Notification};

pub(super) use ends::{Ends, kept_status, release};

/// Marks the tokens of Node's channels; rows are far below it.
const MESSAGES_BIT: u64 = 1 << 63;

/// All sockets on which processes speak.
#[derive(Debug)]
pub(super) struct AppChannels {
    world: Arc<World>,
    pub inputs: InputWatch,
    /// Our ends, with the number of the process that has the others.
    by_row: BTreeMap<u32, (u32, Ends)>,
    /// What waits on the channel that is being heard, and how much of that was understood.
    waiting: Vec<u8>,
    understood: usize,
}

impl AppChannels {
    pub fn new(world: Arc<World>) -> io::Result<Self> {
        let (by_row, waiting) = (BTreeMap::new(), Vec::new());
        Ok(Self { world, inputs: InputWatch::new()?, by_row, waiting, understood: 0 })
    }

    /// From now on what the process says is heard.
    pub fn listen_to(&mut self, row: u32, incarnation: u32, ends: Ends) {
        if ends.notify.is_none() && ends.messages.is_none() {
            return;
        }
        let key = token(row, incarnation);
        if let Some(socket) = &ends.notify {
            let _ = self.inputs.add(socket.as_fd(), key);
        }
        if let Some(channel) = &ends.messages {
            let _ = self.inputs.add(channel.as_fd(), key | MESSAGES_BIT);
        }
        self.by_row.insert(row, (incarnation, ends));
    }

    /// Of a process that an earlier daemon started.
    pub fn recover(
        &mut self,
        row: u32,
        incarnation: u32,
        about: (&InstanceId, &App),
        held: &mut BTreeMap<(u64, u32), OwnedFd>,
        is_alive: bool,
    ) {
        let ends = Ends::recover(&self.world, row, incarnation, about, held);
        if is_alive {
            self.listen_to(row, incarnation, ends);
        } else {
            release(&self.world, row, incarnation, about.1);
        }
    }

    /// Nobody is left who could speak there.
    pub fn drop_rest(&self, held: &BTreeMap<(u64, u32), OwnedFd>) {
        for (key, kind) in held.keys().filter(|(_, kind)| [HELD_NOTIFY, HELD_CHANNEL, HELD_VAULT].contains(kind)) {
            let _ = self.world.anchor.drop_held(*key, *kind);
        }
    }

    /// The process is over: closes what it spoke on.
    pub fn silence(&mut self, row: u32, incarnation: u32, spec: &App) {
        let Some((_, Ends { notify, messages, .. })) = self.by_row.remove(&row) else { return };
        for fd in [&notify, &messages].into_iter().flatten() {
            // Before it is closed: a child between clone and exec may still hold a copy of it.
            let _ = self.inputs.remove(fd.as_fd());
        }
        release(&self.world, row, incarnation, spec);
    }

    /// Says a line to the process. False: it cannot hear.
    pub fn say(&self, row: u32, line: &str) -> bool {
        self.try_say(row, line).is_ok()
    }

    /// The same, with the reason.
    pub fn try_say(&self, row: u32, line: &str) -> Result<(), NotSaid> {
        let channel = self.by_row.get(&row).and_then(|(_, ends)| ends.messages.as_ref()).ok_or(NotSaid::NoChannel)?;
        os::say_on_channel(channel, line).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => NotSaid::Full,
            _ => NotSaid::NoChannel,
        })
    }

    /// Remembers a status for the next daemon. On a full disk that one does not know it.
    pub fn keep_status(&self, row: u32, incarnation: u32, status: &str) {
        let _ = os::write_whole(&ends::status_path(&self.world, row, incarnation), status.as_bytes(), 0o600);
    }

    /// The next that a process has said.
    pub fn hear(&mut self, row: u32, channel: Channel, id: &InstanceId) -> Option<Words> {
        match channel {
            Channel::Notify => self.hear_notifications(row, id).map(Words::Notifications),
            Channel::Messages => self.hear_messages(row).map(Words::Lines),
        }
    }

    /// What was heard last was acted on.
    pub fn acted_on(&mut self, row: u32, channel: Channel) {
        let Some((_, ends)) = self.by_row.get(&row) else { return };
        match channel {
            Channel::Notify => {
                if let Some(socket) = &ends.notify {
                    os::drop_datagram(socket.as_fd());
                }
            }
            Channel::Messages => {
                if let Some(channel) = &ends.messages {
                    let _ = os::take_from_channel(channel.as_fd(), &mut self.waiting[..self.understood]);
                }
            }
        }
    }

    fn hear_notifications(&mut self, row: u32, id: &InstanceId) -> Option<Vec<Notification>> {
        let socket = self.by_row.get(&row)?.1.notify.as_ref()?;
        let datagram = os::peek_datagram(socket.as_fd()).ok()??;
        let is_trusted = self.is_trusted(row, id, &datagram);
        Some(if is_trusted { rules::notifications(&datagram.text) } else { Vec::new() })
    }

    /// The socket is one process's own, so whoever knows it is most likely its tree; a living stranger is not.
    fn is_trusted(&mut self, row: u32, id: &InstanceId, datagram: &os::Datagram) -> bool {
        let own = [os::user_id(), 0];
        let Some((_, ends)) = self.by_row.get_mut(&row) else { return false };
        let Some(entry) = self.world.table.row(row).filter(|entry| entry.pid().is_some()) else { return false };
        let is_known_user = own.contains(&datagram.uid) || ends.user_id == Some(datagram.uid);
        // Who has ended by now cannot be looked at.
        let has_ended = || os::proc_stat(datagram.pid).is_err();
        let is_of_tree = datagram.pid == 0 || is_of_app(&self.world, entry, datagram.pid) || has_ended();
        if is_known_user && is_of_tree {
            return true;
        }
        if !std::mem::replace(&mut ends.is_suspect_told, true) {
            let name = os::process_name(datagram.pid);
            let message = format!(
                "ignoring what process {} ({name}) sends to its NOTIFY_SOCKET: the process does not belong to this app",
                datagram.pid
            );
            self.world.events.emit(Subject::Instance(id.clone()), Fact::Trouble { message });
        }
        false
    }

    fn hear_messages(&mut self, row: u32) -> Option<Vec<rules::ChannelLine>> {
        let (incarnation, ends) = self.by_row.get(&row)?;
        let channel = ends.messages.as_ref()?;
        self.waiting.resize(CHANNEL_LINE_BYTES_MAX, 0);
        let length = match os::peek_channel(channel.as_fd(), &mut self.waiting) {
            Ok(Some(0)) | Err(_) => {
                // It has closed its end (`process.disconnect()`); we keep ours open without looking at it.
                let _ = self.inputs.remove(channel.as_fd());
                return None;
            }
            Ok(None) => return None,
            Ok(Some(length)) => length,
        };
        let (lines, understood) = rules::channel_lines(&self.waiting[..length]);
        if understood == 0 {
            // Half a line goes on waiting in the kernel; looking at it again and again would be a busy loop.
            let _ = self.inputs.remove(channel.as_fd());
            let _ = self.inputs.add_news(channel.as_fd(), token(row, *incarnation) | MESSAGES_BIT);
            return None;
        }
        self.understood = understood;
        Some(lines)
    }
}

/// Who has said something, and where.
pub(super) fn speaker(token: u64) -> (u32, Channel) {
    let channel = if token & MESSAGES_BIT == 0 { Channel::Notify } else { Channel::Messages };
    (row_and_incarnation(token & !MESSAGES_BIT).0, channel)
}

/// The process that a process which has ended named as its successor, and that `accepts` takes. What it said before that is of
/// no interest any more; the message itself goes on waiting.
pub(super) fn announced_main<T>(socket: &OwnedFd, accepts: impl Fn(u32) -> Option<T>) -> Option<T> {
    while let Ok(Some(datagram)) = os::peek_datagram(socket.as_fd()) {
        let said = rules::notifications(&datagram.text);
        let pids =
            said.into_iter().filter_map(|one| if let Notification::MainPid(pid) = one { Some(pid) } else { None });
        if let Some(accepted) = pids.into_iter().find_map(&accepts) {
            return Some(accepted);
        }
        os::drop_datagram(socket.as_fd());
    }
    None
}
