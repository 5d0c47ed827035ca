//! Messages of the writer's mailbox.

use std::sync::Arc;

use actix::Message;

use super::actor::DbWriterActor;
use super::command::{Command, CommandError, ExecuteError, Tx};
use super::counted::CountedRates;
use super::writer_cache::Invalidation;
use crate::core::actor::{MessageName, NamedMessage, Permit, Reply, Request};
use crate::core::telemetry;
use crate::domain::refusal::Refusal;

/// Commits the pending commands, then replies.
pub struct Drain;

impl Request for Drain {
    type Answer = ();
    type Error = CommandError;
}

/// Publishes the commits of other nodes, then replies.
pub struct ReadLog;

impl Request for ReadLog {
    type Answer = ();
    type Error = CommandError;
}

/// A command with its result so far, its permit and its reply.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PendingCommand<C: Command> {
    command: C,
    reply: Reply<C::Output, CommandError>,
    /// Outlives the handler and the answer: it moves on with [`Committed`](super::Committed), and
    /// is released when the cache has applied the events.
    permit: Option<Permit>,
    request_id: Option<Arc<str>>,
    counted: CountedRates,
    result: Option<Result<C::Output, CommandError>>,
}

impl<C: Command> NamedMessage for PendingCommand<C> {
    type Actor = DbWriterActor;
    const NAME: MessageName = C::NAME;
}

impl<C: Command> PendingCommand<C> {
    pub fn new(command: C, permit: Option<Permit>, reply: Reply<C::Output, CommandError>) -> Self {
        let (request_id, counted) = (telemetry::request_id(), CountedRates::default());
        Self { command, reply, permit, request_id, counted, result: None }
    }
}

/// Type-erased [`PendingCommand`].
pub trait QueuedCommand: Send {
    fn name(&self) -> &'static str;
    fn bytes(&self) -> usize;
    fn invalidation(&self) -> Invalidation;
    /// Id of the HTTP request that submitted the command, if any.
    fn request_id(&self) -> Option<Arc<str>>;
    /// Executes the command. Keeps a success for [`QueuedCommand::answer`].
    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), ExecuteError>;
    fn refuse(&mut self, refusal: Refusal);
    fn fail(&mut self, error: CommandError);
    fn take_permit(&mut self) -> Option<Permit>;
    /// Sends the result to the caller.
    fn answer(self: Box<Self>);
}

impl<C: Command> QueuedCommand for PendingCommand<C> {
    fn name(&self) -> &'static str {
        C::NAME.as_str()
    }

    fn bytes(&self) -> usize {
        self.command.bytes()
    }

    fn invalidation(&self) -> Invalidation {
        C::INVALIDATION
    }

    fn request_id(&self) -> Option<Arc<str>> {
        self.request_id.clone()
    }

    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), ExecuteError> {
        // A replay continues with the verdicts of the earlier execution.
        tx.counted = std::mem::take(&mut self.counted);
        let executed = self.command.execute(tx);
        self.counted = std::mem::take(&mut tx.counted);
        self.result = Some(Ok(executed?));
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.result = Some(Err(CommandError::Refused(refusal)));
    }

    fn fail(&mut self, error: CommandError) {
        self.result = Some(Err(error));
    }

    fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    fn answer(self: Box<Self>) {
        let this = *self;
        // Without a result the reply is dropped, and the caller gets `internal`.
        if let Some(result) = this.result {
            this.reply.send(result);
        }
    }
}
