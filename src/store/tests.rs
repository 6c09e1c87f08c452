//! Power cuts, bit rot and full disks: the state is the last acknowledged one or newer, or the loss is reported.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::model::{
    AppEntry, AppName, AppOutcome, Declared, DesiredState, EntryOrigin, EntryResult, GitSource, HealPolicy,
    HistoryEntry, Millis, Origin, ProjectName, Provenance, Rollout, Run, SelfHeal, SourceRecord, SourceSpec, WallTime,
};

fn shop() -> ProjectName {
    "shop".parse().unwrap()
}

fn declared(name: &str, port: u16) -> Declared {
    let app = App {
        project: shop(),
        name: name.parse().unwrap(),
        moved_from: Vec::new(),
        namespace: "default".into(),
        instances: Some(2),
        autostart: true,
        protect: false,
        depends_on: [].into(),
        run: Run { script: Some("/srv/api.js".into()), cwd: "/srv".into(), port: Some(port), ..Run::default() },
        ..crate::lifecycle::samples::app()
    };
    let base = Environment::from([("PATH".to_owned(), "/usr/bin".to_owned())]);
    Declared::new(Arc::new(app), Arc::new(base), DesiredState::Up)
}

fn app(name: &str, port: u16) -> Change {
    Change::App { project: shop(), name: name.parse().unwrap(), declared: Box::new(declared(name, port)) }
}

fn rollout(rollout: Option<Rollout>) -> Change {
    Change::Rollout { project: shop(), name: "api".parse().unwrap(), rollout: rollout.map(Box::new) }
}

fn project(generation: u64) -> Change {
    let origin = Origin {
        folder: "/srv".into(),
        is_named: true,
        files: vec!["/srv/e.toml".into()],
        profile: None,
        start_concurrency: None,
        heal: HealPolicy { mode: SelfHeal::Full, override_grace: Millis(90_000) },
    };
    Change::Project { name: shop(), origin, generation }
}

/// An entry that says `api` is declared with this port.
fn entry(generation: u64, port: u16) -> Change {
    let revision = Some(declared("api", port).revision_name());
    let entry = HistoryEntry {
        generation,
        at: WallTime(1),
        by: None,
        origin: EntryOrigin::Rollback { to: 1 },
        provenance: Provenance::default(),
        apps: [("api".parse().unwrap(), AppEntry { revision, outcome: AppOutcome::Healthy })].into(),
        result: EntryResult::Applied,
        tag: Some("v1".into()),
    };
    Change::History { project: shop(), generation, entry: Some(Box::new(entry)) }
}

fn source(commit: Option<&str>) -> Change {
    let source = commit.map(|commit| {
        let spec = SourceSpec {
            url: "/srv/shop.git".into(),
            branch: "main".into(),
            path: None,
            profile: None,
            allowed_signers: None,
            interval: SourceSpec::INTERVAL,
            dwell: SourceSpec::DWELL,
            policy: crate::model::SyncPolicy::default(),
        };
        let record = SourceRecord { attempted: Some(commit.to_owned()), ..SourceRecord::default() };
        Box::new(GitSource { spec, is_suspended: false, webhook: None, record })
    });
    Change::Source { name: "shop".parse().unwrap(), source }
}

fn forgotten(generation: u64) -> Change {
    Change::History { project: shop(), generation, entry: None }
}

