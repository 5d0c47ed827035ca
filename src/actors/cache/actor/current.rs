//! Several nodes: the log of commits is read before a refusal, and a state that is too old answers
//! nothing. See [`LogReader`] and [`Freshness`].
//!
//! [`LogReader`]: crate::actors::cache::LogReader
//! [`Freshness`]: crate::actors::freshness::Freshness

use std::time::Duration;

use super::reload::Reload;
use super::{CacheActor, DeferredQuery};
use crate::actors::cache::messages::{CaughtUp, QueryRequest};
use crate::actors::cache::queries::Query;
use crate::actors::error::QueryError;
use crate::core::actor::Ask;
use crate::domain::refusal::Refusal;

impl CacheActor {
    /// Refuses an answer from a state that is too old. Called at the time of each answer.
    pub(in crate::actors::cache) fn check_freshness(&self) -> Result<(), QueryError> {
        self.sources.log.as_ref().map_or(Ok(()), |log| log.freshness().check())
    }

    /// Records that the read models were current, if they have applied the newest commit.
    pub(super) fn caught_up(&mut self, caught_up: CaughtUp) {
        match &mut self.reload {
            Reload::Running { caught_up: latest, .. } => *latest = Some(caught_up),
            Reload::No if self.models.commit_no >= caught_up.commit_no => {
                if let Some(log) = &self.sources.log {
                    log.freshness().record(caught_up.at);
                }
            }
            // A commit is still missing: the next read of the log finds it.
            Reload::No => {}
        }
    }

    /// Refuses the query, unless another node may have committed what it asks for: then it is
    /// answered again behind the commits of the others. A request needs one read of the log for all
    /// of its refusals. Otherwise its duration would show their number.
    pub(super) fn refuse_if_current<Q: Query>(&mut self, ask: Ask<QueryRequest<Q>>, refusal: Refusal) {
        let log = self.sources.log.as_ref();
        let is_current = |arrived| log.is_some_and(|log| log.freshness().was_current_at(arrived));
        if ask.request.arrived.is_some_and(is_current) {
            return ask.answer(Err(refusal.into()));
        }
        if let Some(ask) =
            self.behind_the_log(ask, Self::answer_now, |ask| ask.answer(Err(QueryError::Stale)))
        {
            ask.answer(Err(refusal.into()));
        }
    }

    /// Returns `what` if no other node runs. Else runs `then` on it once the log was read, or
    /// `unread` if the log could not be read in time, or too many refusals wait already: a refusal
    /// from an old state could be wrong.
    pub(in crate::actors::cache) fn behind_the_log<T: Send + 'static>(
        &mut self,
        what: T,
        then: fn(&mut Self, T),
        unread: fn(T),
    ) -> Option<T> {
        let Some(log) = self.sources.log.as_ref().filter(|log| log.others_run()) else { return Some(what) };
        let waiting = self.waiting_refusals.clone().try_acquire_owned();
        let (Ok(waiting), Some(done)) = (waiting, log.request()) else {
            unread(what);
            return None;
        };
        let (own, patience) = (self.own.clone(), Duration::from_millis(self.sources.limits.commit_wait_ms));
        actix::spawn(async move {
            // A refusal holds a permit of the gate: strangers must not occupy all of them while the
            // writer waits.
            let is_read = matches!(tokio::time::timeout(patience, done).await, Ok(Ok(())));
            drop(waiting);
            if !is_read {
                return unread(what);
            }
            let deferred: DeferredQuery = Box::new(move |cache| then(cache, what));
            own.log_read(deferred);
        });
        None
    }
}
