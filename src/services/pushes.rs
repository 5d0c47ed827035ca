//! Admits a push, and records its result.
//!
//! Refs and chat events live in two systems without a common transaction. So the end of the pack is
//! held back until an intent is committed. The result of the push is the difference between the
//! refs and the intent. It is written once, by the first to settle: the push itself, the background
//! task, or the next start.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error_span};

use super::blocking::blocking;
use super::git_resources::PushLock;
use super::room::Room;
use super::transfers::chat_text;
use super::{ServiceError, Services};
use crate::actors::cache::{ReadersNamed, RepositoryById, RepositoryView};
use crate::actors::error::QueryError;
use crate::actors::writer::commands::{CountAttempt, OpenPush, Opened, SettlePush, Settled, WantedRefs};
use crate::core::actor::Caller;
use crate::core::database::Db;
use crate::core::fail_points;
use crate::core::shares::{BudgetGrant, Holder};
use crate::core::telemetry::{chain, request_id};
use crate::domain::access::Credential;
use crate::domain::ids::{PushId, RepositoryId};
use crate::domain::push::{FastForward, PUSH_REFS_MAX, PushSummary, RefUpdate, page_path};
use crate::domain::repository::Repository;
use crate::git::history::{self, PushScan, WalkLimits};
use crate::git::pack_limits::PackCost;
use crate::git::push_request::PushRequest;
use crate::git::report;
use crate::git::store::StoreError;
use crate::git::transfer::{ReceiveHook, Refuser};
use crate::protocol::code::Code;
use crate::storage::queries::pushes;
use crate::storage::rows::push::PushIntent;

/// Maximum number of intents settled in one round.
const INTENTS_PER_ROUND: i64 = 100;
/// The refs of a larger push are synced to disk in one step, and the repository is packed in the
/// background.
pub(super) const REFS_MANY: usize = 1_000;
/// A push with more watchers than fit this many slices is finished in the background.
const SLICES_MAX: usize = 1_000;

/// Shown in the pusher's terminal when `-o chat=` was ignored.
const TEXT_LEFT_OUT: &str =
    "\nThe text of -o chat was left out: the access token lacks the scope chat:write\n";

/// Decides whether one push is accepted.
pub(super) struct PushHook {
    services: Arc<Services>,
    who: Credential,
    view: RepositoryView,
    /// Shared: it has up to `limits.git_head_bytes`, and the code that refuses the push while git
    /// runs needs it too.
    head: Arc<PushRequest>,
    /// The URL by which the pusher reached the server. Only the pusher's terminal shows it.
    base_url: String,
    fast_forward: FastForward,
    room: Room,
    admitted: Option<AdmittedPush>,
}

/// How much is read to describe the result of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PushDetail {
    /// Refs and the new commits.
    Commits,
    /// Only refs: reading the commits has failed too often.
    Refs,
}

/// A push whose result is recorded.
pub(super) struct SettledPush {
    settled: Settled,
    /// New commits, up to the counting limit.
    commit_count: usize,
    /// The first refs that moved.
    refs: Vec<RefUpdate>,
    /// The default branch after the push.
    default_branch: String,
}

/// Held from the moment the push may move refs until its result is recorded.
struct AdmittedPush {
    opened: Opened,
    refs: WantedRefs,
    _lock: PushLock,
    /// For a push that needs much memory to unpack.
    _memory: Option<BudgetGrant>,
    _token: TaskTrackerToken,
}

impl PushHook {
    pub(super) fn new(
        services: Arc<Services>,
        who: Credential,
        view: RepositoryView,
        head: PushRequest,
        base_url: String,
        fast_forward: FastForward,
        room: Room,
    ) -> Self {
        let head = Arc::new(head);
        Self { services, who, view, head, base_url, fast_forward, room, admitted: None }
    }

