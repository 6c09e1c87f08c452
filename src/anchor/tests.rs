//! The table after every kind of death, and the anchor with real children.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::mirror::ROW_BYTES;
use super::protocol::{Arrived, Message, receive};
use super::row::{pack, unpack};
use super::*;
use crate::model::{Digest, Exit, Moment};
use crate::os;

fn record(number: u64) -> Record {
    Record {
        restart_requests: number,
        digest: Digest::of(&number.to_ne_bytes()),
        base_digest: Digest::of(b"base"),
        is_successor: true,
        slot: 3,
        restarts: u32::MAX,
        unstable: 2,
        force_kills: 7,
        saved_state: EntryState::Backoff,
        next_start: Moment(number + 1),
        stop_deadline: Moment(number + 2),
    }
}

/// The same memory as another process would see it.
fn successor(table: &Table) -> Table {
    Table::inherit(table.fd().try_clone_to_owned().unwrap()).unwrap()
}

#[test]
fn a_row_walks_through_its_life_and_a_successor_sees_every_step() {
    let table = Table::create(42).unwrap();
    let row = table.claim_free_row().unwrap();
    let seen = || {
        let other = successor(&table).row(row.index()).unwrap();
        (other.state(), other.incarnation(), other.record(), other.exit())
    };
    row.set_record(&record(1));
    row.begin(1, os::now()).unwrap();
    assert_eq!(seen(), (RowState::Spawning, 1, record(1), None));
    row.mailbox().pid.store(4711, Release);
    row.running(99).unwrap();
    assert_eq!((row.pid(), row.start_ticks(), seen().0), (Some(4711), Some(99), RowState::Running));
    assert!(row.record_exit(3 << 8));
    let (state, _, _, exit) = seen();
    assert_eq!((state, exit.unwrap().0), (RowState::Exited, Exit::Code(3)));
    row.idle(1, &record(2)).unwrap();
    assert_eq!((seen().0, seen().1, seen().2), (RowState::Idle, 1, record(2)));
    row.note_number(3);
    row.free().unwrap();
    assert_eq!(table.rows().count(), 0);
    let next = table.claim_free_row().unwrap();
    assert_eq!(next.last_number(), 0, "nothing is left of the former tenant");
    next.free().unwrap();
    assert_eq!((successor(&table).home_id(), table.boot_id()), (42, os::boot_id()));
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let table = Table::create(1).unwrap();
    let row = table.claim_free_row().unwrap();
    let none = Record::default();
    assert!(row.running(1).is_err() && row.idle(1, &none).is_err() && row.abandon().is_err());
    assert!(!row.record_exit(0), "an exit needs a process");
    row.set_record(&none);
    row.begin(1, os::now()).unwrap();
    assert_eq!(row.begin(2, os::now()), Err(WrongState { row: 0, found: RowState::Spawning }));
    assert!(row.free().is_err());
    row.mailbox().pid.store(5, Release);
    assert!(row.abandon().is_err(), "the kernel has made the process");
    assert!(row.record_exit(9));
    assert_eq!(row.running(1), Err(WrongState { row: 0, found: RowState::Exited }), "the anchor was faster");
    assert!(!row.record_exit(0), "one exit per process");
    assert!(row.idle(0, &none).is_err(), "this exit was not dealt with: it is that of a later process");
    assert_eq!(row.exit().unwrap().0, Exit::Signal(9));
}

#[test]
fn an_announced_process_that_never_came_to_be_leaves_no_trace() {
    let table = Table::create(1).unwrap();
    let row = table.claim_free_row().unwrap();
    row.set_record(&record(1));
    row.begin(1, os::now()).unwrap();
    row.abandon().unwrap();
    assert_eq!((row.state(), row.pid(), row.incarnation()), (RowState::Idle, None, 0));
}

#[test]
fn a_record_is_never_half_of_the_old_and_half_of_the_new() {
    let table = Table::create(1).unwrap();
    let row = table.claim_free_row().unwrap();
    row.set_record(&record(1));
    row.begin(7, os::now()).unwrap();
    assert!(row.record_exit(0));
    // A daemon dies after announcing a change and copying only a part of it.
    let redo = &table.header().redo;
    record(2).store(&redo.record);
    redo.word_from.store(pack(7, RowState::Exited), Release);
    redo.word_to.store(pack(7, RowState::Idle), Release);
    redo.row.store(u64::from(row.index()) + 1, Release);
    row.cells.record.0[1].store(0xBAD, Release);
    let next = successor(&table).row(row.index()).unwrap();
    assert_eq!((next.record(), next.state(), next.incarnation()), (record(2), RowState::Idle, 7));
    assert_eq!(redo.row.load(Acquire), 0);
    // It dies after the last step but one: doing it again changes nothing.
    next.set_record(&record(2));
    next.begin(8, os::now()).unwrap();
    redo.row.store(u64::from(row.index()) + 1, Release);
    assert_eq!(successor(&table).row(row.index()).unwrap().state(), RowState::Spawning);
}

