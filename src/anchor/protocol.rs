//! The messages between anchor and daemon. Frozen: the two may be of different versions.
//!
//! A message is 32 bytes in native byte order, over a packet socket, with at most two descriptors:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | version: 1 |
//! | 2 | 2 | operation |
//! | 4 | 4 | kind |
//! | 8 | 8 | key |
//! | 16 | 8 | detail |
//! | 24 | 8 | reserved, 0 |
//!
//! | operation | number | from | meaning |
//! | --- | --- | --- | --- |
//! | Hold | 1 | daemon | keep the descriptor under (key, kind), in the place of an older one |
//! | Drop | 2 | daemon | close what is kept under (key, kind) |
//! | Exited | 3 | anchor | rows are Exited: look. Carries no data, and one stands for many |
//! | Quit | 4 | daemon | when I have ended, end too |
//! | Refused | 5 | anchor | kind, key and the reason of a message that was not followed |
//! | HoldTwo | 6 | daemon | keep two descriptors under (key, kind) and (key, kind + 1), in the place of older ones |
//! | Ready | 7 | daemon | questions are answered |
//! | Failed | 8 | daemon | there will be no answers; the reason follows in the same packet, as text |

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::failure::{TEXT_BYTES_MAX, Text};
use crate::os;

/// Of the messages.
const VERSION: u16 = 1;
const BYTES: usize = 32;
/// Of a message with a text behind it.
const PACKET_BYTES_MAX: usize = BYTES + TEXT_BYTES_MAX;

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// Keep the descriptor that comes along.
    Hold { key: u64, kind: u32 },
    /// Close it.
    Drop { key: u64, kind: u32 },
    /// Rows have ended.
    Exited,
    /// End after me.
    Quit,
    /// A message was not followed.
    Refused { key: u64, kind: u32, refusal: HoldRefusal },
    /// Keep both descriptors that come along, the second one under the next kind.
    HoldTwo { key: u64, kind: u32 },
    /// The daemon answers.
    Ready,
    /// The daemon cannot begin: [`Arrived::Failed`] has the reason.
    Failed,
}

/// Descriptors that came along.
pub(super) type Passed = [Option<OwnedFd>; os::PASSED_MAX];

/// Why a message was not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum HoldRefusal {
    /// A version, operation or size that is not known.
    Unknown = 1,
    /// No descriptor came with it.
    NoDescriptor = 2,
    /// The store is full.
    Full = 3,
}

impl Message {
    /// The bytes on the socket.
    pub(super) fn encode(self) -> [u8; BYTES] {
        let (operation, kind, key, detail): (u16, u32, u64, u64) = match self {
            Self::Hold { key, kind } => (1, kind, key, 0),
            Self::Drop { key, kind } => (2, kind, key, 0),
            Self::Exited => (3, 0, 0, 0),
            Self::Quit => (4, 0, 0, 0),
            Self::Refused { key, kind, refusal } => (5, kind, key, refusal as u64),
            Self::HoldTwo { key, kind } => (6, kind, key, 0),
            Self::Ready => (7, 0, 0, 0),
            Self::Failed => (8, 0, 0, 0),
        };
        let mut bytes = [0; BYTES];
        bytes[0..2].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[2..4].copy_from_slice(&operation.to_ne_bytes());
        bytes[4..8].copy_from_slice(&kind.to_ne_bytes());
        bytes[8..16].copy_from_slice(&key.to_ne_bytes());
        bytes[16..24].copy_from_slice(&detail.to_ne_bytes());
        bytes
    }

    /// What the bytes say; `None` for what this version does not know.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (operation, rest) = rest.split_first_chunk::<2>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_first_chunk::<8>()?;
        let (detail, _reserved) = rest.split_first_chunk::<8>()?;
        if u16::from_ne_bytes(*version) != VERSION {
            return None;
        }
        let (kind, key) = (u32::from_ne_bytes(*kind), u64::from_ne_bytes(*key));
        Some(match u16::from_ne_bytes(*operation) {
            1 => Self::Hold { key, kind },
            2 => Self::Drop { key, kind },
            3 => Self::Exited,
            4 => Self::Quit,
            5 => Self::Refused { key, kind, refusal: HoldRefusal::of(u64::from_ne_bytes(*detail)) },
            6 => Self::HoldTwo { key, kind },
            7 => Self::Ready,
            8 => Self::Failed,
            _ => return None,
        })
    }

    /// Sends it, with the descriptors that it needs.
    pub(super) fn send(self, socket: BorrowedFd<'_>, passed: &[BorrowedFd<'_>]) -> io::Result<()> {
        os::send_packet(socket, &self.encode(), passed)
    }

    /// Sends [`Self::Failed`] with its reason, as much of it as is kept.
    pub(super) fn send_failure(socket: BorrowedFd<'_>, reason: &str) -> io::Result<()> {
        let mut packet = [0; PACKET_BYTES_MAX];
        let text = Text::of(reason.as_bytes());
        let bytes = Self::Failed.encode().into_iter().chain(text.bytes().iter().copied());
        let length = packet.iter_mut().zip(bytes).map(|(to, from)| *to = from).count();
        os::send_packet(socket, packet.get(..length).unwrap_or_default(), &[])
    }
}

