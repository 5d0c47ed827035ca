//! Routing: queries to the read models, commits into them, lane items to the hubs, reads to the
//! pool.

mod current;
mod delivery;
mod reload;

use crate::actors::commit::{Committed, NewestCommit, WriterEvent};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Handler, Supervised};
use reload::Reload;
use tokio::sync::Semaphore;
use tracing::error;

use super::changes::{Changes, ChatHeads};
use super::chats::Fill;
use super::counters::CacheCounters;
use super::handle::CacheHandle;
use super::log_reader::LogReader;
use super::messages::{
    CaughtUp, Comparison, LogRead, Publish, QueryRequest, SendChanges, SendReceipts, SnapshotRead, Verify,
    WindowRead,
};
use super::open_sessions::OpenSessions;
use super::queries::{Query, QueryContext, QueryOutcome};
use super::read_models::{Applied, ReadModels};
use super::uses::Uses;
use crate::actors::hub::HubHandle;
use crate::actors::presence::PresenceHandle;
use crate::core::actor::{Ask, Ctx, FatalSignal};
use crate::core::config::Cache;
use crate::core::fail_points;
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::domain::ids::ChatId;
use crate::domain::refusal::Refusal;
use crate::storage::readers::Readers;
use crate::storage::snapshot;

/// Refusals that wait for a read of the log hold at most this part of the permits of the gate.
const REFUSALS_SHARE: usize = 4;

/// A query that waits for a window or for a reload. It holds a permit of the gate, so the gate also
/// bounds the number of parked queries.
pub(super) type DeferredQuery = Box<dyn FnOnce(&mut CacheActor) + Send>;

/// The data sources of the cache, and its sizes.
pub struct Sources {
    pub readers: Readers,
    pub cache: Cache,
    pub limits: Limits,
    /// Reads the commits of other nodes. `None` on SQLite.
    pub log: Option<LogReader>,
    /// Receives the commits of snapshots. `None` on SQLite.
    pub newest: Option<NewestCommit>,
}

/// See the [module](super).
pub struct CacheActor {
    pub(super) models: ReadModels,
    /// Uses of access tokens and web logins that are not written yet.
    uses: Uses,
    pub(super) hubs: Vec<HubHandle>,
    pub(super) presence: PresenceHandle,
    pub(super) counters: CacheCounters,
    pub(super) sources: Sources,
    own: CacheHandle,
    fatal: FatalSignal,
    pub(super) sessions: OpenSessions,
    /// Queries that wait for a window.
    awaiting_window: HashMap<ChatId, Vec<DeferredQuery>>,
    reload: Reload,
    /// The number of reloads so far. Answers of earlier reloads are void.
    reloads: u64,
    dropped_by_panic: bool,
    receipts_scheduled: bool,
    /// Changed chats and repositories, for the search index.
    changes: Changes,
    /// Permits of refusals that wait for a read of the log.
    waiting_refusals: Arc<Semaphore>,
}

impl CacheActor {
    pub fn new(
        models: ReadModels,
        (hubs, presence): (Vec<HubHandle>, PresenceHandle),
        counters: CacheCounters,
        sources: Sources,
        own: CacheHandle,
        fatal: FatalSignal,
    ) -> Self {
        let uses = Uses::new(&sources.limits);
        let refusals_max = (sources.limits.cache_queries / REFUSALS_SHARE).max(1);
        let this = Self {
            models,
            uses,
            hubs,
            presence,
            counters,
            sources,
            own,
            fatal,
            sessions: OpenSessions::default(),
            awaiting_window: HashMap::new(),
            reload: Reload::No,
            reloads: 0,
            dropped_by_panic: false,
            receipts_scheduled: false,
            changes: Changes::default(),
            waiting_refusals: Arc::new(Semaphore::new(refusals_max)),
        };
        this.count_bytes();
        this
    }

