//! Signed by an allowed key, by another, by none; tags under a false name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pm::git::{GitTrouble, Signed, Signers, TrackedRef};

use crate::origin::{Origin, PATIENCE};

/// A new ssh key; returns the private file.
fn key(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).output();
    assert!(made.unwrap().status.success());
    file
}

fn signed(origin: &Origin, key: &Path, args: &[&str]) {
    let key = format!("user.signingkey={}", key.display());
    origin.git(&[&["-c", "gpg.format=ssh", "-c", &key], args].concat());
}

#[test]
fn only_what_an_allowed_key_signed_is_verified() {
    let origin = Origin::new();
    let folder = origin.home.path();
    let (ours, theirs) = (key(folder, "ours"), key(folder, "theirs"));
    let allowed = folder.join("allowed");
    let public = fs::read_to_string(folder.join("ours.pub")).unwrap();
    fs::write(&allowed, format!("ann@example.com namespaces=\"git\" {public}")).unwrap();
    let signers = Signers::Ssh(allowed.clone());
    let unsigned = origin.commit_file("a", "1");
    signed(&origin, &theirs, &["commit", "-q", "-S", "--allow-empty", "-m", "theirs"]);
    let foreign = origin.head();
    signed(&origin, &ours, &["commit", "-q", "-S", "--allow-empty", "-m", "ours"]);
    let good = origin.head();
    // The same signature over another message.
    let text = origin.git_with(&["cat-file", "commit", good.as_str()], b"");
    let forged = String::from_utf8(text).unwrap().replace("\n\nours", "\n\nevil");
    let forged = pm::git::CommitId::parse(&origin.raw_object("commit", forged.as_bytes())).unwrap();
    origin.git(&["update-ref", "refs/heads/main", forged.as_str()]);
    let repository = origin.open();
    for commit in [&good, &forged] {
        repository.fetch(&origin.remote(), &forged, PATIENCE, &|| false).unwrap();
        origin.git(&["update-ref", "refs/heads/main", good.as_str()]);
        let mut remote = origin.remote();
        remote.wanted = TrackedRef::Default;
        repository.fetch(&remote, commit, PATIENCE, &|| false).unwrap();
    }
    let verify = |commit, signers: &Signers| repository.verify(commit, &Signed::Commit, signers);
    let signature = verify(&good, &signers).unwrap();
    assert_eq!(signature.signer, "ann@example.com");
    assert!(signature.key.starts_with("SHA256:"), "{signature:?}");
    for (commit, trouble) in
        [(&unsigned, GitTrouble::Unsigned), (&foreign, GitTrouble::WronglySigned), (&forged, GitTrouble::WronglySigned)]
    {
        let error = verify(commit, &signers).unwrap_err();
        assert_eq!(error.trouble, trouble, "{error}");
    }
    // The right signature of the wrong kind, and no file of signers.
    let gpg = Signers::Gpg(folder.to_owned());
    assert_eq!(verify(&good, &gpg).unwrap_err().trouble, GitTrouble::WronglySigned);
    assert_eq!(verify(&good, &Signers::Ssh(folder.join("none"))).unwrap_err().trouble, GitTrouble::Failed);
    fs::write(&allowed, "").unwrap();
    assert_eq!(verify(&good, &signers).unwrap_err().trouble, GitTrouble::WronglySigned);
}

#[test]
fn a_tag_counts_under_its_own_name_and_for_its_own_commit() {
    let origin = Origin::new();
    let folder = origin.home.path();
    let ours = key(folder, "ours");
    let allowed = folder.join("allowed");
    fs::write(&allowed, format!("ann {}", fs::read_to_string(folder.join("ours.pub")).unwrap())).unwrap();
    let signers = Signers::Ssh(allowed);
    let first = origin.commit_file("a", "1");
    signed(&origin, &ours, &["tag", "-s", "-m", "x", "v1"]);
    origin.git(&["tag", "-a", "-m", "x", "plain"]);
    origin.git(&["tag", "light"]);
    origin.git(&["update-ref", "refs/tags/v2", "refs/tags/v1"]);
    let second = origin.commit_file("a", "2");
    let verify = |name: &str, commit| {
        let repository = origin.open();
        let mut remote = origin.remote();
        remote.wanted = TrackedRef::Tag(name.into());
        repository.fetch(&remote, &first, PATIENCE, &|| false).unwrap();
        repository.verify(commit, &Signed::Tag(name.into()), &signers).map_err(|error| error.trouble)
    };
    assert_eq!(verify("v1", &first).unwrap().signer, "ann");
    assert_eq!(verify("v1", &second), Err(GitTrouble::WronglySigned));
    assert_eq!(verify("v2", &first), Err(GitTrouble::WronglySigned), "an old tag under a new name");
    assert_eq!(verify("plain", &first), Err(GitTrouble::Unsigned));
    assert_eq!(verify("light", &first), Err(GitTrouble::Unsigned));
}

#[test]
fn gpg_keys_of_one_folder_count_and_no_others() {
    if Command::new("gpg").arg("--version").output().is_err() {
        eprintln!("NOT RUN: there is no gpg; only signatures of ssh were tried");
        return;
    }
    let origin = Origin::new();
    let made = |name: &str| {
        // The socket of gpg's agent needs a short path.
        let folder = tempfile::Builder::new().prefix("g").tempdir_in("/tmp").unwrap();
        let args = ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never"];
        let output = Command::new("gpg").env("GNUPGHOME", folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    };
    let (ours, theirs) = (made("ann@example.com"), made("eve@example.com"));
    origin.commit_file("a", "1");
    let program = origin.home.path().join("gpg");
    fs::write(&program, format!("#!/bin/sh\nGNUPGHOME={} exec gpg \"$@\"\n", ours.path().display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let setting = format!("gpg.program={}", program.display());
    origin.git(&["-c", &setting, "commit", "-q", "-Sann@example.com", "--allow-empty", "-m", "signed"]);
    let head = origin.head();
    let repository = origin.open();
    repository.fetch(&origin.remote(), &head, PATIENCE, &|| false).unwrap();
    let verify = |folder: &Path| repository.verify(&head, &Signed::Commit, &Signers::Gpg(folder.to_owned()));
    let signature = verify(ours.path()).unwrap();
    assert!(signature.signer.contains("ann@example.com") && signature.key.len() == 40, "{signature:?}");
    assert_eq!(verify(theirs.path()).unwrap_err().trouble, GitTrouble::WronglySigned);
    for folder in [&ours, &theirs] {
        let _ends_its_agent = Command::new("gpgconf").env("GNUPGHOME", folder.path()).args(["--kill", "all"]).output();
    }
}
