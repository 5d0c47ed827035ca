//! The asynchronous part of pacing: a task that owns [`Pacing`] and its clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::pacing::{Origin, Pacing, PacingRules, Turn};
use crate::core::auth::password::Standing;

/// Where tries wait for their turn.
pub(super) struct Desk {
    keeper: mpsc::UnboundedSender<Message>,
    next: Arc<AtomicU64>,
    patience: Duration,
}

/// A turn, or the wait for it: dropping it gives both up.
pub(super) struct Granted {
    id: u64,
    keeper: mpsc::UnboundedSender<Message>,
    right: Option<bool>,
    standing: Standing,
}

/// What the keeper is asked. Unbounded, because tries hold places of the logins, and each has two messages.
enum Message {
    Ask { id: u64, account: String, from: Origin, answer: oneshot::Sender<Option<Standing>> },
    Tried { id: u64, right: bool },
    Gone(u64),
}

impl Desk {
    pub(super) fn open(rules: PacingRules, patience: Duration) -> Self {
        let (keeper, messages) = mpsc::unbounded_channel();
        tokio::spawn(Keeper { pacing: Pacing::new(rules), answers: HashMap::new() }.run(messages));
        Self { keeper, next: Arc::default(), patience }
    }

    /// Returns when the password may be tried; `None` when the try is refused or has waited too long.
    pub(super) async fn turn(&self, account: &str, from: Origin) -> Option<Granted> {
        let id = self.next.fetch_add(1, Relaxed);
        let mut granted = Granted { id, keeper: self.keeper.clone(), right: None, standing: Standing::New };
        let (answer, answered) = oneshot::channel();
        let ask = Message::Ask { id, account: account.to_owned(), from, answer };
        self.keeper.send(ask).ok()?;
        let answered = tokio::time::timeout(self.patience, answered).await;
        granted.standing = answered.ok()?.ok()??;
        Some(granted)
    }
}

impl Granted {
    /// How the try stands at the password hashes.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// What the try has shown.
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
        // Without a keeper there is nothing to give back.
        drop(self.keeper.send(last));
    }
}

/// The owner of the lanes.
struct Keeper {
    pacing: Pacing,
    answers: HashMap<u64, oneshot::Sender<Option<Standing>>>,
}

impl Keeper {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
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
                () = delay_ends => {}
            }
            for id in self.pacing.due(Instant::now()) {
                self.answer(id, true);
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Ask { id, account, from, answer } => {
                self.answers.insert(id, answer);
                match self.pacing.ask(id, &account, from, Instant::now()) {
                    Turn::Now => self.answer(id, true),
                    Turn::Waits { refused: Some(refused) } => self.answer(refused, false),
                    Turn::Waits { refused: None } => {}
                }
            }
            Message::Tried { id, right } => {
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

    /// A client that left does not read the answer; its turn is given back by its drop.
    fn answer(&mut self, id: u64, granted: bool) {
        if let Some(answer) = self.answers.remove(&id) {
            let standing = granted.then(|| self.pacing.standing(id, Instant::now()));
            answer.send(standing).ok();
        }
    }
}
