//! What Node says, recorded of each major version, and what a primary of Node would answer; and faults that no recording has.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{Millis, Moment, Scheduling};

const TRACES: [(&str, &str); 5] = [
    ("18", include_str!("traces/node-18.txt")),
    ("20", include_str!("traces/node-20.txt")),
    ("22", include_str!("traces/node-22.txt")),
    ("24", include_str!("traces/node-24.txt")),
    ("26", include_str!("traces/node-26.txt")),
];
const NOW: Moment = Moment(1000);
/// `EADDRNOTAVAIL`.
const NOT_AVAILABLE: i32 = 99;

/// A primary with the world around it: sockets open at once, and what was sent waits to be looked at.
struct World {
    primary: Primary,
    sent: Vec<(WorkerId, Value, Option<Handle>)>,
    told: Vec<(WorkerId, Said)>,
    opened: Vec<(SocketId, WantedSocket)>,
    closed: Vec<String>,
    released: Vec<ConnectionId>,
}

impl World {
    fn new() -> Self {
        Self {
            primary: Primary::new(0),
            sent: Vec::new(),
            told: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            released: Vec::new(),
        }
    }

    fn with(workers: &[WorkerId], scheduling: Scheduling) -> Self {
        let mut world = Self::new();
        for id in workers {
            world.primary.join(*id, WorkerState::new(scheduling));
        }
        world
    }

    fn perform(&mut self, actions: Vec<PrimaryAction>) {
        for action in actions {
            match action {
                PrimaryAction::Send { to, line, handle } => {
                    assert!(line.ends_with('\n') && !line.trim_end().contains('\n'), "one line: {line:?}");
                    self.sent.push((to, serde_json::from_str(&line).unwrap(), handle));
                }
                PrimaryAction::Open { socket, wanted, .. } => {
                    let answer = match &wanted {
                        WantedSocket::Tcp { address: Some(ip), .. } if ip.to_string() == "203.0.113.7" => {
                            Err(NOT_AVAILABLE)
                        }
                        WantedSocket::Tcp { .. } => {
                            Ok(Some(SocketName { address: "127.0.0.1".into(), family: "IPv4".into(), port: 42 }))
                        }
                        _ => Ok(None),
                    };
                    self.opened.push((socket, wanted));
                    let more = self.primary.opened(socket, answer, NOW);
                    self.perform(more);
                }
                PrimaryAction::Close { state, .. } => self.closed.push(state.key),
                PrimaryAction::Accept(_) => {}
                PrimaryAction::Release(connection) => self.released.push(connection),
                PrimaryAction::KeepSocket(socket) => assert!(self.primary.socket_state(socket).is_some()),
                PrimaryAction::KeepWorker(worker) => assert!(self.primary.worker_state(worker).is_some()),
                PrimaryAction::Report(worker, said) => self.told.push((worker, said)),
            }
        }
    }

    fn says(&mut self, worker: WorkerId, message: &Value) {
        let actions = self.primary.line(worker, message.to_string().as_bytes(), NOW);
        self.perform(actions);
    }

    fn listens(&mut self, worker: WorkerId, port: u16) {
        self.says(worker, &query(0, port));
        self.says(worker, &json!({"cmd": "NODE_CLUSTER", "act": "listening", "port": port, "seq": 1}));
    }

    /// A connection comes in at the first socket; to whom it goes, and the number of the message.
    fn connects(&mut self) -> (ConnectionId, Option<(WorkerId, u64)>) {
        let socket = self.opened[0].0;
        self.sent.clear();
        let (connection, actions) = self.primary.connected(socket, NOW);
        self.perform(actions);
        (connection, self.offered())
    }

    /// Who was offered a connection last.
    fn offered(&self) -> Option<(WorkerId, u64)> {
        let (to, line, handle) = self.sent.iter().rfind(|(_, line, _)| line["msg"]["act"] == "newconn")?;
        assert!(matches!(handle, Some(Handle::Connection(_))));
        Some((*to, line["msg"]["seq"].as_u64().unwrap()))
    }

