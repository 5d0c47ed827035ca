//! A request: a packet whose sender waits for an answer.

use tokio::sync::OwnedSemaphorePermit;

use crate::actors::outbox::Outbox;
use crate::domain::access::Credential;
use crate::protocol::answer::{AckPacket, ServerPacket};
use crate::services::ServiceError;

/// The caller of a packet, and the id and the permit that its answer needs.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) who: Credential,
    pub(super) request_id: Option<u64>,
    /// Permit of the session's window, held until the answer is in the outbox.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Request {
    /// Sends the `Ack` of a change: always after a failure, otherwise only if the client requested
    /// an answer.
    pub(super) fn answer(&self, outbox: &Outbox, done: Result<AckPacket, ServiceError>) {
        let request_id = self.request_id;
        match done {
            Ok(_) if request_id.is_none() => {}
            Ok(ack) => {
                outbox.reply_packet(&ServerPacket::Ack(AckPacket { request_id, success: true, ..ack }));
            }
            Err(error) => self.refuse(outbox, error),
        }
    }

    /// Sends the refusal of this request.
    pub(super) fn refuse(&self, outbox: &Outbox, error: ServiceError) {
        refuse(outbox, self.request_id, error);
    }
}

/// Sends the refusal of a packet. Every NACK of a session is built here.
pub(super) fn refuse(outbox: &Outbox, request_id: Option<u64>, error: ServiceError) {
    error.log_causes();
    let ServiceError { code, detail, retry_after_ms, .. } = error;
    outbox.reply_packet(&ServerPacket::Ack(AckPacket::refusal(request_id, code, detail, retry_after_ms)));
}