    fn count_bytes(&self) {
        let bytes = saturate::to_u64(self.models.chats.window_bytes());
        self.counters.window_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn answer<Q: Query>(&mut self, ask: Ask<QueryRequest<Q>>) {
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Some(ask) = self.defer_while_reloading(ask, Self::answer) else { return };
        self.answer_or_refuse(ask, Self::refuse_if_current);
    }

    /// Answers from what is applied now.
    fn answer_now<Q: Query>(&mut self, ask: Ask<QueryRequest<Q>>) {
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Some(ask) = self.defer_while_reloading(ask, Self::answer_now) else { return };
        self.answer_or_refuse(ask, |_, ask, refusal| ask.answer(Err(refusal.into())));
    }

    fn answer_or_refuse<Q: Query>(
        &mut self,
        ask: Ask<QueryRequest<Q>>,
        refuse: fn(&mut Self, Ask<QueryRequest<Q>>, Refusal),
    ) {
        let QueryRequest { who, query, .. } = &ask.request;
        let grant = match who.map(|who| self.models.directory.authenticate(who)).transpose() {
            Ok(proven) => proven.map(|(_, grant)| grant),
            Err(refusal) => return refuse(self, ask, refusal),
        };
        if let Some(Err(refusal)) = grant.as_ref().map(|grant| grant.check(Q::REQUIRED_SCOPE)) {
            return refuse(self, ask, refusal);
        }
        let uses = &mut self.uses;
        let mut context = QueryContext { read: &mut self.models, uses, grant, fill: None };
        match (query.answer(*who, &mut context), context.fill) {
            (QueryOutcome::Now(answer), _) => {
                self.counters.hits.inc();
                match answer {
                    Ok(answer) => ask.answer(Ok(answer)),
                    Err(refusal) => refuse(self, ask, refusal),
                }
            }
            (QueryOutcome::AfterFill(chat), fill) => {
                let holder = who.map_or(Holder::Operator, |who| Holder::Account(who.user));
                self.after_fill(chat, fill.map(|fill| (fill, holder)), ask, Self::answer);
            }
        }
    }

    /// Reads a window in the pool; the answer arrives as a message. The read begins after `fill`
    /// was registered, so it sees every event that is not in the tail.
    fn read_window(&self, fill: Fill, holder: Holder) {
        let (own, readers, window) =
            (self.own.clone(), self.sources.readers.clone(), self.sources.cache.window);
        actix::spawn(async move {
            let rows = readers.read(holder, move |db| snapshot::load_window(db, fill.chat, window)).await;
            own.window_read(fill, rows);
        });
    }

    fn window_read(&mut self, WindowRead { fill, rows }: WindowRead) {
        let outcome = match rows {
            Ok(rows) => {
                self.models.chats.filled(fill, rows).map_err(|_| "its events are not dense".to_owned())
            }
            Err(error) => {
                self.models.chats.fill_failed(fill);
                Err(error.to_string())
            }
        };
        let waiting = self.awaiting_window.remove(&fill.chat).unwrap_or_default();
        match outcome {
            Ok(()) => waiting.into_iter().for_each(|deferred| deferred(self)),
            // Dropping the parked queries reports the failure to their callers.
            Err(reason) => error!(chat.id = %fill.chat, reason, "a window could not be filled"),
        }
        self.models.chats.evict(Some(&self.counters));
        self.count_bytes();
    }

    fn publish(&mut self, event: WriterEvent) {
        fail_points::reach(fail_points::IN_CACHE);
        match (event, &mut self.reload) {
            (WriterEvent::Committed(committed), Reload::Running { commits, .. }) => commits.push(committed),
            (WriterEvent::Committed(committed), Reload::No) => self.apply(committed),
            (WriterEvent::Reload, Reload::Running { .. }) => self.restart_reload(),
            (WriterEvent::Reload, Reload::No) => self.start_reload(Vec::new()),
        }
    }

    fn apply(&mut self, committed: Committed) {
        let mut lane = Vec::new();
        match self.models.apply(committed.commit_no, &committed.events, &mut lane) {
            Applied::Yes => {
                self.models.chats.evict(Some(&self.counters));
                self.count_bytes();
                self.deliver_to_all(lane);
                self.schedule_receipts();
                self.changes.note(&committed.events);
                self.schedule_changes();
            }
            Applied::Old => {}
            Applied::Gap => self.start_reload(vec![committed]),
        }
    }

    /// Schedules the sending of receipts and of notices about changed users and chats, together
    /// with those that arrive meanwhile. Without any of them no timer runs.
    fn schedule_receipts(&mut self) {
        let is_idle = self.models.receipts.is_empty() && self.models.faces.is_empty();
        if is_idle || std::mem::replace(&mut self.receipts_scheduled, true) {
            return;
        }
        let (own, wait) = (self.own.clone(), Duration::from_millis(self.sources.limits.receipts_ms));
        actix::spawn(async move {
            tokio::time::sleep(wait).await;
            own.send_receipts();
        });
    }

    /// Schedules the answer to the search index, together with changes that arrive meanwhile.
    fn schedule_changes(&mut self) {
        if !self.changes.begin_answer() {
            return;
        }
        let (own, wait) = (self.own.clone(), Duration::from_millis(self.sources.limits.search_delay_ms));
        actix::spawn(async move {
            tokio::time::sleep(wait).await;
            own.send_changes();
        });
    }

    /// Parks `what` until the chat's window is filled, then runs `then` on it. The read of the
    /// window counts for its holder.
    pub(super) fn after_fill<T: Send + 'static>(
        &mut self,
        chat: ChatId,
        fill: Option<(Fill, Holder)>,
        what: T,
        then: fn(&mut Self, T),
    ) {
        self.counters.misses.inc();
        self.awaiting_window.entry(chat).or_default().push(Box::new(move |cache| then(cache, what)));
        if let Some((fill, holder)) = fill {
            self.read_window(fill, holder);
        }
    }
}