    fn answers(&mut self, worker: WorkerId, ack: u64, is_accepted: bool) {
        self.says(worker, &json!({"cmd": "NODE_HANDLE_ACK"}));
        self.says(worker, &json!({"cmd": "NODE_CLUSTER", "ack": ack, "accepted": is_accepted, "seq": 9}));
    }
}

fn query(seq: u64, port: u16) -> Value {
    json!({"cmd": "NODE_CLUSTER", "act": "queryServer", "index": 0, "data": null, "address": null, "port": port,
           "addressType": 4, "backlog": 0, "seq": seq})
}

/// Without what means nothing: null, and an `errno` of 0.
fn plain(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, value| !(value.is_null() || name == "errno" && *value == 0));
        fields.values_mut().for_each(|value| *value = plain(value.take()));
        if let Some(name) = fields.get_mut("sockname").and_then(Value::as_object_mut) {
            name.remove("port");
        }
    }
    value
}

#[test]
fn every_major_of_node_is_answered_as_its_own_primary_would() {
    for (major, trace) in TRACES {
        for (mode, scheduling) in [("# rr", Scheduling::RoundRobin), ("# shared", Scheduling::Shared)] {
            let mut world = World::with(&[1], scheduling);
            let lines =
                trace.lines().skip_while(|line| *line != mode).skip(1).take_while(|line| !line.starts_with('#'));
            let mut looked = 0;
            for line in lines {
                let (mark, text) = line.split_at(line.find('{').or(line.find('"')).unwrap());
                let message: Value = serde_json::from_str(text).unwrap();
                if mark.starts_with('<') {
                    world.says(1, &message);
                    continue;
                }
                if message["act"] == "disconnect" {
                    let actions = world.primary.disconnect(1);
                    world.perform(actions);
                } else if message["msg"]["act"] == "newconn" {
                    let (_, actions) = world.primary.connected(world.opened[0].0, NOW);
                    world.perform(actions);
                }
                let (_, sent, handle) = world.sent[looked].clone();
                looked += 1;
                assert_eq!(plain(sent), plain(message), "Node {major}, {mode}");
                assert_eq!(handle.is_some(), mark.contains("+fd"), "Node {major}, {mode}: {text}");
            }
            assert_eq!(looked, world.sent.len(), "Node {major}, {mode}: {:?}", world.sent);
            let said: Vec<&Said> = world.told.iter().map(|(_, said)| said).collect();
            let message = |text: &str| Said::Message(text.to_owned());
            assert!(said.contains(&&Said::Listening) && said.contains(&&message("\"ready\"")), "{said:?}");
            assert!(said.iter().any(|said| matches!(said, Said::Refused { errno: NOT_AVAILABLE, .. })));
            let connections = u64::from(scheduling == Scheduling::RoundRobin);
            assert_eq!(world.released.len() as u64, connections, "confirmed, so ours is closed");
        }
    }
}

