//! Chat commands of a session: submitted to the writer, and answered after the commit.

use super::request::Request;
use super::responder::Responder;
use super::state::ChatCommand;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{Appended, UpdatedMessage};
use crate::core::actor::{Caller, MessageName, Overloaded, Permit, Reply};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::protocol::answer::AckPacket;

/// A chat command that waits for a permit of the writer.
pub(super) struct QueuedChatCommand {
    pub(super) request: Request,
    pub(super) chat: ChatId,
    pub(super) command: ChatCommand,
}

/// Result of a chat command.
struct Done {
    message_id: Option<MessageId>,
    seq: Seq,
    duplicate: bool,
    unnotified: bool,
}

impl Done {
    fn at(seq: Seq) -> Self {
        Self { message_id: None, seq, duplicate: false, unnotified: false }
    }

    fn ack(self) -> AckPacket {
        AckPacket {
            message_id: self.message_id,
            seq: Some(self.seq),
            duplicate: self.duplicate.then_some(true),
            unnotified: self.unnotified.then_some(true),
            ..AckPacket::default()
        }
    }
}

impl QueuedChatCommand {
    /// Returns the caller and the command's name, for the writer's gate.
    pub(super) fn at_gate(&self) -> (Caller, MessageName) {
        (self.request.who.into(), self.command.name())
    }
}

impl Responder {
    /// Submits a chat command with the writer's permit, or refuses it without one.
    pub(super) fn submit(&self, queued: QueuedChatCommand, permit: Result<Permit, Overloaded>) {
        let QueuedChatCommand { request, chat, command } = queued;
        let permit = match permit {
            Ok(permit) => permit,
            Err(overloaded) => return request.refuse(&self.outbox, overloaded.into()),
        };
        let (who, outbox) = (request.who, self.outbox.clone());
        // Runs on the writer's thread after the commit: only encodes a few bytes and queues them.
        let answer = move |outcome: Result<Done, CommandError>| {
            request.answer(&outbox, outcome.map(Done::ack).map_err(Into::into));
            drop(request);
        };
        match command {
            ChatCommand::Send(message) => {
                let reply = Reply::call(move |outcome: Result<Appended, CommandError>| {
                    answer(outcome.map(|appended| Done {
                        message_id: Some(appended.message.id),
                        seq: appended.message.seq,
                        duplicate: appended.duplicate,
                        unnotified: appended.unnotified,
                    }));
                });
                self.services.submit_message(who, chat, message, permit, reply);
            }
            ChatCommand::Update(message, update) => {
                let reply = Reply::call(move |outcome: Result<UpdatedMessage, CommandError>| {
                    answer(outcome.map(|done| Done {
                        message_id: Some(done.message.id),
                        duplicate: done.duplicate,
                        ..Done::at(done.seq)
                    }));
                });
                self.services.submit_update(who, (chat, message), update, permit, reply);
            }
            ChatCommand::Mark(marks) => {
                let reply = Reply::call(move |outcome: Result<Seq, CommandError>| {
                    answer(outcome.map(Done::at));
                });
                self.services.submit_marks(who, chat, marks, permit, reply);
            }
        }
    }
}