impl Actor for CacheActor {
    type Context = Ctx<Self>;

    fn started(&mut self, _: &mut Ctx<Self>) {
        if std::mem::take(&mut self.dropped_by_panic) {
            self.start_reload(Vec::new());
        }
    }
}

impl Supervised for CacheActor {
    /// The panic may have left a change half applied, so the read models are reloaded. Callers that
    /// wait get an error.
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        self.awaiting_window.clear();
        self.changes = Changes::default();
        self.reload = Reload::No;
        self.dropped_by_panic = true;
    }
}

impl<Q: Query> Handler<Ask<QueryRequest<Q>>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<QueryRequest<Q>>, _: &mut Ctx<Self>) {
        self.answer(ask);
    }
}

impl Handler<Publish> for CacheActor {
    type Result = ();
    fn handle(&mut self, Publish(event): Publish, _: &mut Ctx<Self>) {
        self.publish(event);
    }
}

impl Handler<WindowRead> for CacheActor {
    type Result = ();
    fn handle(&mut self, read: WindowRead, _: &mut Ctx<Self>) {
        self.window_read(read);
    }
}

impl Handler<SendReceipts> for CacheActor {
    type Result = ();
    fn handle(&mut self, _: SendReceipts, _: &mut Ctx<Self>) {
        self.receipts_scheduled = false;
        let items = self.models.take_receipts(self.sources.limits.receipts_participants);
        self.presence.deliver(items);
        let notices = self.models.take_face_notices();
        self.deliver_to_all(notices);
        self.schedule_receipts();
    }
}

impl Handler<Ask<ChatHeads>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<ChatHeads>, _: &mut Ctx<Self>) {
        self.changes.wait(ask, (&self.models.chats, &self.models.projects));
        self.schedule_changes();
    }
}

impl Handler<SendChanges> for CacheActor {
    type Result = ();
    fn handle(&mut self, _: SendChanges, _: &mut Ctx<Self>) {
        self.changes.answer((&self.models.chats, &self.models.projects));
    }
}

impl Handler<CaughtUp> for CacheActor {
    type Result = ();
    fn handle(&mut self, caught_up: CaughtUp, _: &mut Ctx<Self>) {
        self.caught_up(caught_up);
    }
}

impl Handler<LogRead> for CacheActor {
    type Result = ();
    fn handle(&mut self, LogRead(deferred): LogRead, _: &mut Ctx<Self>) {
        deferred(self);
    }
}

impl Handler<SnapshotRead> for CacheActor {
    type Result = ();
    fn handle(&mut self, read: SnapshotRead, _: &mut Ctx<Self>) {
        self.snapshot_read(read);
    }
}

impl Handler<Ask<Verify>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<Verify>, _: &mut Ctx<Self>) {
        let fresh = &ask.request.fresh;
        let commits = (self.models.commit_no, fresh.commit_no);
        let differences = self.models.differences(fresh);
        ask.answer(Ok(Comparison { commits, differences }));
    }
}
