//! Space for a push: the rest of the quotas of the repository and of its owner's account, and of
//! the disk.

use std::path::PathBuf;

use bytes::Bytes;

use super::blocking::blocking;
use super::{ServiceError, Services};
use crate::actors::cache::{AccountBytes, RepositoryView};
use crate::core::machine;
use crate::git::push_request::PushRequest;
use crate::git::report;
use crate::protocol::code::Code;

/// The maximum number of bytes of a push, and the limit that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: u64,
    bound: Bound,
}

/// The limit that is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Repository { max: u64 },
    Account { max: u64 },
    Disk,
    Compressed { max: u64 },
}

impl Room {
    /// Returns the whole response to a push that needs more.
    pub(super) fn refusal(&self, head: &PushRequest) -> Bytes {
        report::refusal(head, Some(&self.sentence()), |_| self.reason().to_owned())
    }

    /// Returns the same refusal as an error: for the request log, and for a push that turned out
    /// too large after it arrived.
    pub(super) fn error(&self) -> ServiceError {
        let code = if self.bound == Bound::Disk { Code::ReadOnly } else { Code::TooLarge };
        ServiceError::new(code, self.sentence())
    }

    fn reason(&self) -> &'static str {
        match self.bound {
            Bound::Repository { .. } => "the repository's quota is exceeded",
            Bound::Account { .. } => "the account's quota is exceeded",
            Bound::Disk => "the server is short of disk space",
            Bound::Compressed { .. } => "the push is compressed as a whole",
        }
    }

    fn sentence(&self) -> String {
        match self.bound {
            Bound::Repository { max } => {
                format!(
                    "The repository may hold {max} bytes; with this push it would hold more. Delete refs that are not needed, or ask the operator (limits.repository_bytes)."
                )
            }
            Bound::Account { max } => {
                format!(
                    "All repositories of their owner may hold {max} bytes together; with this push they would hold more. Delete repositories, or ask the operator (limits.account_bytes)."
                )
            }
            Bound::Disk => {
                "The server reserves its remaining disk space for chats; ask its operator to free space, then push again."
                    .to_owned()
            }
            Bound::Compressed { max } => {
                format!("A push with a Content-Encoding may have {max} bytes; send it without Content-Encoding.")
            }
        }
    }
}

impl Services {
    /// Returns how much a push to this repository may add.
    pub(super) async fn room_for(
        &self,
        view: &RepositoryView,
        compressed: bool,
    ) -> Result<Room, ServiceError> {
        let used = u64::try_from(view.repository.size_bytes).unwrap_or(0);
        let quotas = self.quotas(view, used).await?;
        let bytes = self.disk_room(self.git.store.root().to_owned()).await?;
        let disk = Room { bytes, bound: Bound::Disk };
        let max = self.limits.git_gzip_push_bytes;
        let packed = compressed.then_some(Room { bytes: max, bound: Bound::Compressed { max } });
        Ok(quotas.into_iter().chain([disk]).chain(packed).min_by_key(|room| room.bytes).unwrap_or(disk))
    }

    /// Checks that a repository of `size_bytes`, including the push in quarantine, is within its
    /// limits.
    ///
    /// # Errors
    /// Fails with the sentence of the limit that is exceeded.
    pub(super) async fn check_room(
        &self,
        view: &RepositoryView,
        size_bytes: u64,
    ) -> Result<(), ServiceError> {
        let (repository, account) = (self.limits.repository_bytes, self.limits.account_bytes);
        let all = self.bytes_beside(view).await?.saturating_add(size_bytes);
        if size_bytes > repository {
            return Err(Room { bytes: 0, bound: Bound::Repository { max: repository } }.error());
        }
        if all > account {
            return Err(Room { bytes: 0, bound: Bound::Account { max: account } }.error());
        }
        self.check_disk().await
    }

    /// Checks that the disk has more free space than its reserve.
    pub(super) async fn check_disk(&self) -> Result<(), ServiceError> {
        match self.disk_room(self.git.store.root().to_owned()).await? {
            0 => Err(Room { bytes: 0, bound: Bound::Disk }.error()),
            _ => Ok(()),
        }
    }

    async fn quotas(&self, view: &RepositoryView, used: u64) -> Result<[Room; 2], ServiceError> {
        let (repository, account) = (self.limits.repository_bytes, self.limits.account_bytes);
        let all = self.bytes_beside(view).await?.saturating_add(used);
        Ok([
            Room { bytes: repository.saturating_sub(used), bound: Bound::Repository { max: repository } },
            Room { bytes: account.saturating_sub(all), bound: Bound::Account { max: account } },
        ])
    }

    /// Returns the bytes of the owner's other repositories.
    async fn bytes_beside(&self, view: &RepositoryView) -> Result<u64, ServiceError> {
        let all = self.cache.ask_anonymously(AccountBytes(view.project.owner_id)).await?;
        Ok(all.saturating_sub(u64::try_from(view.repository.size_bytes).unwrap_or(0)))
    }

    /// Returns the bytes that pushes and files may use on the file system of the folder.
    pub(super) async fn disk_room(&self, folder: PathBuf) -> Result<u64, ServiceError> {
        let reserve = self.limits.disk_reserve_bytes;
        match blocking(move || machine::space(&folder)).await? {
            Ok(space) => Ok(space.above_reserve(reserve)),
            Err(error) => {
                tracing::warn!(%error, "cannot read the free disk space");
                Ok(u64::MAX)
            }
        }
    }
}
