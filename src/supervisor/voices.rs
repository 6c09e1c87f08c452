//! What a process can tell us by itself: the socket of `sd_notify` and the channel of Node, each of one process only.
//!
//! Both are opened before the process exists and held by the anchor too, so that nothing is lost while no daemon
//! lives. What is said is taken off only after it was acted on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use super::World;
use super::run::{Loop, token};
use crate::anchor::{HELD_CHANNEL, HELD_NOTIFY};
use crate::lifecycle::Input;
use crate::model::{App, Fact, InstanceId, Probe, Subject};
use crate::os;
use crate::rules::{self, CHANNEL_LINE_BYTES_MAX, ChannelLine, Channels, Notification};

/// Messages of one process that are heard in one go; the others have to wait for their turn.
const MESSAGES_MAX: usize = 64;
/// Far more than one message holds.
const STATUS_BYTES_MAX: u64 = 64 << 10;
/// Longer than an abstract name can be.
const NAME_BYTES_MAX: u64 = 256;
/// Marks the tokens of channels; rows are far below it.
const CHANNEL_BIT: u64 = 1 << 63;

/// Our ends, for one process.
#[derive(Debug, Default)]
pub(super) struct Voices {
    notify: Option<OwnedFd>,
    channel: Option<OwnedFd>,
    is_suspect_told: bool,
}

/// What the process gets of it.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Variables of its environment.
    pub variables: Vec<(String, String)>,
    /// Descriptors, from 3 on.
    pub descriptors: Vec<OwnedFd>,
}

impl Voices {
    /// Opens what the app uses, for the process `incarnation` of a row, and adds it to what the process gets.
    pub(super) fn open(
        world: &World,
        row: u32,
        incarnation: u32,
        spec: &App,
        mut handover: Handover,
    ) -> io::Result<(Self, Handover)> {
        let mut voices = Self::default();
        let key = token(row, incarnation);
        if Channels::of(spec).notify {
            // Of a process of another boot that had our numbers.
            let _ = os::remove_if_there(&status_path(world, row, incarnation));
            let (socket, name) = new_notify_socket(world, row, incarnation, spec)?;
            world.anchor.hold(key, HELD_NOTIFY, socket.as_fd())?;
            voices.notify = Some(socket);
            handover.variables.push(("NOTIFY_SOCKET".into(), name));
            if let Some(interval) = Channels::of(spec).watchdog {
                let micros = interval.0.saturating_mul(1000);
                handover.variables.push(("WATCHDOG_USEC".into(), micros.to_string()));
            }
        }
        if Channels::of(spec).message {
            let (ours, theirs) = os::open_channel()?;
            world.anchor.hold(key, HELD_CHANNEL, ours.as_fd())?;
            voices.channel = Some(ours);
            handover.variables.push(("NODE_CHANNEL_FD".into(), (3 + handover.descriptors.len()).to_string()));
            handover.variables.push(("NODE_CHANNEL_SERIALIZATION_MODE".into(), "json".into()));
            handover.descriptors.push(theirs);
        }
        Ok((voices, handover))
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
        if notify.is_none() && Channels::of(spec).notify {
            notify = lost_notify_socket(world, row, incarnation, spec)
                .inspect(|socket| {
                    // Not held = lost with us; the next daemon opens it once more.
                    let _ = world.anchor.hold(key, HELD_NOTIFY, socket.as_fd());
                })
                .inspect_err(|error| {
                    let message =
                        format!("its NOTIFY_SOCKET cannot be opened again: {error}; nothing it says is heard");
                    world.events.emit(Subject::Instance(id.clone()), Fact::Trouble { message });
                })
                .ok();
        }
        Self { notify, channel: held.remove(&(key, HELD_CHANNEL)), is_suspect_told: false }
    }

