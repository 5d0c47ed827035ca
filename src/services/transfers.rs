//! Clones, fetches and pushes: who may, and when it is their turn.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::access::RepositoryPath;
use super::hosting::Hosting;
use super::push_targets::PushTarget;
use super::pushes::{PushJudge, REFS_MANY};
use super::room::Room;
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::core::shares::{Client, Holder};
use crate::core::telemetry::cut;
use crate::domain::access::Credential;
use crate::domain::message::Content;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::push::{FastForward, PUSH_TEXT_BYTES_MAX, RefUpdate};
use crate::git::compute::ComputeError;
use crate::git::metrics::{Turn, Work};
use crate::git::program::{ProtocolVersion, PushRules, Service};
use crate::git::push_head::{PushHead, check_update_name};
use crate::git::report;
use crate::git::transfer::{self, Input, Output, Push, TransferBody};
use crate::protocol::code::Code;

/// The option of a push whose value goes to the project's channel with it.
const CHAT_OPTION: &str = "chat";

/// What a service of git needs.
fn act_of(service: Service) -> Act {
    match service {
        Service::UploadPack => Act::Read,
        Service::ReceivePack => Act::Push,
    }
}

/// A push whose head has been read.
pub struct Arrival {
    pub head: PushHead,
    /// What arrived behind the head already.
    pub rest: Bytes,
    /// How the pusher reached the server, for links that the pusher alone sees.
    pub base_url: String,
    /// The whole body is compressed (`Content-Encoding`).
    pub compressed: bool,
}

/// What is answered to a push.
pub enum PushAnswer {
    Streamed(TransferBody),
    /// git was not asked: the whole answer.
    Refused {
        answer: Bytes,
        /// What keeps the server from taking the push; `None` when the push itself is refused.
        error: Option<ServiceError>,
        /// What the client may still be sending.
        unread: Input,
    },
}

impl Services {
    /// The repository behind a git route, for somebody who may use the service.
    pub async fn git_repository(
        &self,
        who: Option<Credential>,
        at: &RepositoryPath,
        service: Service,
    ) -> Result<RepositoryView, ServiceError> {
        self.repository(who, at, act_of(service)).await
    }

    /// The refs, as `git` advertises them, streamed. `None`: of a repository that a push may create.
    pub async fn advertise(
        &self,
        view: Option<&RepositoryView>,
        service: Service,
        protocol: ProtocolVersion,
        client: Client,
    ) -> Result<TransferBody, ServiceError> {
        let git = self.hosting.git()?;
        let turn = self.hosting.turn_for(Work::Advertise, client).await?;
        let directory = match view {
            Some(view) => self.hosting.directory(&view.repository).await?,
            None => self.hosting.empty_directory().await?,
        };
        let command = git.service(service, &directory, protocol, true, None).on_behalf_of(client.holder);
        let deadlines = Hosting::deadlines(&self.limits);
        let nothing = Input::plain(tokio::io::empty());
        Ok(transfer::read(command, nothing, Output::Lines, deadlines, turn).map_err(ComputeError::from)?)
    }

    /// A place among the fetches: taken before the request is read.
    pub async fn fetch_turn(&self, client: Client) -> Result<Turn, ServiceError> {
        self.hosting.turn_for(Work::Fetch, client).await
    }

    /// A place among the pushes: taken before the head of the push is read.
    pub async fn push_turn(&self, client: Client) -> Result<Turn, ServiceError> {
        self.hosting.turn_for(Work::Push, client).await
    }

    /// Streams what `git upload-pack` answers to `input`, for as long as the caller may read the repository.
    pub async fn fetch(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        protocol: ProtocolVersion,
        input: Input,
        turn: Turn,
    ) -> Result<TransferBody, ServiceError> {
        let git = self.hosting.git()?;
        let directory = self.hosting.directory(&view.repository).await?;
        let command =
            git.service(Service::UploadPack, &directory, protocol, false, None).on_behalf_of(view.holder);
        let deadlines = Hosting::deadlines(&self.limits);
        let watch = self.entitlement(who, view, Act::Read).watch(turn.share().cut().clone());
        let body =
            transfer::read(command, input, Output::Lines, deadlines, turn).map_err(ComputeError::from)?;
        Ok(body.with_watch(watch))
    }

