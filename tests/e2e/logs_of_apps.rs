//! `pm logs`: whose lines, how many of each app, what happened in between, and what is not there.

use crate::support::{SOON, Sandbox, kill, wait_until};

const FILE: &str = "[[apps]]\nname = \"loud\"\ncommand = \"sh -c 'seq 1 100; exec sleep 1000'\"\n\
                    [[apps]]\nname = \"quiet\"\ncommand = \"sh -c 'sleep 0.2; echo once; exec sleep 1000'\"\n";

/// Two projects, the other one with an app of the same name.
fn two_projects() -> Sandbox {
    let sandbox = Sandbox::applied(FILE);
    std::fs::create_dir_all(sandbox.path("blog")).unwrap();
    let blog =
        "project = \"blog\"\n[[apps]]\nname = \"loud\"\ncommand = \"sh -c 'echo of the blog; exec sleep 1000'\"\n";
    let blog = sandbox.file("blog/ecosystem.toml", blog);
    sandbox.pm(&["apply", blog.to_str().unwrap()]).ok();
    wait_until("all have spoken", SOON, || {
        !sandbox.log_text("quiet", "out", 0).is_empty() && sandbox.log_text("loud", "out", 0).ends_with(b"100\n")
    });
    sandbox
}

#[test]
fn a_number_of_lines_counts_for_each_app_and_other_projects_are_not_shown() {
    let sandbox = two_projects();
    let text = sandbox.pm(&["logs", "-n", "2"]).ok().stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for line in ["loud/0  | 99", "loud/0  | 100", "quiet/0 | once"] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
    let text = sandbox.pm(&["logs", "-A", "-n", "1"]).ok().stdout;
    for line in ["shop:loud/0  | 100", "shop:quiet/0 | once", "blog:loud/0  | of the blog"] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert_eq!(sandbox.pm(&["logs", "loud", "-n", "all"]).ok().stdout.lines().count(), 100);
}

#[test]
fn what_an_answer_cannot_hold_is_said() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"a\"\ncommand = \"sh -c 'seq 1 12000; exec sleep 1000'\"\n");
    wait_until("all is written", SOON, || sandbox.log_text("a", "out", 0).ends_with(b"12000\n"));
    for words in [&["logs", "a", "--since", "1h"][..], &["logs", "a", "-n", "all"], &["logs", "a", "-n", "11000"]] {
        let answer = sandbox.pm(words).ok();
        assert_eq!(answer.stdout.lines().count(), 10_000, "{words:?}");
        assert!(answer.stderr.contains("older lines are left out"), "{words:?}: {}", answer.stderr);
    }
    for words in [&["logs", "a", "-n", "10000"][..], &["logs", "a"]] {
        assert_eq!(sandbox.pm(words).ok().stderr, "", "{words:?}: as many as were asked for");
    }
}

#[test]
fn following_tells_of_restarts_and_tears_no_character() {
    let sandbox = Sandbox::new();
    // The second half of the character comes a second later.
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = '''sh -c \"printf 'gr\\303'; sleep 1; printf '\\274n\\n'; exec sleep 1000\"'''\n",
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    let mut follower = sandbox.start(&["logs", "-f", "a", "--since", "1h"]);
    let mut out = follower.stdout.take().unwrap();
    wait_until("the line is whole", SOON, || sandbox.log_text("a", "out", 0).ends_with(b"n\n"));
    sandbox.pm(&["restart", "a"]).ok();
    wait_until("it was started again", SOON, || {
        String::from_utf8_lossy(&sandbox.log_text("a", "out", 0)).lines().count() == 2
            && sandbox.log_text("a", "out", 0).ends_with(b"\n")
    });
    sandbox.pm(&["shutdown"]).ok();
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut out, &mut said).unwrap();
    kill(follower.id(), libc::SIGKILL);
    let told = follower.wait_with_output().unwrap().stderr;
    let told = String::from_utf8_lossy(&told);
    let said = String::from_utf8(said).expect("no character is torn");
    assert!(said.contains("ün"), "{said}");
    let events = ["shop:a/0 stopped as requested", "shop:a/0 started as process"];
    assert!(events.iter().all(|event| told.contains(event)), "{told}");
}

#[test]
fn the_logs_of_a_deleted_app_can_be_read() {
    let sandbox = two_projects();
    sandbox.pm(&["delete", "quiet"]).ok();
    assert_eq!(sandbox.pm(&["logs", "quiet"]).ok().stdout, "quiet/0 | once\n");
    assert_eq!(sandbox.pm(&["logs", "shop:quiet/0", "--stdout"]).ok().stdout, "quiet/0 | once\n");
    sandbox.pm(&["logs", "quiet", "--stderr"]).ok();
    sandbox.pm(&["logs", "blog:quiet"]).code(1).says(&["no app `blog:quiet`"]);
    sandbox.pm(&["logs", "quiet/7"]).code(1);
    sandbox.pm(&["logs", "../quiet"]).code(64);
    sandbox.pm(&["events", "nobody"]).code(1).says(&["no app `nobody`"]);
    sandbox.pm(&["events", "quiet"]).ok();
}

#[test]
fn the_logs_of_deleted_apps_are_listed_and_removed_and_no_others() {
    let sandbox = two_projects();
    sandbox.pm(&["clean"]).ok().says(&["no logs of deleted apps"]);
    sandbox.pm(&["clean", "quiet"]).code(8).says(&["`shop:quiet` is not deleted"]);
    sandbox.pm(&["delete", "quiet", "shop:loud", "blog:loud", "-A"]).ok();
    let list = sandbox.pm(&["clean", "--json"]).ok().json();
    let names: Vec<&str> = list["apps"].as_array().unwrap().iter().map(|row| row["app"].as_str().unwrap()).collect();
    assert_eq!(names, ["loud", "loud", "quiet"], "{list:#}");
    sandbox.pm(&["clean"]).ok().says(&["shop", "quiet", "pm clean --all"]);
    sandbox.pm(&["clean", "loud"]).code(64).says(&["several projects"]);
    sandbox.pm(&["clean", "nobody"]).code(1).says(&["no logs of a deleted app `nobody`"]);
    sandbox.pm(&["clean", "shop:loud", "quiet"]).ok().says(&["removed", "of shop:loud", "of shop:quiet"]);
    sandbox.pm(&["logs", "quiet"]).code(1);
    assert_eq!(sandbox.pm(&["logs", "blog:loud"]).ok().stdout, "loud/0 | of the blog\n");
    // What is declared again is nobody's to remove, whatever is asked for.
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["clean", "--all"]).ok().says(&["of blog:loud"]);
    wait_until("it speaks", SOON, || !sandbox.log_text("quiet", "out", 0).is_empty());
    sandbox.pm(&["clean", "--all"]).ok().says(&["nothing to remove"]);
}
