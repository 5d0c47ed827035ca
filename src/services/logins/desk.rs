//! The asynchronous part of pacing: a task that owns [`Pacing`] and its clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::pacing::{LoginDelay, LoginOrigin, Pacing, PacingRules, RemoteAttempt, RemoteOutcome};
use super::share::LoginShare;
use crate::core::auth::password::Standing;

/// Maximum number of attempts at other nodes that wait for the task. Further ones are dropped.
const REMOTE_MAX: usize = 256;

/// Handle of the task that queues password attempts.
pub(super) struct Desk {
    keeper: mpsc::UnboundedSender<Message>,
    share: Option<Arc<LoginShare>>,
    remote: mpsc::Sender<RemoteAttempt>,
    next: Arc<AtomicU64>,
    patience: Duration,
}

/// The outcome of a request for an attempt.
pub(super) enum Asked {
    /// The password may be tried.
    Granted(Granted),
    Waits(WaitingLogin),
}

/// An attempt that waits for its permit. Dropping it cancels the attempt.
pub(super) struct WaitingLogin {
    granted: Granted,
    answer: oneshot::Receiver<Option<Standing>>,
    patience: Duration,
}

/// A permit, or the wait for it. Dropping it releases both.
pub(super) struct Granted {
    id: u64,
    keeper: mpsc::UnboundedSender<Message>,
    right: Option<bool>,
    standing: Standing,
}

/// The first reply of the task.
enum Placed {
    Now(Standing),
    /// The second reply is `None` when the attempt is refused.
    Waits(oneshot::Receiver<Option<Standing>>),
}

/// Messages to the task. Unbounded, because each attempt holds a login permit and sends at most two
/// messages.
enum Message {
    Ask { id: u64, account: String, from: LoginOrigin, placed: oneshot::Sender<Placed> },
    Tried { id: u64, right: bool },
    Gone(u64),
}

impl Desk {
    pub(super) fn open(rules: PacingRules, patience: Duration, share: Option<LoginShare>) -> Self {
        let (keeper, messages) = mpsc::unbounded_channel();
        let (remote, from_nodes) = mpsc::channel(REMOTE_MAX);
        let share = share.map(Arc::new);
        let rules = PacingRules { shared: share.is_some(), ..rules };
        let task = DeskKeeper { pacing: Pacing::new(rules), answers: HashMap::new(), share: share.clone() };
        tokio::spawn(task.run(messages, from_nodes));
        Self { keeper, share, remote, next: Arc::default(), patience }
    }

    /// Records the outcome of an attempt at another node.
    pub(super) fn receive(&self, body: &[u8]) {
        if let Some(attempt) = self.share.as_ref().and_then(|share| share.read(body))
            && self.remote.try_send(attempt).is_err()
        {
            tracing::debug!("the outcome of a login at another node was dropped");
        }
    }

    /// Requests a permit for the account. Returns `None` when the server stops.
    pub(super) async fn ask(&self, account: &str, from: LoginOrigin) -> Option<Asked> {
        let id = self.next.fetch_add(1, Relaxed);
        let mut granted = Granted { id, keeper: self.keeper.clone(), right: None, standing: Standing::New };
        let (placed, answer) = oneshot::channel();
        let account = match &self.share {
            Some(share) => share.name_of(account),
            None => account.to_owned(),
        };
        self.keeper.send(Message::Ask { id, account, from, placed }).ok()?;
        Some(match answer.await.ok()? {
            Placed::Now(standing) => {
                granted.standing = standing;
                Asked::Granted(granted)
            }
            Placed::Waits(answer) => Asked::Waits(WaitingLogin { granted, answer, patience: self.patience }),
        })
    }
}

impl WaitingLogin {
    /// Resolves when the password may be tried. Returns `None` when the attempt is refused or has
    /// waited too long.
    pub(super) async fn turn(mut self) -> Option<Granted> {
        let answered = tokio::time::timeout(self.patience, self.answer).await;
        self.granted.standing = answered.ok()?.ok()??;
        Some(self.granted)
    }
}

impl Granted {
    /// Returns the standing of the attempt at the password hashes.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Reports whether the password was right.
    pub(super) fn tried(mut self, right: bool) {
        self.right = Some(right);
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let id = self.id;
        let last = match self.right {
            Some(right) => Message::Tried { id, right },
            None => Message::Gone(id),
        };
        // Without the task there is nothing to release.
        drop(self.keeper.send(last));
    }
}

/// The task that owns the lanes.
struct DeskKeeper {
    pacing: Pacing,
    answers: HashMap<u64, oneshot::Sender<Option<Standing>>>,
    share: Option<Arc<LoginShare>>,
}

impl DeskKeeper {
    async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        mut from_nodes: mpsc::Receiver<RemoteAttempt>,
    ) {
        loop {
            let delay_ends = async {
                match self.pacing.next_start() {
                    Some(instant) => tokio::time::sleep_until(instant.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.receive(message),
                    None => return,
                },
                Some(attempt) = from_nodes.recv() => {
                    for refused in self.pacing.record_remote(attempt, Instant::now()) {
                        self.answer(refused, false);
                    }
                }
                () = delay_ends => {}
            }
            for id in self.pacing.due(Instant::now()) {
                self.announce(id, RemoteOutcome::Started);
                self.answer(id, true);
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            // A client that left releases its permit by its drop.
            Message::Ask { id, account, from, placed } => {
                match self.pacing.ask(id, &account, from, Instant::now()) {
                    LoginDelay::Now => {
                        self.announce(id, RemoteOutcome::Started);
                        let standing = self.pacing.standing(id, Instant::now());
                        placed.send(Placed::Now(standing)).ok();
                    }
                    LoginDelay::Waits { refused } => {
                        let (answer, answered) = oneshot::channel();
                        self.answers.insert(id, answer);
                        placed.send(Placed::Waits(answered)).ok();
                        if let Some(refused) = refused {
                            self.answer(refused, false);
                        }
                    }
                }
            }
            Message::Tried { id, right } => {
                self.announce(id, if right { RemoteOutcome::Right } else { RemoteOutcome::Wrong });
                for refused in self.pacing.tried(id, right, Instant::now()) {
                    self.answer(refused, false);
                }
            }
            Message::Gone(id) => {
                self.answers.remove(&id);
                self.pacing.gone(id, Instant::now());
            }
        }
    }

    /// Sends an attempt to the other nodes.
    fn announce(&self, id: u64, outcome: RemoteOutcome) {
        if let Some(share) = &self.share
            && let Some(attempt) = self.pacing.remote_of(id, outcome)
        {
            share.publish(&attempt);
        }
    }

    /// A client that left does not read the reply; its drop releases its permit.
    fn answer(&mut self, id: u64, granted: bool) {
        if let Some(answer) = self.answers.remove(&id) {
            let standing = granted.then(|| self.pacing.standing(id, Instant::now()));
            answer.send(standing).ok();
        }
    }
}
