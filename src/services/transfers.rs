//! Clones, fetches and pushes: checks access, and waits for a permit.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tracing::Instrument;

use super::access::RepositoryPath;
use super::git_resources::GitResources;
use super::push_targets::PushTarget;
use super::pushes::{PushHook, REFS_MANY, push_span};
use super::room::Room;
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::core::shares::{Client, Holder};
use crate::domain::access::Credential;
use crate::domain::message::Content;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::push::{FastForward, PUSH_TEXT_BYTES_MAX, RefUpdate};
use crate::domain::refusal::Refusal;
use crate::git::metrics::{TransferPermit, Work};
use crate::git::program::{ProtocolVersion, PushRules, Service};
use crate::git::push_request::{PushRequest, check_update_name};
use crate::git::report;
use crate::git::run_child::RunChildError;
use crate::git::transfer::{self, Input, Output, PushInput, TransferBody};
use crate::protocol::code::Code;

/// The push option whose value is posted to the project's channel with the push.
const CHAT_OPTION: &str = "chat";

/// Returns the access that a git service needs.
fn act_of(service: Service) -> Act {
    match service {
        Service::UploadPack => Act::Read,
        Service::ReceivePack => Act::Push,
    }
}

/// A push whose head has been read.
pub struct IncomingPush {
    pub head: PushRequest,
    /// The bytes that arrived after the head.
    pub rest: Bytes,
    /// The URL by which the pusher reached the server, for links that only the pusher sees.
    pub base_url: String,
    /// The whole body is compressed (`Content-Encoding`).
    pub compressed: bool,
}

/// The response to a push.
pub enum PushAnswer {
    Streamed(TransferBody),
    /// git did not run: this is the whole response.
    Refused {
        answer: Bytes,
        /// The reason why the server cannot accept the push; `None` when the push itself is
        /// refused.
        error: Option<ServiceError>,
        /// Input that the client may still be sending.
        unread: Input,
    },
}

impl Services {
    /// Returns the repository of a git route, if the caller may use the service.
    pub async fn git_repository(
        &self,
        who: Option<Credential>,
        at: &RepositoryPath,
        service: Service,
    ) -> Result<RepositoryView, ServiceError> {
        self.repository(who, at, act_of(service)).await
    }

    /// Streams the refs as `git` advertises them. `None`: the refs of a repository that a push may
    /// create.
    pub async fn advertise(
        &self,
        view: Option<&RepositoryView>,
        service: Service,
        protocol: ProtocolVersion,
        client: Client,
    ) -> Result<TransferBody, ServiceError> {
        let git = self.git.program()?;
        let permit = self.git.acquire(Work::Advertise, client).await?;
        let directory = match view {
            Some(view) => self.git.directory(&view.repository).await?,
            None => self.git.empty_directory().await?,
        };
        let command = git.service(service, &directory, protocol, true, None).on_behalf_of(client.holder);
        let deadlines = GitResources::deadlines(&self.limits);
        let nothing = Input::plain(tokio::io::empty());
        Ok(transfer::read(command, nothing, Output::Lines, deadlines, permit).map_err(RunChildError::from)?)
    }

    /// Acquires a permit for a fetch, before the request is read.
    pub async fn fetch_permit(&self, client: Client) -> Result<TransferPermit, ServiceError> {
        self.git.acquire(Work::Fetch, client).await
    }

    /// Acquires a permit for a push, before the head of the push is read.
    pub async fn push_permit(&self, client: Client) -> Result<TransferPermit, ServiceError> {
        self.git.acquire(Work::Push, client).await
    }

    /// Streams the response of `git upload-pack` to `input`, while the caller may read the
    /// repository.
    pub async fn fetch(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        protocol: ProtocolVersion,
        input: Input,
        permit: TransferPermit,
    ) -> Result<TransferBody, ServiceError> {
        let git = self.git.program()?;
        let directory = self.git.directory(&view.repository).await?;
        let command =
            git.service(Service::UploadPack, &directory, protocol, false, None).on_behalf_of(view.holder);
        let deadlines = GitResources::deadlines(&self.limits);
        let watch = self.entitlement(who, view, Act::Read).watch(permit.share().cut().clone());
        let body =
            transfer::read(command, input, Output::Lines, deadlines, permit).map_err(RunChildError::from)?;
        Ok(body.with_watch(watch))
    }

