//! A second checkout of a project does not take over the first one's processes without a word.

use crate::support::Sandbox;

#[test]
fn a_second_checkout_is_told_and_refused() {
    let sandbox = Sandbox::new();
    let both = "project = \"shop\"\n[apps.api]\ncommand = \"sleep 1000\"\n[apps.db]\ncommand = \"sleep 1000\"\n";
    sandbox.file("one/ecosystem.toml", both);
    sandbox.file("two/ecosystem.toml", both.split("[apps.db]").next().unwrap());
    let (one, two) = (sandbox.path("one/ecosystem.toml"), sandbox.path("two/ecosystem.toml"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    sandbox.pm(&["apply", one]).ok();
    let pid = sandbox.pid("api/0");
    sandbox.pm(&["apply", two]).code(8).says(&["one/ecosystem.toml", "still exists", "--replace-files"]);
    sandbox.pm(&["plan", two]).ok().says(&["still exists", "--replace-files"]);
    assert_eq!((sandbox.pid("api/0"), sandbox.app_processes().len()), (pid, 2), "nothing was touched");
    // The same file by another name is no second checkout.
    std::os::unix::fs::symlink(sandbox.path("one"), sandbox.path("link")).unwrap();
    sandbox.pm(&["apply", sandbox.path("link/ecosystem.toml").to_str().unwrap()]).ok();
    // Nor is a folder that was moved, or one that was confirmed.
    sandbox.pm(&["apply", "--replace-files", two]).ok();
    std::fs::rename(sandbox.path("two"), sandbox.path("three")).unwrap();
    sandbox.pm(&["apply", sandbox.path("three/ecosystem.toml").to_str().unwrap()]).ok();
    assert_eq!(sandbox.app_processes().len(), 1);
}