/// Batches that use every kind of change.
fn history() -> Vec<Vec<Change>> {
    let name: AppName = "api".parse().unwrap();
    vec![
        vec![project(1), app("api", 80), app("db", 1), entry(1, 80)],
        vec![project(2), app("api", 81), entry(2, 81)],
        vec![entry(3, 81), forgotten(1)],
        vec![source(Some("aa")), source(Some("bb"))],
        vec![source(None)],
        vec![source(Some("cc"))],
        vec![Change::ShutDown { is_shut_down: true }],
        vec![rollout(Some(Rollout {
            from: Some(declared("api", 80).revision()),
            is_paused: false,
            is_aborted: true,
            rejected: None,
            building: None,
        }))],
        vec![rollout(Some(Rollout {
            from: None,
            is_paused: true,
            is_aborted: false,
            rejected: None,
            building: Some(declared("api", 81).digest),
        }))],
        vec![rollout(Some(Rollout {
            from: Some(declared("api", 82).revision()),
            is_paused: true,
            is_aborted: false,
            rejected: None,
            building: None,
        }))],
        vec![project(3), Change::AppRemoved { project: shop(), name }],
        vec![Change::ProjectRemoved { name: shop() }, Change::ShutDown { is_shut_down: false }],
        vec![
            project(1),
            app("api", 80),
            rollout(Some(Rollout {
                from: Some(declared("api", 79).revision()),
                is_paused: true,
                is_aborted: false,
                rejected: None,
                building: None,
            })),
        ],
        vec![rollout(None)],
        vec![rollout(Some(Rollout {
            from: Some(declared("api", 78).revision()),
            is_paused: false,
            is_aborted: true,
            rejected: None,
            building: None,
        }))],
    ]
}

fn open(folder: &TempDir) -> (Store, Desired, Vec<String>) {
    Store::open(folder.path()).unwrap()
}

/// A journal with the whole history, every state that it went through, and the lengths at which they were reached.
fn written() -> (TempDir, Vec<Desired>, Vec<usize>) {
    let folder = TempDir::new().unwrap();
    let (mut store, desired, _) = open(&folder);
    let (mut states, mut lengths) = (vec![desired], vec![length(&folder)]);
    for batch in history() {
        store.commit(&batch).unwrap();
        states.push(store.desired.clone());
        lengths.push(length(&folder));
    }
    (folder, states, lengths)
}

fn length(folder: &TempDir) -> usize {
    usize::try_from(fs::metadata(folder.path().join(JOURNAL)).unwrap().len()).unwrap()
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    fs::write(folder.path().join(name), bytes).unwrap();
}

fn journal(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join(JOURNAL)).unwrap()
}

#[test]
fn what_was_committed_is_there_after_a_start() {
    let (folder, states, _) = written();
    let (store, desired, troubles) = open(&folder);
    assert_eq!((Some(&desired), &store.desired), (states.last(), &desired));
    assert_eq!(troubles, [""; 0]);
    let api = &desired.projects[&shop()].apps[&"api".parse().unwrap()];
    assert_eq!((api.spec.run.port, api.base["PATH"].as_str()), (Some(80), "/usr/bin"));
    // An old process may still run the spec of a removed declaration.
    assert_eq!(store.spec(&declared("api", 81).digest).unwrap().run.port, Some(81));
    assert!(store.base(&api.base_digest).is_some());
}

#[test]
fn only_the_owner_can_read_the_state() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().join("new/state");
    let (mut store, ..) = Store::open(&home).unwrap();
    store.commit(&history()[0]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(&home.join(JOURNAL))), (0o700, 0o600));
    store.compact(&BTreeSet::new()).unwrap();
    assert_eq!((mode(&home.join(JOURNAL)), mode(&home.join(PREVIOUS))), (0o600, 0o600));
}

/// The state that counts when everything from `at` on is lost.
fn state_at<'a>(at: usize, lengths: &[usize], states: &'a [Desired]) -> &'a Desired {
    &states[lengths.iter().rposition(|length| *length <= at).unwrap()]
}