impl HoldRefusal {
    fn of(number: u64) -> Self {
        [Self::NoDescriptor, Self::Full].into_iter().find(|refusal| *refusal as u64 == number).unwrap_or(Self::Unknown)
    }
}

/// What arrived.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the anchor does not allocate")]
pub(super) enum Arrived {
    /// A message, with the descriptors that came along.
    Message(Message, Passed),
    /// The daemon cannot begin, and this is why.
    Failed(Text),
    /// Something that this version does not know.
    Unknown,
    /// The other end is gone.
    Closed,
}

/// Takes the next message; `None` if there is none now.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Arrived>> {
    let mut bytes = [0; PACKET_BYTES_MAX + 1]; // one more, so that a longer message is seen to be longer
    match os::receive_packet(socket, &mut bytes) {
        Ok((0, _)) => Ok(Some(Arrived::Closed)),
        Ok((length, passed)) => Ok(Some(understood(bytes.get(..length).unwrap_or_default(), passed))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(Arrived::Closed)),
        Err(error) => Err(error),
    }
}

fn understood(bytes: &[u8], passed: Passed) -> Arrived {
    let (head, text) = bytes.split_at_checked(BYTES).unwrap_or((bytes, &[]));
    match Message::decode(head) {
        Some(Message::Failed) if text.len() <= TEXT_BYTES_MAX => Arrived::Failed(Text::of(text)),
        Some(message) if text.is_empty() => Arrived::Message(message, passed),
        _ => Arrived::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn every_message_reads_back_and_nothing_else_does() {
        let refused = |refusal| Message::Refused { key: 9, kind: 1, refusal };
        for message in [
            Message::Hold { key: u64::MAX, kind: 2 },
            Message::HoldTwo { key: 8, kind: 1 },
            Message::Drop { key: 7, kind: u32::MAX },
            Message::Exited,
            Message::Quit,
            Message::Ready,
            Message::Failed,
            refused(HoldRefusal::Unknown),
            refused(HoldRefusal::Full),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        let good = Message::Quit.encode();
        for (at, value) in [(0, 2), (2, 99), (3, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Message::decode(&bad), None, "byte {at}");
        }
        assert_eq!(Message::decode(&good[..31]), None);
        assert_eq!(Message::decode(&[]), None);
    }

    #[test]
    fn the_wire_format_is_the_published_one() {
        let bytes = Message::Hold { key: 0x0102, kind: 3 }.encode();
        assert_eq!(bytes[..4], [1, 0, 1, 0]);
        assert_eq!((bytes[4], bytes[8], bytes[9]), (3, 2, 1));
    }

    #[test]
    fn a_reason_arrives_whole_or_cut_and_no_other_message_has_a_text() {
        let (ours, theirs) = os::packet_pair().unwrap();
        let long = "ü".repeat(1000);
        for reason in ["", "the state cannot be read", &long] {
            Message::send_failure(ours.as_fd(), reason).unwrap();
            let Some(Arrived::Failed(text)) = receive(theirs.as_fd()).unwrap() else { panic!() };
            assert_eq!(text.bytes(), reason.as_bytes().get(..TEXT_BYTES_MAX).unwrap_or(reason.as_bytes()));
        }
        let long = [&Message::Ready.encode()[..], b"x"].concat();
        os::send_packet(ours.as_fd(), &long, &[]).unwrap();
        assert!(matches!(receive(theirs.as_fd()).unwrap(), Some(Arrived::Unknown)));
    }

    #[test]
    fn a_descriptor_arrives_with_its_message() {
        let (ours, theirs) = os::packet_pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        Message::Hold { key: 1, kind: 1 }.send(ours.as_fd(), &[writer.as_fd()]).unwrap();
        drop(writer);
        os::send_packet(ours.as_fd(), b"what", &[]).unwrap();
        drop(ours); // what was sent before the death arrives all the same
        let Some(Arrived::Message(_, [Some(passed), None])) = receive(theirs.as_fd()).unwrap() else { panic!() };
        std::fs::File::from(passed).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(matches!(receive(theirs.as_fd()).unwrap(), Some(Arrived::Unknown)));
        assert!(matches!(receive(theirs.as_fd()).unwrap(), Some(Arrived::Closed)));
    }
}