#[test]
fn incarnation_and_state_share_a_word() {
    for state in [RowState::Free, RowState::Idle, RowState::Spawning, RowState::Running, RowState::Exited] {
        assert_eq!(unpack(pack(u32::MAX, state)), (u32::MAX, state));
    }
    assert_eq!(unpack(0), (0, RowState::Free));
    assert_eq!(unpack(0xFF).1, RowState::Free, "a state of a later version is nobody's");
}

#[test]
fn the_table_is_full_at_its_last_row_and_not_before() {
    let table = Table::create(1).unwrap();
    for index in 0..ROWS {
        assert_eq!(table.claim_free_row().unwrap().index(), index);
    }
    assert!(table.claim_free_row().is_none());
    table.row(17).unwrap().free().unwrap();
    assert_eq!(table.claim_free_row().unwrap().index(), 17);
}

#[test]
fn something_else_is_not_taken_for_a_table() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    assert!(Table::inherit(file.try_clone().unwrap().into()).is_err());
    file.set_len(100).unwrap();
    assert!(Table::inherit(file.into()).is_err());
}

#[test]
fn the_mirror_brings_rows_back_after_both_processes_died_but_not_from_another_boot() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("table");
    let table = Table::create(1).unwrap();
    let (first, second) = (table.claim_free_row().unwrap(), table.claim_free_row().unwrap());
    first.set_record(&record(1));
    first.begin(5, os::now()).unwrap();
    first.mailbox().pid.store(321, Release);
    first.running(77).unwrap();
    first.set_outputs([888, u64::MAX]);
    first.note_number(6);
    first.note_number(4);
    let mirror = Mirror::create(&path, &table).unwrap();
    second.set_record(&record(2));
    second.begin(1, os::now()).unwrap();
    mirror.write([second]).unwrap();

    let restored = Table::create(1).unwrap();
    assert_eq!(restored.restore(&path).unwrap(), 2);
    let row = restored.row(0).unwrap();
    assert_eq!((row.state(), row.incarnation(), row.pid()), (RowState::Running, 5, Some(321)));
    assert_eq!((row.outputs(), restored.row(1).unwrap().outputs()), ([888, u64::MAX], [0; 2]));
    assert_eq!((row.start_ticks(), row.record(), row.started()), (Some(77), record(1), first.started()));
    assert_eq!(restored.row(1).unwrap().record(), record(2));
    assert_eq!((row.last_number(), restored.row(1).unwrap().last_number()), (6, 0));

    let before = std::fs::read(&path).unwrap();
    first.set_record(&record(3)); // the neighbour has not changed and is not written
    mirror.write([first, second]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), before.len());
    let again = Table::create(1).unwrap();
    assert_eq!(again.restore(&path).unwrap(), 2);
    assert_eq!((again.row(0).unwrap().record(), again.row(1).unwrap().record()), (record(3), record(2)));

    let of_another_home = Table::create(2).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(of_another_home.restore(&path).unwrap(), 0, "another home's head is whole and not ours");
    assert_eq!(of_another_home.damage(), Damage::default());
    let without = Table::create(1).unwrap();
    assert_eq!(without.restore(&home.path().join("none")).unwrap(), 0);
    assert!(without.damage().is_missing);
}

#[test]
fn a_row_knows_of_a_process_whose_mark_names_another_one_until_its_next_process() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("table");
    let table = Table::create(1).unwrap();
    let rows = [table.claim_free_row().unwrap(), table.claim_free_row().unwrap()];
    assert!(!rows.iter().any(|row| row.is_marked()), "there is no process");
    for row in rows {
        let found = RestoredProcess {
            incarnation: 3,
            start: os::now(),
            pid: 321,
            start_ticks: 77,
            marked_row: 1,
            outputs: [0; 2],
            record: record(1),
        };
        row.restore(&found);
    }
    let _mirror = Mirror::create(&path, &table).unwrap();
    let restored = Table::create(1).unwrap();
    assert_eq!(restored.restore(&path).unwrap(), 2);
    for table in [table, restored] {
        assert_eq!([0, 1].map(|index| table.row(index).unwrap().is_marked()), [false, true]);
    }
    let row = rows[0];
    row.exited_unseen(Exit::Unknown).unwrap();
    row.idle(3, &record(1)).unwrap();
    row.begin(4, os::now()).unwrap();
    assert!(row.is_marked(), "its process has a mark of its own");
}