#[test]
fn connections_go_to_the_workers_in_turn_and_not_to_one_that_does_not_answer() {
    let mut world = World::with(&[1, 2, 3], Scheduling::RoundRobin);
    for worker in [1, 2, 3] {
        world.listens(worker, 80);
    }
    assert_eq!(world.opened.len(), 1, "one socket for all");
    let mut order = Vec::new();
    for _ in 0..6 {
        let (_, offered) = world.connects();
        let (worker, seq) = offered.unwrap();
        order.push(worker);
        world.answers(worker, seq, true);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    // One that did not come in after all takes nobody's turn.
    for _ in 0..3 {
        let (connection, _) = world.connects();
        world.primary.not_connected(world.opened[0].0, connection);
    }
    let (_, offered) = world.connects();
    let (worker, seq) = offered.unwrap();
    assert_eq!(worker, 1);
    world.answers(worker, seq, true);
    assert_eq!(world.released, [0, 1, 2, 3, 4, 5, 9]);
    // The second one hangs.
    let mut counts = [0; 4];
    for _ in 0..30 {
        let (_, offered) = world.connects();
        let (worker, seq) = offered.unwrap();
        counts[worker as usize] += 1;
        if worker != 2 {
            world.answers(worker, seq, true);
        }
    }
    assert_eq!(counts[2], 2, "no third one while the others have answered: {counts:?}");
    // All of them hang: a few each, the rest waits in the kernel.
    let socket = world.opened[0].0;
    let more = std::iter::from_fn(|| world.primary.wants_connection(socket, NOW).then(|| world.connects())).count();
    assert_eq!(more, 4 + 4 + 2);
}

#[test]
fn what_a_worker_had_not_answered_goes_to_another_when_it_dies() {
    let mut world = World::with(&[1, 2], Scheduling::RoundRobin);
    world.listens(1, 80);
    let offered: Vec<_> = (0..3).map(|_| world.connects()).collect();
    assert!(offered.iter().all(|(_, to)| matches!(to, Some((1, _)))));
    world.listens(2, 80);
    world.sent.clear();
    let actions = world.primary.leave(1, NOW);
    world.perform(actions);
    let passed: Vec<_> = world.sent.iter().map(|(to, _, handle)| (*to, *handle)).collect();
    let all = offered.iter().map(|(connection, _)| (2, Some(Handle::Connection(*connection))));
    assert_eq!(passed, all.collect::<Vec<_>>(), "the oldest first");
    assert!(world.released.is_empty() && world.closed.is_empty());
}

#[test]
fn a_refused_connection_is_kept_for_another_and_its_worker_gets_a_pause() {
    for is_lost_on_the_way in [false, true] {
        let mut world = World::with(&[1, 2], Scheduling::RoundRobin);
        world.listens(1, 80);
        let (connection, offered) = world.connects();
        let (worker, seq) = offered.unwrap();
        let nobody = world.sent.len();
        if is_lost_on_the_way {
            world.says(worker, &json!({"cmd": "NODE_HANDLE_NACK"}));
        } else {
            world.answers(worker, seq, false);
        }
        assert_eq!(world.sent.len(), nobody, "not at once to the same one");
        let until = world.primary.next_wake().unwrap();
        world.sent.clear();
        world.listens(2, 80);
        let to = world.sent.iter().filter(|(_, _, handle)| handle.is_some()).map(|(to, _, handle)| (*to, *handle));
        assert_eq!(to.collect::<Vec<_>>(), [(2, Some(Handle::Connection(connection)))]);
        let actions = world.primary.woken(until);
        world.perform(actions);
        assert_eq!(world.primary.next_wake(), None);
        assert!(world.released.is_empty(), "it is still ours");
    }
}

#[test]
fn a_worker_that_retires_gets_nothing_more_and_its_socket_stays_for_the_others() {
    let mut world = World::with(&[1, 2], Scheduling::RoundRobin);
    world.listens(1, 80);
    world.listens(2, 80);
    let actions = world.primary.retire(1);
    world.perform(actions);
    for _ in 0..3 {
        assert!(matches!(world.connects().1, Some((2, _))));
    }
    world.sent.clear();
    world.says(1, &query(7, 81));
    assert!(world.sent.is_empty(), "as Node does: no server for one that leaves");
    let actions = world.primary.disconnect(1);
    world.perform(actions);
    assert_eq!(world.sent[0].1["act"], "disconnect");
    let key = world.primary.worker_state(1).unwrap().keys.first().unwrap().clone();
    world.says(1, &json!({"cmd": "NODE_CLUSTER", "act": "close", "key": key, "seq": 8}));
    assert!(world.closed.is_empty());
    // The last one is not a reason to close either: it may be started again.
    let actions = [world.primary.leave(1, NOW), world.primary.leave(2, NOW)].concat();
    world.perform(actions);
    assert!(world.closed.is_empty());
}

#[test]
fn a_socket_that_no_worker_of_the_new_revision_asks_for_is_closed() {
    let mut world = World::with(&[1], Scheduling::RoundRobin);
    world.listens(1, 80);
    world.primary.join(2, WorkerState::new(Scheduling::RoundRobin));
    world.says(2, &query(0, 81));
    let actions = world.primary.leave(1, NOW);
    world.perform(actions);
    assert!(world.closed.is_empty(), "the new one is not done yet");
    world.says(2, &json!({"cmd": "NODE_CLUSTER", "act": "listening", "seq": 1}));
    assert!(world.closed.is_empty(), "it may open its ports one after the other");
    let at = world.primary.next_wake().unwrap();
    let actions = world.primary.woken(at);
    world.perform(actions);
    assert_eq!(world.closed, [":80:4:"]);
    assert_eq!(world.primary.next_wake(), None);
    // While all that there are leave, nothing is closed, and nobody is woken for it.
    world.says(2, &json!({"cmd": "NODE_CLUSTER", "act": "close", "key": ":81:4:", "seq": 2}));
    let actions = world.primary.retire(2);
    world.perform(actions);
    assert_eq!(world.primary.next_wake(), None);
}

#[test]
fn one_worker_that_listens_twice_at_one_address_gets_what_it_would_get_alone() {
    let mut world = World::with(&[1, 2], Scheduling::RoundRobin);
    for (seq, worker) in [(0, 1), (1, 1), (0, 2)] {
        world.says(worker, &query(seq, 80));
    }
    let keys: Vec<&str> = world.sent.iter().map(|(_, line, _)| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [":80:4:", ":80:4:#2", ":80:4:"]);
    assert_eq!(world.opened.len(), 2, "the second one is opened anew: the kernel says whether it may be");
    world.says(1, &json!({"cmd": "NODE_CLUSTER", "act": "close", "key": ":80:4:", "seq": 3}));
    world.says(1, &query(4, 80));
    assert_eq!(world.sent.last().unwrap().1["key"], ":80:4:", "closed and opened again");
}

#[test]
fn every_kind_of_request_is_understood_and_nonsense_is_answered() {
    let ask = |fields: Value| {
        let mut world = World::with(&[1], Scheduling::RoundRobin);
        let mut message = json!({"cmd": "NODE_CLUSTER", "act": "queryServer", "seq": 3});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        world.says(1, &message);
        let answer = world.sent.first().map(|(_, line, _)| line.clone()).unwrap_or_default();
        let ack = answer["ack"].as_u64().or(answer["msg"]["ack"].as_u64());
        assert_eq!(ack, Some(3), "a question without an answer hangs for ever: {fields}");
        (world.opened.first().map(|(_, wanted)| wanted.clone()), answer["errno"].as_i64())
    };
    let tcp = |address: Option<&str>, port, is_v6_only, backlog| {
        Some(WantedSocket::Tcp { address: address.map(|ip| ip.parse().unwrap()), port, is_v6_only, backlog })
    };
    let unix = |path: &str, mode| Some(WantedSocket::Unix { path: path.into(), mode, backlog: 511 });
    let udp =
        |is_v6, is_reused| Some(WantedSocket::Udp { address: None, port: 53, is_v6, is_v6_only: false, is_reused });
    let cases = [
        (json!({"address": null, "port": 80, "addressType": 4, "backlog": 0}), tcp(None, 80, false, 511)),
        (
            json!({"address": "::1", "port": 80, "addressType": 6, "backlog": 16, "flags": 1}),
            tcp(Some("::1"), 80, true, 16),
        ),
        (
            json!({"address": "127.0.0.1", "port": 0, "addressType": 4, "backlog": false}),
            tcp(Some("127.0.0.1"), 0, false, 511),
        ),
        (json!({"address": "/a/s", "port": -1, "addressType": -1, "readableAll": true}), unix("/a/s", 0o444)),
        (json!({"address": "\0name", "port": -1, "addressType": -1}), unix("\0name", 0)),
        (json!({"address": null, "port": 53, "addressType": "udp4", "fd": -1, "flags": 4}), udp(false, true)),
        (json!({"address": null, "port": 53, "addressType": "udp6", "fd": -1}), udp(true, false)),
        (json!({"address": null, "port": "53", "addressType": "udp4", "fd": -1}), udp(false, false)),
        (
            json!({"address": "/a/s", "port": -1, "addressType": -1, "writableAll": 1, "readableAll": 0}),
            unix("/a/s", 0o222),
        ),
        (json!({"address": null, "port": null, "addressType": null, "fd": 3}), Some(WantedSocket::Inherited { fd: 3 })),
    ];
    for (fields, wanted) in cases {
        assert_eq!(ask(fields.clone()).0, wanted, "{fields}");
    }
    for nonsense in [
        json!({}),
        json!({"address": "no ip", "port": 1, "addressType": 4}),
        json!({"address": null, "port": 70_000, "addressType": 4}),
        json!({"address": "", "port": -1, "addressType": -1}),
        json!({"address": 5, "port": "x", "addressType": "tcp9"}),
        json!({"fd": 1_u64 << 40}),
    ] {
        assert_eq!(ask(nonsense.clone()), (None, Some(-22)), "{nonsense}");
    }
}

#[test]
fn what_the_first_worker_says_of_a_socket_all_are_told() {
    let mut world = World::with(&[1, 2, 3], Scheduling::RoundRobin);
    let mut with_data = query(0, 443);
    with_data["data"] = json!({"ticketKeys": "00ff"});
    world.says(1, &query(0, 443));
    world.says(2, &with_data);
    with_data["data"] = json!({"ticketKeys": "other"});
    world.says(3, &with_data);
    let data: Vec<Value> = world.sent.iter().map(|(_, line, _)| line["data"].clone()).collect();
    assert_eq!(data, [Value::Null, json!({"ticketKeys": "00ff"}), json!({"ticketKeys": "00ff"})]);
}

#[test]
fn a_message_with_a_handle_is_answered_and_read() {
    let mut world = World::with(&[1], Scheduling::RoundRobin);
    world.says(1, &json!({"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": {"take": "this"}}));
    assert_eq!(world.sent[0].1, json!({"cmd": "NODE_HANDLE_ACK"}));
    assert_eq!(world.told, [(1, Said::Message("{\"take\":\"this\"}".into()))]);
    world.says(1, &json!({"cmd": "NODE_CLUSTER", "act": "exitedAfterDisconnect", "seq": 5}));
    assert_eq!(world.sent[1].1["ack"], 5);
}

#[test]
fn messages_of_the_app_are_passed_on_as_they_are_and_the_rest_means_nothing() {
    let said = |line: &[u8]| {
        let mut world = World::with(&[1], Scheduling::RoundRobin);
        let actions = world.primary.line(1, line, NOW);
        world.perform(actions);
        assert!(world.sent.is_empty());
        world.told.into_iter().map(|(_, said)| said).collect::<Vec<_>>()
    };
    let deep = [&b"["[..]; 200].concat().into_iter().chain([b']'; 200]).collect::<Vec<u8>>();
    let messages: [&[u8]; 6] = [b"5", b"\"ready\"", b"{\"cmd\":7}", b"{\"a\":1,\"a\":2}", b"\"\\ud800\"", &deep];
    for message in messages {
        let text = std::str::from_utf8(message).unwrap();
        assert_eq!(said(message), [Said::Message(text.into())], "{text}");
    }
    let nothing: [&[u8]; 5] =
        [b"", b"{", b"\xff", b"{\"cmd\":\"NODE_X\"}", b"\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}"];
    for line in nothing {
        assert_eq!(said(line), [], "{}", line.escape_ascii());
    }
    let bun = b"\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"seq\":1}";
    assert_eq!(said(bun), [Said::Listening]);
}

/// The next daemon knows sockets and workers, and nothing of what was under way.
#[test]
fn the_next_primary_goes_on_where_the_last_one_died() {
    let mut last = World::with(&[1, 2], Scheduling::RoundRobin);
    last.listens(1, 80);
    last.listens(2, 80);
    let (_, under_way) = last.connects();
    let mut next = World::new();
    next.primary = Primary::new(1000);
    let socket = next.primary.take_over_socket(last.primary.socket_state(last.opened[0].0).unwrap().clone());
    next.opened.push((socket, last.opened[0].1.clone()));
    for worker in [1, 2] {
        let mut actions = Vec::new();
        next.primary.take_over_worker(worker, last.primary.worker_state(worker).unwrap().clone(), &mut actions);
        next.perform(actions);
    }
    let barriers: Vec<u64> = next.sent.iter().map(|(_, line, _)| line["msg"]["seq"].as_u64().unwrap()).collect();
    assert!(next.sent.iter().all(|(_, _, handle)| *handle == Some(Handle::Any)));
    assert!(!next.primary.wants_connection(socket, NOW), "nobody has answered yet");
    // What was under way is answered late, and means nothing any more.
    let (worker, seq) = under_way.unwrap();
    next.says(worker, &json!({"cmd": "NODE_HANDLE_NACK"}));
    next.answers(worker, seq, true);
    let actions = next.primary.woken(NOW.after(Millis(100)));
    next.perform(actions);
    let again = next.sent.last().unwrap().1["msg"]["seq"].as_u64().unwrap();
    assert_ne!(again, barriers[worker as usize - 1], "it may have been the question that got lost");
    next.answers(worker, again, false);
    assert!(matches!(next.connects().1, Some((to, _)) if to == worker));
    next.answers(3 - worker, barriers[2 - worker as usize], false);
    assert!(matches!(next.connects().1, Some((to, _)) if to != worker));
    // The same socket for one that comes later.
    next.primary.join(5, WorkerState::new(Scheduling::RoundRobin));
    next.listens(5, 80);
    assert_eq!(next.opened.len(), 1);
}

#[test]
fn a_connection_that_waits_is_given_to_the_worker_that_comes() {
    let mut world = World::with(&[1], Scheduling::RoundRobin);
    world.listens(1, 80);
    let (connection, _) = world.connects();
    let actions = world.primary.leave(1, NOW);
    world.perform(actions);
    world.primary.join(1, WorkerState::new(Scheduling::RoundRobin));
    world.sent.clear();
    world.listens(1, 80);
    assert!(world.sent.iter().any(|(_, _, handle)| *handle == Some(Handle::Connection(connection))));
}

#[test]
fn the_sockets_that_an_app_is_started_with_and_the_scheduling_may_change_with_a_reload() {
    let state = |listen: &str, scheduling| WorkerState { listen: listen.to_owned(), ..WorkerState::new(scheduling) };
    let mut world = World::new();
    let inherited = json!({"cmd": "NODE_CLUSTER", "act": "queryServer", "fd": 3, "seq": 0});
    for (worker, listen) in [(1, "8080"), (2, "8080"), (3, "8081")] {
        world.primary.join(worker, state(listen, Scheduling::RoundRobin));
        world.says(worker, &inherited);
    }
    assert_eq!(world.opened.len(), 2, "another declaration is another socket");
    let mut world = World::with(&[1], Scheduling::RoundRobin);
    world.listens(1, 80);
    world.primary.join(2, state("", Scheduling::Shared));
    world.listens(2, 80);
    assert_eq!(world.opened.len(), 1);
    let (socket, _) = world.opened[0];
    assert!(world.sent.iter().any(|(to, _, handle)| (*to, *handle) == (2, Some(Handle::Socket(socket)))));
    for _ in 0..3 {
        assert!(matches!(world.connects().1, Some((1, _))), "the other one takes its own");
    }
    let actions = world.primary.retire(1);
    world.perform(actions);
    assert!(!world.primary.wants_connection(socket, NOW));
}

#[test]
fn a_question_that_is_heard_again_is_answered_as_before() {
    let mut world = World::with(&[1], Scheduling::RoundRobin);
    world.says(1, &query(4, 80));
    world.says(1, &query(4, 80));
    world.says(1, &query(5, 80));
    let keys: Vec<&str> = world.sent.iter().map(|(_, line, _)| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [":80:4:", ":80:4:", ":80:4:#2"]);
}

/// A step of a history that nobody has thought of.
fn steps() -> impl Strategy<Value = Vec<(u8, u32, u64)>> {
    proptest::collection::vec((0_u8..12, 1_u32..5, 0_u64..40), 1..120)
}

proptest! {
    /// Whatever workers say and in whatever order they die: each connection is held, and in the end given to exactly one
    /// worker that said yes; and a worker that has gone is sent nothing.
    #[test]
    fn no_connection_is_lost_or_given_twice(history in steps()) {
        let mut world = World::new();
        let mut connections = std::collections::BTreeMap::new();
        for (kind, worker, number) in history {
            let is_there = world.primary.worker_ids().contains(&worker);
            let before = world.sent.len();
            match kind {
                0 | 1 if !is_there => world.primary.join(worker, WorkerState::new(Scheduling::RoundRobin)),
                0..=2 => world.listens(worker, 80),
                3 => {
                    let actions = world.primary.leave(worker, NOW);
                    world.perform(actions);
                }
                4 => {
                    let actions = world.primary.retire(worker);
                    world.perform(actions);
                }
                5 => world.says(worker, &json!({"cmd": "NODE_HANDLE_NACK"})),
                6 => {
                    let actions = world.primary.woken(NOW.after(Millis(number)));
                    world.perform(actions);
                }
                7 => {
                    let actions = world.primary.set_blocked(worker, number % 2 == 0, NOW);
                    world.perform(actions);
                }
                8 => {
                    let close = json!({"cmd": "NODE_CLUSTER", "act": "close", "key": ":80:4:", "seq": 1});
                    world.says(worker, &close);
                }
                _ => {
                    // A connection comes in, or the oldest unanswered one of this worker is answered.
                    let socket = world.opened.last().map(|(socket, _)| *socket);
                    if let Some(socket) = socket.filter(|socket| world.primary.wants_connection(*socket, NOW)) {
                        let (connection, actions) = world.primary.connected(socket, NOW);
                        connections.insert(connection, None);
                        world.perform(actions);
                    }
                }
            }
            for (to, line, handle) in world.sent.split_off(before) {
                prop_assert!(world.primary.worker_ids().contains(&to));
                if let (Some(Handle::Connection(connection)), Some(seq)) = (handle, line["msg"]["seq"].as_u64()) {
                    connections.insert(connection, Some((to, seq)));
                    if number % 3 == 0 {
                        world.answers(to, seq, number % 2 == 0);
                    }
                }
            }
        }
        for socket in world.primary.sockets.values().filter(|socket| !socket.waiting.is_empty()) {
            let is_free = |id: &WorkerId| world.primary.workers[id].takes_connections(NOW);
            prop_assert!(!socket.users.iter().any(is_free), "a connection waits beside a free worker");
        }
        let waiting = world.primary.sockets.values().flat_map(|socket| socket.waiting.iter().copied());
        let offered = world.primary.workers.values().flat_map(|worker| worker.offered.values().map(|(_, it)| *it));
        let mut held: Vec<_> = waiting.chain(offered).chain(world.released.iter().copied()).collect();
        held.sort_unstable();
        prop_assert_eq!(held, connections.keys().copied().collect::<Vec<_>>(), "lost, or held twice");
        let mut released = world.released.clone();
        released.sort_unstable();
        released.dedup();
        prop_assert_eq!(released.len(), world.released.len(), "given twice");
        prop_assert!(released.iter().all(|connection| connections.contains_key(connection)));
    }

    #[test]
    fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200), fields in "[\\PC\"{}:,\\[\\]]{0,60}") {
        let mut world = World::with(&[1], Scheduling::RoundRobin);
        let lines = [line, format!("{{\"cmd\":\"NODE_CLUSTER\",{fields}}}").into_bytes()];
        for line in lines {
            let _ = world.primary.line(1, &line, NOW);
        }
    }
}
