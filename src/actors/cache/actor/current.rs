//! Refusals on several nodes: the log of commits is read first. See [`LogReader`].
//!
//! [`LogReader`]: crate::actors::cache::LogReader

use super::{CacheActor, DeferredQuery};
use crate::actors::cache::messages::QueryRequest;
use crate::actors::cache::queries::Query;
use crate::core::actor::Ask;
use crate::domain::refusal::Refusal;

impl CacheActor {
    /// Refuses the query, unless another node may have committed what it asks for: then it is
    /// answered again behind the commits of the others.
    pub(super) fn refuse_if_current<Q: Query>(&mut self, ask: Ask<QueryRequest<Q>>, refusal: Refusal) {
        if let Some(ask) = self.behind_the_log(ask, Self::answer_now) {
            ask.answer(Err(refusal.into()));
        }
    }

    /// Returns `what` if no other node runs. Else runs `then` on it once the log was read.
    pub(in crate::actors::cache) fn behind_the_log<T: Send + 'static>(
        &mut self,
        what: T,
        then: fn(&mut Self, T),
    ) -> Option<T> {
        let Some(done) = self.sources.log.as_ref().and_then(|log| log.request()) else { return Some(what) };
        let own = self.own.clone();
        let deferred: DeferredQuery = Box::new(move |cache| then(cache, what));
        actix::spawn(async move {
            // If the log cannot be read, the refusal comes from what is known.
            drop(done.await);
            own.log_read(deferred);
        });
        None
    }
}