    async fn open(&self, cost: PackCost) -> Result<AdmittedPush, ServiceError> {
        let repository = self.view.repository.id;
        // Before the push lock: other pushes to this repository do not wait for memory.
        let (git, holder) = (&self.services.git, Holder::Account(self.who.user));
        let memory = git.unpacking_permit(holder, cost).await?;
        let lock = self.services.git.push_lock(repository).await?;
        git.check_objects(&self.view.repository, cost.objects, &self.services.limits).await?;
        let token = self.services.git.admit();
        let refs = self.applicable_updates().await?;
        let refs = blocking(move || WantedRefs::new(refs)).await??;
        let command = || OpenPush {
            who: self.who,
            repository,
            refs: refs.clone(),
            checked: Some((self.view.project.clone(), self.view.role)),
            fast_forward: self.fast_forward.clone(),
            chat_text: chat_text(&self.head),
            base_url: self.services.git.public_url().unwrap_or_default().to_owned(),
            node: self.services.git.node.clone(),
        };
        let opened = match self.services.writer.execute(self.who, command()).await.map_err(ServiceError::from)
        {
            // An earlier push was never settled. No other push can be settling it, because this
            // push holds the lock.
            Err(error) if error.code == Code::Conflict => {
                self.services.settle_pending_of(repository).await?;
                self.services.writer.execute(self.who, command()).await?
            }
            other => other?,
        };
        Ok(AdmittedPush { opened, refs, _lock: lock, _memory: memory, _token: token })
    }

    /// Returns the updates that can apply. The caller holds the push lock: no other push moves refs
    /// of this repository meanwhile.
    ///
    /// # Errors
    /// Fails if no update can apply, or if the repository would become too large.
    async fn applicable_updates(&self) -> Result<Vec<RefUpdate>, ServiceError> {
        let (store, key) = (self.services.git.store.clone(), self.view.repository.storage_key);
        let head = self.head.clone();
        let refs_max = self.services.limits.git_refs;
        let read = blocking(move || {
            let updates = &head.updates;
            let creations = updates.iter().filter(|update| update.old.is_none()).count();
            let full = creations > 0 && store.ref_count(key)?.saturating_add(creations) > refs_max;
            let applicable = history::applicable_updates(&store.existing(key)?, updates)?;
            Ok::<_, StoreError>((applicable, store.size_bytes(key)?, full))
        });
        let (applicable, size, full) = read.await??;
        if full {
            let why = format!("a repository may have {refs_max} refs; delete some, then push again");
            return Err(ServiceError::new(Code::TooLarge, why));
        }
        if applicable.is_empty() {
            let why =
                "the refs have moved since they were read, or their names are taken; fetch, then push again";
            return Err(ServiceError::new(Code::Conflict, why));
        }
        let movable: HashSet<&str> = applicable.iter().map(|update| update.name.as_str()).collect();
        let stuck = self.head.updates.iter().find(|update| !movable.contains(update.name.as_str()));
        if let Some(stuck) = stuck.filter(|_| self.head.is_atomic()) {
            let why = format!(
                "the push is atomic, and {} has moved since it was read, or its name is taken; fetch, then push again",
                stuck.name
            );
            return Err(ServiceError::new(Code::Conflict, why));
        }
        // Includes files in quarantine: concurrent pushes share the quota.
        if self.head.has_pack() {
            self.services.check_room(&self.view, size).await?;
        }
        Ok(applicable)
    }
}

/// Returns the span of a push. Its id is unknown until the push is admitted.
///
/// At `error`, so that every line has the ids: a push starts a process, beside which a span costs
/// nothing.
pub(super) fn push_span(push: Option<PushId>, repository: RepositoryId) -> Span {
    let span = error_span!("push", push.id = Empty, repository.id = %repository, request_id = request_id().as_deref());
    if let Some(push) = push {
        span.record("push.id", display(push));
    }
    span
}

impl ReceiveHook for PushHook {
    async fn pre_receive(&mut self, cost: PackCost) -> Result<(), Bytes> {
        match self.open(cost).await {
            Ok(admitted) => {
                Span::current().record("push.id", display(admitted.opened.push));
                self.admitted = Some(admitted);
                Ok(())
            }
            Err(error) => {
                error.log_causes();
                let why = error.sentence();
                Err(report::refusal(&self.head, Some(&why), |_| why.clone()))
            }
        }
    }

