//! Deletes a branch for a page: a push without a pack, which the server itself makes. It has the
//! rights, the rules, the intent and the event of a push of a client.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

use super::push_targets::PushTarget;
use super::transfers::{IncomingPush, PushAnswer, check_update};
use super::{RepositoryView, ServiceError, Services};
use crate::domain::access::Credential;
use crate::domain::push::RefUpdate;
use crate::domain::refusal::Refusal;
use crate::git::browse::Oid;
use crate::git::program::ProtocolVersion;
use crate::git::push_request::PushRequest;
use crate::git::report;
use crate::git::transfer::{Input, TransferBody};
use crate::protocol::code::Code;

/// Maximum bytes of git's report about one ref.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// Returns the update that deletes a branch.
fn deletion_of(branch: &str, oid: Oid) -> RefUpdate {
    RefUpdate { name: format!("refs/heads/{branch}"), old: Some(oid.to_string()), new: None }
}

/// Checks whether the caller of the view may delete the branch, as a push that deletes it would.
///
/// # Errors
/// The refusal of the rule.
pub fn check_branch_deletion(view: &RepositoryView, branch: &str, oid: Oid) -> Result<(), Refusal> {
    check_update(view, &deletion_of(branch, oid))
}

impl Services {
    /// Returns the object that a branch points to.
    ///
    /// # Errors
    /// Fails with `not_found` if the branch does not exist.
    pub async fn branch_target(&self, view: &RepositoryView, branch: String) -> Result<Oid, ServiceError> {
        let found = self.ask_browser(view, move |browser| browser.branch_target(&branch)).await?;
        found.ok_or_else(|| Refusal::NotFound("branch").into())
    }

    /// Deletes a branch that points to `oid`. `view` is that of a caller who may push; `base_url`
    /// is the URL by which the caller reached the server.
    ///
    /// # Errors
    /// The refusals of a push. Nothing is deleted if the branch points to another object.
    pub async fn delete_branch(
        self: &Arc<Self>,
        who: Credential,
        view: RepositoryView,
        (branch, oid): (&str, Oid),
        base_url: String,
    ) -> Result<(), ServiceError> {
        check_branch_deletion(&view, branch, oid)?;
        if self.branch_target(&view, branch.to_owned()).await? != oid {
            let why = "the branch has moved since the page was loaded; check its last commit";
            return Err(ServiceError::new(Code::Conflict, why));
        }
        let name = deletion_of(branch, oid).name;
        let head = PushRequest::deletion(&name, &oid.to_string());
        let head = head.map_err(|error| ServiceError::new(Code::BadRequest, error.to_string()))?;
        let permit = self.push_permit(view.client()).await?;
        let push = IncomingPush { head, rest: Bytes::new(), base_url, compressed: false };
        let (target, nothing) = (PushTarget::Existing(Box::new(view)), Input::plain(tokio::io::empty()));
        let report = match self.push(who, target, ProtocolVersion::Zero, push, nothing, permit).await? {
            PushAnswer::Streamed(body) => whole(body).await?,
            PushAnswer::Refused { error: Some(error), .. } => return Err(error),
            PushAnswer::Refused { answer, error: None, .. } => answer,
        };
        match report::refused_in(&report) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(ServiceError::new(Code::Conflict, why)),
            Err(error) => Err(unknown().because(error)),
        }
    }
}

/// Returns the whole report.
async fn whole(body: TransferBody) -> Result<Bytes, ServiceError> {
    let add = |mut read: BytesMut, piece: Bytes| async move {
        if read.len().saturating_add(piece.len()) > REPORT_BYTES_MAX {
            return Err(std::io::Error::other("the report is too long"));
        }
        read.extend_from_slice(&piece);
        Ok(read)
    };
    let read = body.try_fold(BytesMut::new(), add).await;
    read.map(BytesMut::freeze).map_err(|error| unknown().because(error))
}

fn unknown() -> ServiceError {
    ServiceError::new(
        Code::Internal,
        "git failed; load the list of branches to see whether the branch exists",
    )
}