#[test]
fn a_power_cut_at_any_byte_leaves_the_last_whole_change() {
    let (folder, states, lengths) = written();
    let whole = journal(&folder);
    for cut in lengths[0]..=whole.len() {
        let expected = state_at(cut, &lengths, &states);
        let replay = journal::replay(&whole[..cut]).unwrap();
        assert_eq!(&replay.desired, expected, "cut at {cut}");
        assert_eq!(replay.rest == journal::Rest::Nothing, lengths.contains(&cut), "cut at {cut}");
    }
    for cut in (lengths[0]..=whole.len()).step_by(97).chain(lengths.iter().copied()) {
        let folder = TempDir::new().unwrap();
        write(&folder, JOURNAL, &whole[..cut]);
        let (mut store, desired, troubles) = open(&folder);
        assert_eq!(&desired, state_at(cut, &lengths, &states), "cut at {cut}");
        assert_eq!(troubles.is_empty(), lengths.contains(&cut), "cut at {cut}: {troubles:?}");
        store.commit(&[app("new", 9)]).unwrap();
        let expected = store.desired.clone();
        let (_, desired, troubles) = open(&folder);
        assert_eq!((desired, troubles), (expected, Vec::new()), "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_and_the_damaged_file_is_kept() {
    let (original, states, lengths) = written();
    let whole = journal(&original);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for at in 0..lengths[0] {
        assert!(journal::replay(&flipped(at)).is_err(), "bit at {at}");
    }
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    for at in lengths[0]..whole.len() {
        let replay = journal::replay(&flipped(at)).unwrap();
        assert_eq!(&replay.desired, state_at(at, &lengths, &states), "bit at {at}");
        // Without its last line, a file looks as if that change had never been completed.
        assert_eq!(replay.rest == journal::Rest::Damaged, at < last_line, "bit at {at}");
        assert_ne!(replay.rest, journal::Rest::Nothing, "bit at {at}");
    }
    for at in (lengths[0]..last_line).step_by(97) {
        let folder = TempDir::new().unwrap();
        write(&folder, JOURNAL, &flipped(at));
        let (_, desired, troubles) = open(&folder);
        assert_eq!(&desired, state_at(at, &lengths, &states), "bit at {at}");
        assert_eq!(troubles.len(), 1, "bit at {at}");
        assert_eq!(fs::read(folder.path().join("desired.journal.broken-1")).unwrap(), flipped(at));
        let (_, again, troubles) = open(&folder);
        assert_eq!((again, troubles), (desired, Vec::new()), "a second start finds a whole file");
    }
}

#[test]
fn a_file_without_a_beginning_falls_back_to_the_one_before_and_never_silently_to_nothing() {
    let (folder, states, lengths) = written();
    let (mut store, ..) = open(&folder);
    store.compact(&BTreeSet::new()).unwrap();
    let (compacted, previous) = (journal(&folder), fs::read(folder.path().join(PREVIOUS)).unwrap());
    assert_eq!(previous.len(), *lengths.last().unwrap());
    let first_line = compacted.iter().position(|byte| *byte == b'\n').unwrap();
    for broken in [&b""[..], b"garbage", &compacted[..first_line + 20], &compacted[..compacted.len() - 1]] {
        let folder = TempDir::new().unwrap();
        write(&folder, JOURNAL, broken);
        let alone = TempDir::new().unwrap();
        write(&alone, JOURNAL, broken);
        let (_, desired, troubles) = open(&alone);
        assert_eq!((desired, troubles.len()), (Desired::default(), 1), "without an older one it is said aloud");
        assert_eq!(fs::read(alone.path().join("desired.journal.broken-1")).unwrap(), broken);
        write(&folder, PREVIOUS, &previous);
        let (_, desired, troubles) = open(&folder);
        assert_eq!((Some(&desired), troubles.len()), (states.last(), 1));
        assert_eq!(fs::read(folder.path().join("desired.journal.broken-1")).unwrap(), broken);
        assert_eq!(open(&folder).2, [""; 0]);
    }
    fs::remove_file(folder.path().join(JOURNAL)).unwrap();
    let (_, desired, troubles) = open(&folder);
    assert_eq!((Some(&desired), troubles.len()), (states.last(), 1));
}

#[test]
fn a_copy_that_knows_more_than_a_damaged_file_is_used() {
    let (folder, states, lengths) = written();
    let (mut store, ..) = open(&folder);
    store.keep_copy().unwrap();
    let (whole, copied) = (journal(&folder), fs::read(folder.path().join(PREVIOUS)).unwrap());
    assert_eq!(whole, copied);
    store.commit(&[app("later", 1)]).unwrap();
    assert_eq!(fs::read(folder.path().join(PREVIOUS)).unwrap(), copied, "a file of its own");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for broken in [Vec::new(), flipped(3), flipped(lengths[1] + 9), whole[..lengths[2] + 9].to_vec()] {
        let folder = TempDir::new().unwrap();
        write(&folder, JOURNAL, &broken);
        write(&folder, PREVIOUS, &copied);
        let (_, desired, troubles) = open(&folder);
        assert_eq!((Some(&desired), troubles.len()), (states.last(), 1), "{troubles:?}");
        assert_eq!(fs::read(folder.path().join("desired.journal.broken-1")).unwrap(), broken);
    }
}

#[test]
fn a_copy_that_is_broken_too_is_kept_and_said() {
    let folder = TempDir::new().unwrap();
    write(&folder, JOURNAL, b"garbage");
    write(&folder, PREVIOUS, b"rubbish");
    let (_, desired, troubles) = open(&folder);
    assert_eq!((desired, troubles.len()), (Desired::default(), 1));
    assert_eq!(fs::read(folder.path().join("desired.journal.prev.broken-1")).unwrap(), b"rubbish");
    assert_eq!(open(&folder).2, [""; 0]);
}

#[test]
fn a_newer_format_is_refused_and_not_touched() {
    let (folder, ..) = written();
    let newer = String::from_utf8(journal(&folder)).unwrap().replacen("pm-desired 1", "pm-desired 2", 1);
    write(&folder, JOURNAL, newer.as_bytes());
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(journal(&folder), newer.as_bytes());
}

#[test]
fn a_full_disk_loses_nothing_and_the_next_change_succeeds() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    store.commit(&history()[0]).unwrap();
    let (before, bytes) = (store.desired.clone(), journal(&folder));
    for room in [0, 1, 40, 200] {
        store.file.room_bytes = Some(room);
        assert!(matches!(store.commit(&[project(2), app("api", 81)]), Err(StoreError::Write { .. })));
        assert_eq!((&store.desired, journal(&folder)), (&before, bytes.clone()));
        assert!(store.spec(&declared("api", 81).digest).is_none());
    }
    store.file.room_bytes = None;
    store.commit(&[project(2), app("api", 81)]).unwrap();
    let (_, desired, troubles) = open(&folder);
    assert_eq!((desired, troubles), (store.desired.clone(), Vec::new()));
}

#[test]
fn compaction_keeps_what_is_declared_and_what_still_runs() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    for port in 1..=400 {
        store.commit(&[project(u64::from(port)), app("api", port)]).unwrap();
    }
    assert!(store.should_compact());
    let bytes = length(&folder);
    store.compact(&BTreeSet::from([declared("api", 7).digest])).unwrap();
    assert!(!store.should_compact() && length(&folder) < bytes / 100);
    store.commit(&[app("db", 1)]).unwrap();

    let (reopened, desired, troubles) = open(&folder);
    assert_eq!((&desired, troubles), (&store.desired, Vec::new()));
    let known = |port| reopened.spec(&declared("api", port).digest).is_some();
    assert_eq!((known(7), known(400), known(399)), (true, true, false));
}