    async fn may_continue(&mut self) -> Result<(), Bytes> {
        let checked = self.services.check_disk().await;
        checked.map_err(|error| {
            error.log_causes();
            let why = error.sentence();
            report::refusal(&self.head, Some(&why), |_| why.clone())
        })
    }

    fn too_large(&self) -> Bytes {
        self.room.refusal(&self.head)
    }

    fn refuser(&self) -> Refuser {
        let head = self.head.clone();
        Box::new(move |why| report::refusal(&head, Some(why), |_| why.to_owned()))
    }

    fn malformed(&self, why: String) -> Bytes {
        report::refusal(&self.head, Some(&why), |_| why.clone())
    }

    async fn post_receive(self) -> Option<Bytes> {
        let admitted = self.admitted?;
        let Opened { push, is_text_left_out } = admitted.opened;
        let settled = self.services.settle(push, &self.view.repository, admitted.refs.updates()).await;
        if settled.as_ref().is_ok_and(|done| done.commit_count >= self.services.limits.git_graph_commits) {
            let owner = self.view.project.owner_id;
            self.services.write_graph_soon(&self.view.repository, owner);
        }
        match settled {
            Ok(SettledPush { settled: Settled { announced: Some(_), .. }, refs, default_branch, .. }) => {
                let path = self.view.path();
                let link = format!("{}{}", self.base_url, page_path(&path, &default_branch, &refs));
                let left_out = if is_text_left_out { TEXT_LEFT_OUT } else { "" };
                Some(report::text(&format!(
                    "{left_out}\nPosted in the channel of {path}. The change:\n  {link}\n\n"
                )))
            }
            Ok(_) => is_text_left_out.then(|| report::text(TEXT_LEFT_OUT)),
            Err(error) => {
                // The refs have moved: the push stands, and the background task records the rest.
                tracing::warn!(push.id = %push, error = %chain(&error), "cannot settle a push yet");
                is_text_left_out.then(|| report::text(TEXT_LEFT_OUT))
            }
        }
    }
}

impl Services {
    /// Computes the result of a push and records it. The caller holds the repository's push lock.
    pub(super) async fn settle(
        &self,
        push: PushId,
        repository: &Repository,
        updates: &[RefUpdate],
    ) -> Result<SettledPush, ServiceError> {
        fail_points::reach(fail_points::BEFORE_SETTLEMENT);
        if updates.len() > REFS_MANY {
            let (store, key) = (self.git.store.clone(), repository.storage_key);
            blocking(move || store.sync_refs(key)).await??;
        }
        let summary = self.summarize(repository, updates, PushDetail::Commits).await?;
        let (commit_count, is_large) = (summary.commit_count, summary.ref_count > REFS_MANY);
        let refs = summary.refs.clone();
        let default_branch = summary.default_branch.as_ref().unwrap_or(&repository.default_branch).clone();
        let settled = self.write_settlement(push, summary).await?;
        if is_large {
            // Each ref is a file until refs are packed, which slows down every reader.
            self.git.maintain_soon();
        }
        Ok(SettledPush { settled, commit_count, refs, default_branch })
    }

    async fn write_settlement(&self, push: PushId, summary: PushSummary) -> Result<Settled, ServiceError> {
        let mut last = Settled::default();
        for _ in 0..SLICES_MAX {
            let command = SettlePush { push, summary: summary.clone(), node: self.git.node.clone() };
            last = self.writer.execute(Caller::Server, command).await?;
            if !last.more {
                break;
            }
        }
        Ok(last)
    }

