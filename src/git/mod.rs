//! Works with the real `git` and with the folders of a source: heads, fetches, signatures, release folders.
//!
//! In:    a [`Remote`], a [`CommitId`], paths   Out:  commits, release folders, digests of contents, [`GitError`]s
//! Never: a decision about what is deployed; code, filters or hooks of the repository; a question to a terminal
//! Walk:  a sync → here → `git` of [`crate::os`] → a release folder
//!
//! Everything of one source is below one folder: `repository.git` (bare), `releases/COMMIT`, `shared` (what git ignores;
//! linked into every release). All calls block: a sync runs in a process of its own. Each call is safe against
//! `kill -9` at any instant: the next one removes what is half done and starts that step again.
//!
//! | question | file |
//! | --- | --- |
//! | which address, which branch, which key | `remote` |
//! | how is git run | `program` |
//! | what does git's complaint mean | `error`, `complaint` |
//! | what is in the bare repository | `repository`, `contents` |
//! | who signed it | `signature` |
//! | may this tree be used | `tree` |
//! | how does a release folder come to be and go | `release`, `shared` |

mod commit;
mod complaint;
mod contents;
mod error;
mod program;
mod release;
mod remote;
mod repository;
mod shared;
mod signature;
mod tree;
mod url;

pub use commit::{CommitId, CommitInfo};
pub use contents::{ChangeKind, ChangedPath, Changes};
pub use error::{GitError, GitTrouble};
pub use release::{Release, ReleaseNote, ReleaseOptions, ReleaseState};
pub use remote::{Remote, TrackedRef, remote_head};
pub use repository::Repository;
pub use signature::{Signature, Signed, Signers};
pub use url::{RemoteUrl, RemoteUrlError};