#[test]
fn contents_are_written_once_and_small_edits_are_small() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    let apps: Vec<_> = (0..1000).map(|number| app(&format!("app{number}"), 80)).collect();
    store.commit(&apps).unwrap();
    let text = String::from_utf8(journal(&folder)).unwrap();
    assert_eq!(text.matches("\"record\":\"base\"").count(), 1);
    assert_eq!(text.matches("\"record\":\"commit\"").count(), 2);

    let before = length(&folder);
    let mut restarted = declared("app7", 80);
    restarted.restart_requests += 1;
    let change = Change::App { project: shop(), name: "app7".parse().unwrap(), declared: Box::new(restarted) };
    store.commit(&[change]).unwrap();
    assert!(length(&folder) - before < 400);
    store.commit(&[]).unwrap();
    assert_eq!(open(&folder).1, store.desired);
}

/// What may become of a file.
fn damages(whole: &[u8], boundaries: &[usize]) -> Vec<(String, Option<Vec<u8>>)> {
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        Some(bytes)
    };
    let mut damages = vec![
        ("whole".to_owned(), Some(whole.to_vec())),
        ("missing".to_owned(), None),
        ("empty".to_owned(), Some(Vec::new())),
        ("header flipped".to_owned(), flipped(3)),
        ("last line flipped".to_owned(), flipped(whole.len() - 5)),
    ];
    for (number, at) in boundaries.iter().copied().enumerate() {
        damages.push((format!("cut after batch {number}"), Some(whole[..at].to_vec())));
        if at + 20 < whole.len() {
            damages.push((format!("cut in batch {}", number + 1), Some(whole[..at + 20].to_vec())));
            damages.push((format!("batch {} flipped", number + 1), flipped(at + 20)));
        }
    }
    damages
}

