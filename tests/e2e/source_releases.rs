//! Releases of a Git source: sealed, with what is shared, only of commits that may be used.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sources::{Origin, add, row};
use crate::support::Sandbox;

fn release(sandbox: &Sandbox, commit: &str) -> PathBuf {
    sandbox.home().join(format!("sources/shop/releases/{commit}"))
}

#[test]
fn a_release_is_read_only_and_links_what_is_shared() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let shared = sandbox.home().join("sources/shop/shared");
    fs::write(shared.join(".env"), "A=1\n").unwrap();
    let second = origin.apps(&[("api", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let mode = |path: &str| fs::metadata(release(&sandbox, &second).join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("apps/api"), mode("apps/api/run.sh")), (0o555, 0o555, 0o444));
    assert_eq!(fs::read_link(release(&sandbox, &second).join(".env")).unwrap(), shared.join(".env"));
    // Two releases are kept: the one that runs, and what can be gone back to.
    assert!(release(&sandbox, &first).exists());
}

#[test]
fn a_folder_that_a_user_has_made_beforehand_is_closed_to_others() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    let folder = sandbox.home().join("sources/shop");
    fs::create_dir_all(folder.join("shared")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn submodules_and_pointers_of_lfs_fail_the_commit() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let pid = sandbox.pid("api/0");
    let oid = "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    origin.file("logo.png", &format!("version https://git-lfs.github.com/spec/v1\noid {oid}\nsize 12345\n"));
    origin.commit("lfs");
    sandbox.pm(&["source", "sync", "shop"]).code(65).says(&["pointer of Git LFS", "logo.png"]);
    origin.git(&["rm", "-q", "logo.png"]);
    origin.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},lib/sub")]);
    origin.git(&["commit", "-q", "-m", "submodule"]);
    sandbox.pm(&["source", "sync", "shop"]).code(65).says(&["has submodules", "lib/sub"]);
    sandbox.pm(&["source", "sync", "shop"]).code(65).says(&["not tried again"]);
    assert_eq!(sandbox.pid("api/0"), pid);
}

fn key(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).output();
    assert!(made.unwrap().status.success());
    file
}

#[test]
fn only_commits_of_allowed_signers_are_deployed() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let (ours, theirs) = (key(&sandbox.path(""), "ours"), key(&sandbox.path(""), "theirs"));
    let allowed = sandbox.path("allowed");
    let refused = add(&sandbox, &origin, &["--allowed-signers", allowed.to_str().unwrap()]);
    refused.code(64).says(&["there is no file", "allowed"]);
    let public = fs::read_to_string(ours.with_extension("pub")).unwrap();
    fs::write(&allowed, format!("alice namespaces=\"git\" {public}")).unwrap();
    let signed = |key: &Path| {
        let key = format!("user.signingkey={}", key.display());
        origin.git(&["-c", "gpg.format=ssh", "-c", &key, "commit", "-q", "-S", "--amend", "--no-edit"]);
        origin.git(&["rev-parse", "HEAD"])
    };
    origin.apps(&[("api", "1")]);
    let good = signed(&ours);
    add(&sandbox, &origin, &["--allowed-signers", allowed.to_str().unwrap()]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert_eq!(row(&sandbox)["applied"]["commit"], good.as_str());
    sandbox.pm(&["source", "status", "shop"]).ok().says(&["signers", "allowed"]);
    let pid = sandbox.pid("api/0");
    let unsigned = origin.apps(&[("api", "2")]);
    let synced = sandbox.pm(&["source", "sync", "shop"]).code(8);
    synced.says(&[&unsigned[..7], "it is not signed", "nothing was changed", "git commit -S"]);
    sandbox.pm(&["source", "sync", "shop", "--force"]).code(8).says(&["it is not signed"]);
    let foreign = signed(&theirs);
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&[&foreign[..7], "not one of an allowed signer"]);
    sandbox.pm(&["events", "-A"]).ok().says(&["it is not signed", "not one of an allowed signer"]);
    assert!(!release(&sandbox, &unsigned).exists() && !release(&sandbox, &foreign).exists());
    assert_eq!((row(&sandbox)["status"].as_str(), sandbox.pid("api/0")), (Some("failed"), pid));
    let fixed = signed(&ours);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert_eq!(row(&sandbox)["applied"]["commit"], fixed.as_str());
}

#[test]
fn an_app_whose_user_cannot_enter_the_home_is_told_before_anything_is_stopped() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let pid = sandbox.pid("api/0");
    // The home itself could be opened; what is above it belongs to somebody else.
    fs::set_permissions(sandbox.home().parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    let text = "project = \"shop\"\n[[apps]]\nname = \"api\"\ncwd = \"apps/api\"\ncommand = \"sh run.sh\"\nuser = \"nobody\"\n";
    origin.file("ecosystem.toml", text);
    origin.commit("as nobody");
    let synced = sandbox.pm(&["source", "sync", "shop"]);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        synced.code(8).says(&["`api` runs as `nobody`", "cannot enter the home", "leave `user` out"]);
    } else {
        // Only root can start an app as another user.
        assert_ne!(synced.status, 0, "{synced}");
    }
    assert_eq!((row(&sandbox)["applied"]["commit"].as_str(), sandbox.pid("api/0")), (Some(first.as_str()), pid));
}