/// Three rows in a mirror, and the mirror's bytes.
fn mirrored() -> (tempfile::TempDir, Vec<u8>) {
    let home = tempfile::tempdir().unwrap();
    let table = Table::create(1).unwrap();
    for number in 0..3 {
        let row = table.claim_free_row().unwrap();
        row.set_record(&record(number));
        row.begin(1, os::now()).unwrap();
        row.mailbox().pid.store(1000, Release);
        row.running(7).unwrap();
    }
    Mirror::create(&home.path().join("table"), &table).unwrap();
    let bytes = std::fs::read(home.path().join("table")).unwrap();
    (home, bytes)
}

fn restored_from(home: &tempfile::TempDir, bytes: &[u8]) -> (u32, Damage, Table) {
    let path = home.path().join("table");
    std::fs::write(&path, bytes).unwrap();
    let table = Table::create(1).unwrap();
    (table.restore(&path).unwrap(), table.damage(), table)
}

#[test]
fn a_flipped_bit_costs_at_most_its_own_row_and_is_noticed() {
    let (home, bytes) = mirrored();
    let first_row = bytes.len() - 3 * ROW_BYTES;
    assert_eq!(restored_from(&home, &bytes).1, Damage::default());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (rows, damage, table) = restored_from(&home, &flipped);
        if at < first_row {
            assert_eq!((rows, damage), (3, Damage { is_head: true, ..Damage::default() }), "byte {at} of the head");
        } else {
            assert_eq!((rows, damage), (2, Damage { rows: 1, ..Damage::default() }), "byte {at}");
            let lost = u32::try_from((at - first_row) / ROW_BYTES).unwrap();
            assert_eq!(table.row(lost).unwrap().state(), RowState::Free, "byte {at}");
        }
    }
}

#[test]
fn rows_of_another_place_or_boot_and_a_mirror_that_was_cut_are_not_used() {
    let (home, bytes) = mirrored();
    let first_row = bytes.len() - 3 * ROW_BYTES;
    let mut moved = bytes.clone();
    moved.copy_within(first_row..first_row + ROW_BYTES, first_row + ROW_BYTES);
    assert_eq!((restored_from(&home, &moved).0, restored_from(&home, &moved).1.rows), (2, 1));
    for length in 0..bytes.len() {
        let (rows, damage, _) = restored_from(&home, &bytes[..length]);
        let whole = u32::try_from(length.saturating_sub(first_row) / ROW_BYTES).unwrap();
        assert_eq!(rows, whole, "cut after {length} bytes");
        assert_eq!(damage.is_head, length < first_row, "cut after {length} bytes");
    }
    let mut old = bytes;
    old[16] ^= 1; // The boot id, and a head whose check is right.
    let other = Table::create(1).unwrap();
    other.header().boot_id[0].fetch_xor(1, std::sync::atomic::Ordering::Relaxed);
    Mirror::create(&home.path().join("table"), &other).unwrap();
    let head = std::fs::read(home.path().join("table")).unwrap();
    old[..first_row].copy_from_slice(&head[..first_row]);
    let (rows, damage, _) = restored_from(&home, &old);
    assert_eq!((rows, damage), (0, Damage::default()), "another boot is no damage");
}

#[tokio::test]
async fn a_daemon_hears_of_exits_of_refusals_and_of_the_end() {
    let (ours, theirs) = os::packet_pair().unwrap();
    let link = AnchorLink::over(ours).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    link.hold(5, HELD_OUTPUT, writer.as_fd()).unwrap();
    drop(writer);
    let Some(Arrived::Message(Message::Hold { key: 5, kind: HELD_OUTPUT }, [Some(fd), None])) =
        receive(theirs.as_fd()).unwrap()
    else {
        panic!("the descriptor did not arrive")
    };
    File::from(fd).write_all(b"kept").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    Message::Exited.send(theirs.as_fd(), &[]).unwrap();
    assert_eq!(link.next().await.unwrap(), AnchorWord::Exited);
    let refusal = HoldRefusal::Full;
    Message::Refused { key: 5, kind: 1, refusal }.send(theirs.as_fd(), &[]).unwrap();
    assert_eq!(link.next().await.unwrap(), AnchorWord::Refused { key: 5, kind: 1, refusal });
    drop(theirs);
    assert_eq!(link.next().await.unwrap(), AnchorWord::Gone);
}