/// The number of the last batch that can be read; 0 if there is none.
fn batches(bytes: Option<&[u8]>, lengths: &[usize], whole: &[u8]) -> u64 {
    let same = bytes.map_or(0, |bytes| bytes.iter().zip(whole).take_while(|(here, there)| here == there).count());
    lengths.iter().filter(|length| **length <= same).count() as u64
}

#[test]
fn whatever_becomes_of_the_files_the_newest_state_is_used_and_a_loss_is_told() {
    let (original, states, lengths) = written();
    let whole = journal(&original);
    let head = fs::read(original.path().join(HEAD)).unwrap();
    let last = u64::try_from(lengths.len()).unwrap();
    let older_head = {
        let folder = TempDir::new().unwrap();
        HeadFile::open(folder.path()).note(4);
        fs::read(folder.path().join(HEAD)).unwrap()
    };
    let heads = [(Some(head.clone()), last), (None, 0), (Some(Vec::new()), 0), (Some(older_head), 4)];
    let heads = heads.into_iter().chain([(Some(head[..30].to_vec()), 0)]);
    let copies = damages(&whole, &[lengths[5]]);
    let boundaries = [0, 2, 5, 6, lengths.len() - 1].map(|at| lengths[at]);
    for (head, head_seq) in heads {
        for (journal_damage, journal) in damages(&whole, &boundaries) {
            for (copy_damage, copy) in &copies {
                let folder = TempDir::new().unwrap();
                for (name, bytes) in [(JOURNAL, &journal), (PREVIOUS, copy), (HEAD, &head)] {
                    if let Some(bytes) = bytes {
                        write(&folder, name, bytes);
                    }
                }
                let case = format!("journal {journal_damage}, copy {copy_damage}, head {head_seq}");
                let in_journal = batches(journal.as_deref(), &lengths, &whole);
                let in_copy = batches(copy.as_deref(), &lengths, &whole);
                let (best, made) = (in_journal.max(in_copy), in_journal.max(in_copy).max(head_seq));
                let expected = match usize::try_from(best).unwrap() {
                    0 => Desired::default(),
                    best => states[best - 1].clone(),
                };
                let (_, desired, troubles) = open(&folder);
                assert_eq!(desired, expected, "{case}");

                let ends_with_a_batch = journal.as_ref().is_some_and(|bytes| lengths.contains(&bytes.len()));
                let is_journal_right = ends_with_a_batch
                    && journal.as_deref() == whole.get(..journal.as_ref().map_or(0, Vec::len))
                    && in_journal == made;
                let is_first_start = journal.is_none() && copy.is_none() && made <= 1;
                assert_eq!(troubles.is_empty(), is_journal_right || is_first_start, "{case}: {troubles:?}");
                if head_seq == last && Some(&desired) != states.last() {
                    assert_eq!(troubles.len(), 1, "{case}: a loss without a word");
                }
                if head_seq != last {
                    continue;
                }
                let (_, again, troubles) = open(&folder);
                assert_eq!((again, troubles), (expected, Vec::new()), "{case}: a second start finds a whole file");
            }
        }
    }
}

