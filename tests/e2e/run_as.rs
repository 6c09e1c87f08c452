//! Whom an app runs as: exactly the user that the file names, or it does not start.

use std::fs;

use crate::support::{NOBODY, Sandbox, is_root, ordinary, sandbox_of_ordinary_user};

const EVERYTHING: [&str; 4] = ["Uid:", "Gid:", "Groups:", "CapEff:"];

/// The lines of `/proc/PID/status` about who a process is.
fn who_is(pid: u32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let is_asked = |line: &&str| EVERYTHING.iter().any(|name| line.starts_with(name));
    status.lines().filter(is_asked).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_number_that_means_no_user_never_becomes_root() {
    let sandbox = Sandbox::new();
    let spellings =
        ["4294967295", "-1", "+0", "-0", "00", "0x0", "4294967296", "18446744073709551615", " 0", "0 ", "+", "0,0"];
    for spelling in spellings {
        for keys in [format!("user = {spelling:?}\ngroup = \"daemon\""), format!("user = \"0\"\ngroup = {spelling:?}")]
        {
            sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n{keys}\n"));
            for command in [&["check"][..], &["plan"], &["apply"]] {
                sandbox.pm(command).code(65).says(&["error[unknown-user]: app `api`: no ", spelling]);
            }
        }
    }
    for number in ["4294967295", "-1", "0x0", "+0"] {
        sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nuser = {number}\n"));
        let checked = sandbox.pm(&["check"]);
        // TOML reads `+0` as 0, which is root as `0` is.
        assert!(checked.status == 65 || number == "+0", "{number}: {checked}");
    }
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn an_app_of_another_user_is_that_user_and_nobody_else() {
    if !is_root() {
        eprintln!("NOT RUN: only root can run an app as another user");
        return;
    }
    let sandbox = Sandbox::open_to_all();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nuser = \"nobody\"\n\
         [[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\nuser = 4711\ngroup = \"daemon\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    let everywhere = |name: &str, id: u32| format!("{name} {id} {id} {id} {id}");
    let expected = |uid: u32, gid: u32| {
        vec![
            everywhere("Uid:", uid),
            everywhere("Gid:", gid),
            format!("Groups: {gid}"),
            "CapEff: 0000000000000000".into(),
        ]
    };
    assert_eq!(who_is(sandbox.pid("api/0")), expected(NOBODY, NOBODY));
    assert_eq!(who_is(sandbox.pid("web/0")), expected(4711, 1));
}

#[test]
fn an_ordinary_user_may_name_himself() {
    let sandbox = sandbox_of_ordinary_user();
    for (user, group) in [("-un", None), ("-u", None), ("-un", Some("-g"))] {
        let group = group.map_or(String::new(), |flag| format!("group = {:?}\n", ordinary(flag)));
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nuser = {:?}\n{group}",
            ordinary(user)
        ));
        sandbox.pm(&["check"]).ok();
        sandbox.pm(&["apply"]).ok();
        let own: u32 = ordinary("-u").parse().unwrap();
        assert_eq!(who_is(sandbox.pid("api/0"))[0], format!("Uid: {own} {own} {own} {own}"));
        sandbox.pm(&["exec", "api", "--", "true"]).ok();
    }
}

#[test]
fn an_ordinary_user_cannot_name_anybody_else_and_is_told_before_anything_happens() {
    let sandbox = sandbox_of_ordinary_user();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("api/0");
    let own = ordinary("-un");
    let others =
        [("user = \"root\"\n".to_owned(), "root"), (format!("user = {own:?}\ngroup = \"daemon\"\n"), own.as_str())];
    for (keys, name) in others {
        sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n{keys}"));
        for command in [&["check"][..], &["plan"], &["apply"]] {
            sandbox.pm(command).code(65).says(&["only root can run it as user", name]);
        }
    }
    assert_eq!(sandbox.pid("api/0"), pid);
}

#[test]
fn a_group_alone_is_refused_before_anything_happens() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let pid = sandbox.pid("api/0");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ngroup = \"daemon\"\n");
    for command in [&["check"][..], &["plan"], &["apply"]] {
        sandbox.pm(command).code(65).says(&["`group` needs `user`"]);
    }
    assert_eq!(sandbox.pid("api/0"), pid);
}