    /// Receives a push; `input` is the data after its head. Returns when that data is read. Until
    /// then the pusher's access is rechecked; the admission checks it a last time.
    pub async fn push(
        self: &Arc<Self>,
        who: Credential,
        target: PushTarget,
        protocol: ProtocolVersion,
        incoming: IncomingPush,
        input: Input,
        permit: TransferPermit,
    ) -> Result<PushAnswer, ServiceError> {
        let IncomingPush { mut head, rest, base_url, compressed } = incoming;
        if let Some(answer) = refuse_head(&head) {
            return Ok(PushAnswer::Refused { answer, error: None, unread: input });
        }
        let view = match self.settle_target(who, target, &head).await {
            Ok(view) => view,
            Err(error) => {
                let why = error.sentence();
                let answer = report::refusal(&head, None, |_| why.clone());
                return Ok(PushAnswer::Refused { answer, error: Some(error), unread: input });
            }
        };
        if let Some(answer) = self.refuse_at_once(&view, &mut head) {
            return Ok(PushAnswer::Refused { answer, error: None, unread: input });
        }
        let (room, directory) = match self.place_for(&view, compressed).await {
            Ok(found) => found,
            Err(error) => {
                let why = error.sentence();
                let answer = report::refusal(&head, None, |_| why.clone());
                return Ok(PushAnswer::Refused { answer, error: Some(error), unread: input });
            }
        };
        if head.has_pack() && room.bytes == 0 {
            let (answer, error) = (room.refusal(&head), Some(room.error()));
            return Ok(PushAnswer::Refused { answer, error, unread: input });
        }
        let git = self.git.program()?;
        let must = |update: &RefUpdate| permission::must_fast_forward(&view.project.config, update);
        let fast_forward = FastForward::of(&head.updates, must);
        let rules = PushRules {
            input_bytes_max: room.bytes,
            fast_forward: fast_forward.clone(),
            is_atomic: head.is_atomic(),
            has_many_refs: head.updates.len() > REFS_MANY,
        };
        let command = git
            .service(Service::ReceivePack, &directory, protocol, false, Some(&rules))
            .on_behalf_of(Holder::Account(who.user));
        let _watch = self.entitlement(Some(who), &view, Act::Push).watch(permit.share().cut().clone());
        let bytes = head.bytes.clone();
        let (has_pack, side_band) = (head.has_pack(), head.has_side_band());
        let report_lines = report::declined(&head);
        let span = push_span(None, view.repository.id);
        let hook = PushHook::new(self.clone(), who, view, head, base_url, fast_forward, room);
        let push = PushInput {
            head: bytes,
            rest,
            has_pack,
            pack_bytes_max: room.bytes,
            limits: self.limits.clone(),
            inflating: self.git.inflating.clone(),
            objects: self.git.pools.objects.clone(),
            delta_memory: self.git.pools.unpacking.clone(),
            holder: Holder::Account(who.user),
            repository: directory,
            side_band,
            report_lines,
            hook,
        };
        let deadlines = GitResources::deadlines(&self.limits);
        let received = transfer::receive(command, input, push, deadlines, permit).instrument(span);
        Ok(PushAnswer::Streamed(received.await.map_err(RunChildError::from)?))
    }

    /// Returns how much a push may add, and its directory.
    async fn place_for(
        &self,
        view: &RepositoryView,
        compressed: bool,
    ) -> Result<(Room, PathBuf), ServiceError> {
        self.git.program()?;
        Ok((self.room_for(view, compressed).await?, self.git.directory(&view.repository).await?))
    }

    /// Refuses what can be refused before git reads a byte: single refs, which
    /// [`PushRequest::decline`] removes, or the whole push, whose response is returned. An atomic
    /// push is refused whole.
    fn refuse_at_once(&self, view: &RepositoryView, head: &mut PushRequest) -> Option<Bytes> {
        let reason = |update: &RefUpdate| -> Option<String> {
            if update.old.is_none() && update.new.is_none() {
                return Some("there is nothing to delete".to_owned());
            }
            if let Err(why) = check_update_name(update) {
                return Some(why.to_owned());
            }
            check_update(view, update).err().map(|refusal| refusal.to_string())
        };
        let reasons: Vec<Option<String>> = head.updates.iter().map(reason).collect();
        let kept = || head.updates.iter().zip(&reasons).filter(|(_, why)| why.is_none());
        if kept().count() == head.updates.len() && head.declined.is_empty() {
            return None;
        }
        // git reads a pack only for commands that are not deletions: it would not read the pack of
        // declined commands.
        let has_pack = kept().any(|(update, _)| update.new.is_some());
        if kept().next().is_none() || head.is_atomic() || has_pack != head.has_pack() {
            let mut reasons = reasons.into_iter();
            return Some(report::refusal(head, None, |_| {
                reasons.next().flatten().unwrap_or_else(|| "another ref of this push was refused".to_owned())
            }));
        }
        let mut reasons = reasons.into_iter();
        head.decline(|_| reasons.next().flatten());
        None
    }
}

/// Checks whether the caller of the view may make this update of a ref.
///
/// # Errors
/// The refusal of the rule. git would refuse to delete the default branch only after it has stored
/// the objects of the other refs.
pub(super) fn check_update(view: &RepositoryView, update: &RefUpdate) -> Result<(), Refusal> {
    permission::check_update(&view.project.config, view.role, update)?;
    if update.new.is_none() && update.branch() == Some(&view.repository.default_branch) {
        let why = "the default branch cannot be deleted; make another branch the default";
        return Err(Refusal::Conflict(why));
    }
    Ok(())
}

/// Returns the text that is posted to the channel with a push.
pub(super) fn chat_text(head: &PushRequest) -> Option<String> {
    head.option(CHAT_OPTION).map(str::to_owned)
}

impl From<RunChildError> for ServiceError {
    fn from(error: RunChildError) -> Self {
        match error {
            RunChildError::TooSlow => {
                Self::new(Code::Overloaded, "the request takes longer than the server allows")
            }
            RunChildError::TooMuch => {
                Self::new(Code::TooLarge, "the response is larger than the server allows")
            }
            RunChildError::TooMuchMemory => {
                Self::new(Code::TooLarge, "git needs more memory for this than the server allows")
            }
            RunChildError::Io(_) | RunChildError::Failed(_) => {
                Self::new(Code::Internal, "git failed; the log of the server has the reason").because(error)
            }
        }
    }
}

/// Returns the response to a push that no repository would accept.
fn refuse_head(head: &PushRequest) -> Option<Bytes> {
    if let Some(text) = head.option(CHAT_OPTION)
        && (text.len() > PUSH_TEXT_BYTES_MAX || Content::parse(text.to_owned()).is_err())
    {
        let detail = "chat= must be 1 to 4096 bytes of text";
        return Some(report::refusal(head, Some(detail), |_| {
            "the text for the chat cannot be posted".to_owned()
        }));
    }
    let mut names = HashSet::with_capacity(head.updates.len());
    let is_twice = head.updates.iter().any(|update| !names.insert(&update.name));
    is_twice.then(|| report::refusal(head, None, |_| "a ref is named twice in this push".to_owned()))
}
