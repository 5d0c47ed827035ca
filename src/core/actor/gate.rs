//! Gates: bound how many asks may be inside an actor at once, and how long an ask waits for a
//! permit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::names::MessageName;
use super::stats::ActorStats;
use crate::domain::access::Credential;
use crate::domain::ids::UserId;

/// Number of counters that the per-user cap is spread over. Two users who share a counter share its
/// permits: a bound on memory in exchange for a little fairness.
const USER_STRIPES: usize = 1024;

/// No permit became free within the patience, or the actor accepts no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is overloaded; try again in {} ms", retry_after.as_millis())]
pub struct Overloaded {
    pub retry_after: Duration,
}

/// The caller on whose behalf an ask enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A user, who has a separate cap before the shared one.
    User(i64),
    /// An unknown caller: registration, login.
    Anyone,
    /// The server itself: revocation, drain. Has a few permits that no flood can take.
    Server,
}

impl From<Credential> for Caller {
    fn from(who: Credential) -> Self {
        who.user.into()
    }
}

impl From<UserId> for Caller {
    fn from(user: UserId) -> Self {
        Self::User(user.0)
    }
}

/// A permit to be inside. Dropping it admits the next ask.
#[derive(Debug)]
pub struct Permit {
    _shared: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

/// Bounds the asks of one actor, over all clones of its handle.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    users: Arc<[Arc<Semaphore>]>,
    patience: Duration,
    stats: Arc<ActorStats>,
}

impl Gate {
    /// Allows `capacity` permits in total, `per_user` for each user, and a sixteenth of `capacity`
    /// more for the server itself.
    pub fn new(capacity: usize, per_user: usize, patience: Duration, stats: Arc<ActorStats>) -> Self {
        let shared = Arc::new(Semaphore::new(capacity));
        stats.watch(shared.clone());
        Self {
            shared,
            reserved: Arc::new(Semaphore::new((capacity / 16).max(1))),
            users: (0..USER_STRIPES).map(|_| Arc::new(Semaphore::new(per_user))).collect(),
            patience,
            stats,
        }
    }

    fn own(&self, caller: Caller) -> Option<&Arc<Semaphore>> {
        let Caller::User(id) = caller else { return None };
        let stripe = usize::try_from(id.unsigned_abs()).unwrap_or(0) % USER_STRIPES;
        self.users.get(stripe)
    }

    fn common(&self, caller: Caller) -> &Arc<Semaphore> {
        if caller == Caller::Server { &self.reserved } else { &self.shared }
    }

    /// Acquires a permit for `message` without waiting. `Ok(None)` means that waiting may help.
    pub fn try_enter(
        &self,
        caller: impl Into<Caller>,
        message: MessageName,
    ) -> Result<Option<Permit>, Overloaded> {
        let caller = caller.into();
        let own = match self.own(caller).map(|own| own.clone().try_acquire_owned()) {
            None => None,
            Some(Ok(permit)) => Some(permit),
            Some(Err(TryAcquireError::NoPermits)) => return Ok(None),
            Some(Err(TryAcquireError::Closed)) => return Err(self.refuse(message)),
        };
        match self.common(caller).clone().try_acquire_owned() {
            Ok(shared) => Ok(Some(Permit { _shared: shared, _own: own })),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(self.refuse(message)),
        }
    }

    /// Acquires a permit for `message`, waiting at most the patience.
    pub async fn enter(&self, caller: impl Into<Caller>, message: MessageName) -> Result<Permit, Overloaded> {
        let caller = caller.into();
        if let Some(permit) = self.try_enter(caller, message)? {
            return Ok(permit);
        }
        let begun = Instant::now();
        let entered = tokio::time::timeout(self.patience, async {
            let own = match self.own(caller) {
                Some(own) => Some(own.clone().acquire_owned().await?),
                None => None,
            };
            let shared = self.common(caller).clone().acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Permit { _shared: shared, _own: own })
        })
        .await;
        self.stats.waited_for_slot(message, begun.elapsed());
        match entered {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.refuse(message)),
        }
    }

    /// Admits no more asks, except of the server itself. Asks inside are served.
    pub fn close(&self) {
        self.shared.close();
        for own in self.users.iter() {
            own.close();
        }
    }

    fn refuse(&self, message: MessageName) -> Overloaded {
        self.stats.refused(message);
        Overloaded { retry_after: self.patience.max(Duration::from_millis(100)) }
    }
}