#[test]
fn what_an_older_state_does_not_declare_has_no_spec_and_so_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    let name: AppName = "web".parse().unwrap();
    store.commit(&[project(1), app("api", 80), app("web", 81)]).unwrap();
    store.commit(&[Change::AppRemoved { project: shop(), name }]).unwrap();
    let cut = length(&folder);
    store.commit(&[app("web", 81)]).unwrap();
    let whole = journal(&folder);
    let digest = declared("web", 81).digest;
    assert!(open(&folder).0.spec(&digest).is_some());
    write(&folder, JOURNAL, &whole[..cut]);
    let (store, desired, troubles) = open(&folder);
    assert_eq!(desired.projects[&shop()].apps.len(), 1);
    assert!(troubles[0].contains("the change after it is lost"), "{troubles:?}");
    assert_eq!((store.spec(&digest), store.spec(&declared("api", 80).digest).is_some()), (None, true));
}

#[test]
fn a_line_bears_the_crc_of_its_json_as_zip_computes_it() {
    let mut bytes = b"before\n".to_vec();
    journal::append(&mut bytes, &Record::Commit { seq: 7, history: Vec::new(), sources: Vec::new() }).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "before\n0ebe449b {\"record\":\"commit\",\"seq\":7}\n");
}

#[test]
fn a_history_keeps_the_specs_that_it_names() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    store.commit(&[project(1), app("api", 80), entry(1, 80)]).unwrap();
    store.commit(&[project(2), app("api", 81), entry(2, 81)]).unwrap();
    store.compact(&BTreeSet::new()).unwrap();
    drop(store);
    let (mut store, desired, _) = open(&folder);
    assert_eq!(desired.projects[&shop()].history.entries().len(), 2);
    assert_eq!(store.spec(&declared("api", 80).digest).unwrap().run.port, Some(80));
    store.commit(&[forgotten(1)]).unwrap();
    store.compact(&BTreeSet::new()).unwrap();
    assert!(store.spec(&declared("api", 80).digest).is_none(), "what nothing names is forgotten");
}

#[test]
fn a_file_without_a_history_is_read_and_one_with_it_names_no_other_format() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    store.commit(&[project(1), app("api", 80)]).unwrap();
    drop(store);
    let text = String::from_utf8(journal(&folder)).unwrap();
    assert!(text.starts_with("pm-desired 1\n") && !text.contains("history"), "{text}");
    let (mut store, desired, troubles) = open(&folder);
    assert_eq!((troubles, desired.projects[&shop()].history.newest()), (Vec::new(), None));
    store.commit(&[entry(1, 80)]).unwrap();
    // A version without a history knows every record of it: only a field is new.
    let text = String::from_utf8(journal(&folder)).unwrap();
    let is_known = |line: &str| {
        ["spec", "base", "project", "app", "commit"].iter().any(|kind| line.contains(&format!("\"record\":\"{kind}\"")))
    };
    assert!(text.starts_with("pm-desired 1\n") && text.lines().skip(1).all(is_known), "{text}");
}

#[test]
fn a_history_ends_with_its_project_also_within_a_batch() {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = open(&folder);
    store.commit(&[project(1), app("api", 80), entry(1, 80)]).unwrap();
    // What could not be written at its time is written together.
    let removed = Change::ProjectRemoved { name: shop() };
    store.commit(&[project(7), entry(7, 81), removed, project(1), app("api", 82), entry(1, 82)]).unwrap();
    let kept = store.desired.clone();
    assert_eq!(kept.projects[&shop()].history.entries().map(|entry| entry.generation).collect::<Vec<_>>(), [1]);
    drop(store);
    assert_eq!(open(&folder).1, kept);
}