    /// Takes a push; `input` is what follows its head. Returns when that was read. Until then the pusher's access is
    /// asked for again; the admission asks a last time.
    pub async fn push(
        self: &Arc<Self>,
        who: Credential,
        target: PushTarget,
        protocol: ProtocolVersion,
        arrival: Arrival,
        input: Input,
        turn: Turn,
    ) -> Result<PushAnswer, ServiceError> {
        let Arrival { mut head, rest, base_url, compressed } = arrival;
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
        let git = self.hosting.git()?;
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
        let _watch = self.entitlement(Some(who), &view, Act::Push).watch(turn.share().cut().clone());
        let bytes = head.bytes.clone();
        let (has_pack, side_band) = (head.has_pack(), head.has_side_band());
        let report_lines = report::declined(&head);
        let judge = PushJudge::new(self.clone(), who, view, head, base_url, fast_forward, room);
        let push = Push {
            head: bytes,
            rest,
            has_pack,
            pack_bytes_max: room.bytes,
            limits: self.limits.clone(),
            inflating: self.hosting.inflating.clone(),
            objects: self.hosting.pools.objects.clone(),
            delta_memory: self.hosting.pools.unpacking.clone(),
            holder: Holder::Account(who.user),
            repository: directory,
            side_band,
            report_lines,
            judge,
        };
        let deadlines = Hosting::deadlines(&self.limits);
        let body =
            transfer::receive(command, input, push, deadlines, turn).await.map_err(ComputeError::from)?;
        Ok(PushAnswer::Streamed(body))
    }

    /// How much a push may bring, and where it goes.
    async fn place_for(
        &self,
        view: &RepositoryView,
        compressed: bool,
    ) -> Result<(Room, PathBuf), ServiceError> {
        self.hosting.git()?;
        Ok((self.room_for(view, compressed).await?, self.hosting.directory(&view.repository).await?))
    }

    /// Refuses what can be refused before git sees a byte: single refs, which [`PushHead::decline`] takes out, or the
    /// whole push, whose answer is returned. An atomic push is refused whole.
    fn refuse_at_once(&self, view: &RepositoryView, head: &mut PushHead) -> Option<Bytes> {
        let config = &view.project.config;
        let reason = |update: &RefUpdate| -> Option<String> {
            if update.old.is_none() && update.new.is_none() {
                return Some("there is nothing to delete".to_owned());
            }
            if let Err(why) = check_update_name(update) {
                return Some(why.to_owned());
            }
            if let Err(refusal) = permission::check_update(config, view.role, update) {
                return Some(refusal.to_string());
            }
            // git would refuse it after it has taken the objects of the other refs.
            if update.new.is_none() && update.branch() == Some(&view.repository.default_branch) {
                return Some("the default branch cannot be deleted; make another one the default".to_owned());
            }
            None
        };
        let reasons: Vec<Option<String>> = head.updates.iter().map(reason).collect();
        let kept = || head.updates.iter().zip(&reasons).filter(|(_, why)| why.is_none());
        if kept().count() == head.updates.len() && head.declined.is_empty() {
            return None;
        }
        // git takes a pack for one of its commands only: it would not read the pack of those that are declined.
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

/// The text that goes to the channel with a push.
pub(super) fn chat_text(head: &PushHead) -> Option<String> {
    head.option(CHAT_OPTION).map(str::to_owned)
}

impl From<ComputeError> for ServiceError {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::TooSlow => Self::new(Code::Overloaded, "this takes longer than the server allows"),
            ComputeError::TooMuch => Self::new(Code::TooLarge, "the answer is larger than the server allows"),
            ComputeError::TooMuchMemory => {
                Self::new(Code::TooLarge, "git needs more memory for this than the server allows")
            }
            ComputeError::Io(_) | ComputeError::Failed(_) => {
                tracing::error!(error = %cut(&error), "git could not do its part");
                Self::new(Code::Internal, "git could not do its part")
            }
        }
    }
}

/// The answer to a push that no repository would accept.
fn refuse_head(head: &PushHead) -> Option<Bytes> {
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