    async fn summarize(
        &self,
        repository: &Repository,
        updates: &[RefUpdate],
        detail: PushDetail,
    ) -> Result<PushSummary, ServiceError> {
        self.git.check_stored_here(repository)?;
        let (store, key, updates) = (self.git.store.clone(), repository.storage_key, updates.to_vec());
        let (limits, default) = (WalkLimits::of(&self.limits), repository.default_branch.clone());
        let read = blocking(move || {
            let path = store.existing(key)?;
            let scan = match detail {
                PushDetail::Commits => {
                    fail_points::reach(fail_points::BEFORE_READING);
                    history::scan_push(&path, &updates, limits)?
                }
                PushDetail::Refs => {
                    PushScan { refs: history::moved_refs(&path, &updates)?, ..PushScan::default() }
                }
            };
            let default_branch = history::first_branch(&path, &default, &scan.refs)?;
            Ok::<_, StoreError>((scan, store.size_bytes(key)?, default_branch))
        });
        let (mut scan, size_bytes, default_branch) = read.await??;
        let ref_count = scan.refs.len();
        scan.refs.truncate(PUSH_REFS_MAX);
        let mentioned = self
            .cache
            .ask_anonymously(ReadersNamed {
                project: repository.project_id,
                named: scan.named,
                limit: self.limits.mentions_per_message,
            })
            .await?;
        Ok(PushSummary {
            refs: scan.refs,
            ref_count,
            commits: scan.commits,
            commit_count: scan.commit_count,
            mentioned,
            size_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX),
            default_branch,
        })
    }

    /// Settles a push that an earlier one left pending. The caller holds the repository's push
    /// lock.
    pub(super) async fn settle_pending_of(&self, repository: RepositoryId) -> Result<(), ServiceError> {
        let pending =
            self.readers.read(Holder::Operator, move |db| pushes::pending_intent_of(db, repository)).await?;
        if let Some(intent) = pending {
            self.settle_intent(&intent).await?;
        }
        Ok(())
    }

    async fn unsettled(&self) -> Result<Vec<PushIntent>, ServiceError> {
        let node = self.git.node.clone();
        let read = move |db: &mut Db| pushes::all_unsettled(db, node.as_ref(), INTENTS_PER_ROUND);
        Ok(self.readers.read(Holder::Operator, read).await?)
    }

    async fn settle_intent(&self, intent: &PushIntent) -> Result<Settled, ServiceError> {
        match self.cache.ask_anonymously(RepositoryById(intent.repository_id)).await {
            // An announced push is settled without reading the refs: they may have changed since.
            Ok(_) if intent.announced => self.write_settlement(intent.id, PushSummary::default()).await,
            Ok(repository) => {
                self.git.check_stored_here(&repository)?;
                // Counted before anything is read: an attempt that ends the process counts.
                let attempts = self.writer.execute(Caller::Server, CountAttempt { push: intent.id }).await?;
                let detail = match attempts {
                    attempts if attempts > self.limits.git_settle_attempts => PushDetail::Refs,
                    _ => PushDetail::Commits,
                };
                let id = intent.id;
                let refs = self.readers.read(Holder::Operator, move |db| pushes::refs_of(db, id)).await?;
                let summary = self.summarize(&repository, &refs, detail).await?;
                self.write_settlement(intent.id, summary).await
            }
            // The repository is gone: there is nothing left to announce.
            Err(QueryError::Refused(_)) => self.write_settlement(intent.id, PushSummary::default()).await,
            // The cache is stale or busy: the next round tries again.
            Err(error) => Err(error.into()),
        }
    }

    /// Settles pending earlier pushes of repositories without a running push. Returns how many were
    /// settled.
    pub(super) async fn settle_unfinished_pushes(&self) -> Result<usize, ServiceError> {
        let intents = self.unsettled().await?;
        Ok(self.settle_intents(intents).await)
    }

    /// Settles the intents of repositories without a running push. Returns how many were settled.
    pub(super) async fn settle_intents(&self, intents: Vec<PushIntent>) -> usize {
        let mut settled = 0;
        for intent in intents {
            let Some(_lock) = self.git.try_push_lock(intent.repository_id).await else { continue };
            let span = push_span(Some(intent.id), intent.repository_id);
            match self.settle_intent(&intent).instrument(span).await {
                Ok(_) => settled += 1,
                Err(error) => {
                    tracing::warn!(push.id = %intent.id, error = %chain(&error), "cannot settle a push")
                }
            }
        }
        settled
    }
}
