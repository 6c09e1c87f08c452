//! Ctrl-C ends the waiting, not the apply, and says so.

use std::os::unix::process::CommandExt;

use crate::support::{SOON, Sandbox, finish, wait_until};

#[test]
fn the_apply_goes_on_without_its_command() {
    let sandbox = Sandbox::new();
    let said = sandbox.path("first");
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"first\"\ncommand = '''sh -c \"touch {0}; exec sleep 1000\"'''\n[[apps]]\nname = \"second\"\ncommand = \"sleep 1000\"\ndepends_on = [\"first\"]\n",
        said.display()
    ));
    // A group of its own, as a shell would give it: Ctrl-C reaches all of the group, so a daemon that had
    // stayed in the group of the command that started it would end here.
    let child = sandbox.command(&["apply"]).process_group(0).spawn().unwrap();
    wait_until("the first app runs", SOON, || said.exists());
    let group = i32::try_from(child.id()).unwrap();
    // SAFETY: two numbers; the group is the one made above.
    unsafe { libc::kill(-group, libc::SIGINT) };
    finish(child, "pm apply").code(130).says(&["continues in the background"]);
    sandbox.pid("second/0");
}