    /// Says one line to the process. False if it cannot hear.
    pub(super) fn say(&self, line: &str) -> bool {
        self.channel.as_ref().is_some_and(|channel| os::say_on_channel(channel, line).is_ok())
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
fn status_path(world: &World, row: u32, incarnation: u32) -> PathBuf {
    world.home.notify().join(format!("{row}.{incarnation}.status"))
}

/// What a process has said about itself to an earlier daemon.
pub(super) fn kept_status(world: &World, row: u32, incarnation: u32, spec: &App) -> Option<String> {
    if !Channels::of(spec).notify {
        return None;
    }
    let bytes = os::read_limited(&status_path(world, row, incarnation), STATUS_BYTES_MAX).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Lets go of everything that was held for one process.
pub(super) fn release(world: &World, row: u32, incarnation: u32, spec: &App) {
    let key = token(row, incarnation);
    // An anchor that does not listen is about to be replaced; the new one holds nothing of this process.
    if Channels::of(spec).notify {
        let _ = world.anchor.drop_held(key, HELD_NOTIFY);
        for path in [notify_path, name_path, status_path] {
            os::remove_if_there(&path(world, row, incarnation)).unwrap_or_default();
        }
    }
    if Channels::of(spec).message {
        let _ = world.anchor.drop_held(key, HELD_CHANNEL);
    }
}

impl Loop {
    /// From now on what the process says is heard.
    pub(super) fn listen_to(&mut self, row: u32, voices: Voices) {
        let Some(member) = self.roster.get_mut(row) else { return };
        let key = token(row, member.machine.incarnation);
        if let Some(socket) = &voices.notify {
            let _ = self.inputs.add(socket.as_fd(), key);
        }
        if let Some(channel) = &voices.channel {
            let _ = self.inputs.add(channel.as_fd(), key | CHANNEL_BIT);
        }
        member.voices = voices;
    }

    /// The process is over: its last words, then silence.
    pub(super) fn listen_no_more(&mut self, row: u32) {
        self.hear_notifications(row);
        self.hear_channel(row);
        let Some(member) = self.roster.get_mut(row) else { return };
        let Voices { notify, channel, .. } = std::mem::take(&mut member.voices);
        member.status = None;
        member.beat = None;
        if notify.is_none() && channel.is_none() {
            return;
        }
        for fd in [&notify, &channel].into_iter().flatten() {
            // Before it is closed: a child between clone and exec may still hold a copy of it.
            let _ = self.inputs.remove(fd.as_fd());
        }
        release(&self.world, row, member.machine.incarnation, &member.record.spec);
    }

    /// Something was said.
    pub(super) fn heard(&mut self, token: u64) {
        let row = u32::try_from((token & !CHANNEL_BIT) >> 32).unwrap_or(u32::MAX);
        if token & CHANNEL_BIT == 0 {
            self.hear_notifications(row);
        } else {
            self.hear_channel(row);
        }
    }

    fn hear_notifications(&mut self, row: u32) {
        let before = self.roster.get(row).and_then(|member| member.status.clone());
        self.hear_all_notifications(row);
        let Some(member) = self.roster.get(row).filter(|member| member.status != before) else { return };
        // Once for all that was said in one go. On a full disk the next daemon does not know it.
        let path = status_path(&self.world, row, member.machine.incarnation);
        let _ = os::write_whole(&path, member.status.as_deref().unwrap_or_default().as_bytes(), 0o600);
    }

    fn hear_all_notifications(&mut self, row: u32) {
        for _ in 0..MESSAGES_MAX {
            let Some(socket) = self.roster.get(row).and_then(|member| member.voices.notify.as_ref()) else { return };
            let Ok(Some(datagram)) = os::peek_datagram(socket.as_fd()) else { return };
            if self.is_trusted(row, &datagram) {
                for said in rules::notifications(&datagram.text) {
                    self.notified(row, said);
                }
            }
            if let Some(socket) = self.roster.get(row).and_then(|member| member.voices.notify.as_ref()) {
                os::drop_datagram(socket.as_fd());
            }
        }
    }

    /// The socket is one process's own, so whoever knows it is most likely its tree; a living stranger is not.
    fn is_trusted(&mut self, row: u32, datagram: &os::Datagram) -> bool {
        let own = [os::user_id(), 0];
        let Some(member) = self.roster.get_mut(row) else { return false };
        let Some(main) = member.row.pid() else { return false };
        let is_known_user = own.contains(&datagram.uid) || member.user_id == Some(datagram.uid);
        let is_of_tree = datagram.pid == 0 || os::belongs_to_tree(datagram.pid, main).unwrap_or(true);
        if is_known_user && is_of_tree {
            return true;
        }
        if !std::mem::replace(&mut member.voices.is_suspect_told, true) {
            let name = os::process_name(datagram.pid);
            let message = format!(
                "process {} ({name}), which is none of its own, speaks on its NOTIFY_SOCKET: not heard",
                datagram.pid
            );
            self.world.events.emit(Subject::Instance(member.id.clone()), Fact::Trouble { message });
        }
        false
    }

    fn notified(&mut self, row: u32, said: Notification) {
        let Some(member) = self.roster.get_mut(row) else { return };
        let incarnation = member.machine.incarnation;
        let waits_for_notify =
            member.machine.policy.ready.as_ref().is_some_and(|ready| matches!(ready.probe, Probe::Notify(_)));
        match said {
            Notification::Ready if waits_for_notify => self.step(row, Input::Probed { incarnation, result: Ok(()) }),
            Notification::Ready => {}
            Notification::Status(text) => {
                member.status = Some(crate::model::masked(&text).into_owned()).filter(|text| !text.is_empty());
                self.roster.changed(row);
            }
            Notification::WatchdogPing => member.beat = Some(os::now()),
            Notification::Unwell => {
                let result = Err("it said WATCHDOG=trigger".to_owned());
                self.step(row, Input::Probed { incarnation, result });
            }
            Notification::Extend(by) => self.step(row, Input::Extended { incarnation, by }),
            Notification::MainPid(pid) => {
                let main = member.row.pid().unwrap_or(0);
                if os::belongs_to_tree(pid, main) != Some(true) {
                    let message = format!("said MAINPID={pid}, which is no process of its own: refused");
                    self.world.events.emit(Subject::Instance(member.id.clone()), Fact::Trouble { message });
                }
            }
        }
    }

    fn hear_channel(&mut self, row: u32) {
        let mut waiting = vec![0; CHANNEL_LINE_BYTES_MAX];
        for _ in 0..MESSAGES_MAX {
            let Some(member) = self.roster.get(row) else { return };
            let Some(channel) = &member.voices.channel else { return };
            let length = match os::peek_channel(channel.as_fd(), &mut waiting) {
                Ok(Some(0)) | Err(_) => return self.channel_closed(row),
                Ok(None) => return,
                Ok(Some(length)) => length,
            };
            let (lines, taken) = rules::channel_lines(&waiting[..length]);
            if taken == 0 {
                return self.wait_for_whole_line(row);
            }
            for line in lines {
                self.said_on_channel(row, line);
            }
            if let Some(channel) = self.roster.get(row).and_then(|member| member.voices.channel.as_ref()) {
                let _ = os::take_from_channel(channel.as_fd(), &mut waiting[..taken]);
            }
        }
    }

    fn said_on_channel(&mut self, row: u32, line: ChannelLine) {
        let Some(member) = self.roster.get(row) else { return };
        let incarnation = member.machine.incarnation;
        let waits = member.machine.policy.ready.as_ref().is_some_and(|ready| matches!(ready.probe, Probe::Message(_)));
        match line {
            ChannelLine::Ready if waits => self.step(row, Input::Probed { incarnation, result: Ok(()) }),
            ChannelLine::Handle => {
                // Unanswered, the process would never send anything again.
                member.voices.say("{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
            }
            ChannelLine::Ready | ChannelLine::Other => {}
        }
    }

    /// It has closed its end (`process.disconnect()`); we keep ours open without looking at it.
    fn channel_closed(&mut self, row: u32) {
        if let Some(channel) = self.roster.get(row).and_then(|member| member.voices.channel.as_ref()) {
            let _ = self.inputs.remove(channel.as_fd());
        }
    }

    /// Half a line goes on waiting in the kernel; looking at it again and again would be a busy loop.
    fn wait_for_whole_line(&mut self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        let Some(channel) = &member.voices.channel else { return };
        let key = token(row, member.machine.incarnation) | CHANNEL_BIT;
        let _ = self.inputs.remove(channel.as_fd());
        let _ = self.inputs.add_news(channel.as_fd(), key);
    }
}
