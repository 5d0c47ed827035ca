//! The handle of the writer.

use std::sync::Arc;

use tokio::sync::Notify;

use super::actor::DbWriterActor;
use super::command::{Command, CommandError};
use super::messages::{Drain, PendingCommand, ReadLog};
use super::outage::Outage;
use crate::core::actor::{Caller, Gate, Mailbox, MessageName, Overloaded, Permit, Reply};

/// Submits commands. Cheap to clone.
#[derive(Clone)]
pub struct WriterHandle {
    mailbox: Mailbox<DbWriterActor>,
    gate: Gate,
    fan_outs: Arc<Notify>,
    outage: Outage,
}

impl WriterHandle {
    /// `fan_outs` is notified by the executor, which also sets `outage`.
    pub fn new(mailbox: Mailbox<DbWriterActor>, gate: Gate, fan_outs: Arc<Notify>, outage: Outage) -> Self {
        Self { mailbox, gate, fan_outs, outage }
    }

    /// Waits until notifications may be left to write.
    pub async fn fan_out_waits(&self) {
        self.fan_outs.notified().await;
    }

    /// Notifies the task that writes notifications that some may be left.
    pub fn wake_fan_outs(&self) {
        self.fan_outs.notify_one();
    }

    /// Returns the number of commands in the mailbox.
    pub fn depth(&self) -> u64 {
        self.mailbox.stats().depth()
    }

    /// Waits for a permit, submits `command` and waits for its outcome.
    ///
    /// # Errors
    /// [`CommandError::Internal`] if the outcome is unknown.
    pub async fn execute<C: Command>(
        &self,
        caller: impl Into<Caller>,
        command: C,
    ) -> Result<C::Output, CommandError> {
        if self.outage.is_on() {
            return Err(CommandError::DatabaseAway);
        }
        let message = |reply, permit| PendingCommand::new(command, Some(permit), reply);
        self.mailbox.ask_with(&self.gate, caller, message).await
    }

    /// Returns a free permit for a command of this name without waiting; see [`Gate::try_enter`].
    pub fn try_enter(
        &self,
        caller: impl Into<Caller>,
        command: MessageName,
    ) -> Result<Option<Permit>, Overloaded> {
        self.gate.try_enter(caller, command)
    }

    pub async fn enter(&self, caller: impl Into<Caller>, command: MessageName) -> Result<Permit, Overloaded> {
        self.gate.enter(caller, command).await
    }

    /// Submits `command`; `reply` is called on the writer's thread after the commit, or at once if
    /// the database is away.
    pub fn submit<C: Command>(&self, permit: Permit, command: C, reply: Reply<C::Output, CommandError>) {
        if self.outage.is_on() {
            return reply.send(Err(CommandError::DatabaseAway));
        }
        self.mailbox.post(PendingCommand::new(command, Some(permit), reply));
    }

    /// Returns when the commits of other nodes so far are published to the cache.
    ///
    /// # Errors
    /// [`CommandError::DatabaseAway`] if the log could not be read.
    pub async fn read_log(&self) -> Result<(), CommandError> {
        self.mailbox.ask_ungated(ReadLog).await
    }

    /// Closes the gate. Returns when all commands in the mailbox are committed, published and
    /// answered.
    pub async fn drain(&self) {
        self.gate.close();
        if self.mailbox.ask_ungated(Drain).await.is_err() {
            tracing::warn!("the writer ended before it was drained");
        }
    }
}
