//! Answers to queries: requested from a service and put into the session's outbox.
//!
//! Each answer runs as a task of its own and holds its packet's window permit until the answer is
//! in the outbox. Bulk answers are made one at a time, only while the outbox is below half, and
//! within a [`BulkRoom`](super::room::BulkRoom).

use tokio::sync::OwnedSemaphorePermit;

use super::actor::SessionActor;
use super::state::{Arrangement, nack};
use crate::actors::cache::EventRange;
use crate::actors::outbox::Outbox;
use crate::actors::writer::commands::LeftChats;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, UserId};
use crate::protocol::answer::{AckPacket, ServerPacket};
use crate::protocol::view::{ChatSummary, EventView, UserView};
use crate::services::ServiceError;
use crate::services::answers::no_space;

/// Bytes of a server frame reserved for everything but events.
const FRAME_OVERHEAD_BYTES: usize = 4096;
/// Upper bound of the bytes of a chat in a list, without its names.
const CHAT_BYTES: usize = 256;
/// Upper bound of the bytes of a user in a list, without the names.
const USER_BYTES: usize = 64;

impl SessionActor {
    pub(super) fn chats(
        &self,
        who: Credential,
        request_id: Option<u64>,
        after: ChatId,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, bulk) = (self.services.clone(), self.outbox.clone(), self.bulk.clone());
        let mut room = self.bulk_room(who);
        actix::spawn(async move {
            let _window_permit = window_permit;
            let Ok(_bulk_permit) = bulk.acquire().await else { return };
            let mut limit = services.limits.welcome_chats;
            loop {
                outbox.room().await;
                let (list, has_more) = match services.chats(who, after, limit, false).await {
                    Ok(found) => found,
                    Err(error) => return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error))),
                };
                let chats: Vec<_> = list.into_iter().map(|(summary, _)| summary).collect();
                let bytes = chats.len() * CHAT_BYTES + chats.iter().map(text_bytes).sum::<usize>();
                if let Some(admitted) = room.admit(bytes) {
                    outbox.reply_packet(&ServerPacket::Chats { request_id, chats: &chats, has_more });
                    return room.sent(admitted);
                }
                drop(chats);
                limit = (limit / 4).max(1);
                if room.small().await.is_none() {
                    return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, no_space())));
                }
            }
        });
    }

    pub(super) fn page(
        &self,
        who: Credential,
        request_id: Option<u64>,
        chat_id: ChatId,
        range: EventRange,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, bulk) = (self.services.clone(), self.outbox.clone(), self.bulk.clone());
        let mut room = self.bulk_room(who);
        actix::spawn(async move {
            let _window_permit = window_permit;
            let Ok(_bulk_permit) = bulk.acquire().await else { return };
            let (messages_only, newest) = (range.messages_only, range.after.is_none());
            let (cost, mut frame_bytes) = (room.cost(), services.limits.server_frame_bytes);
            let (page, admitted) = loop {
                outbox.room().await;
                let page = match services.events(who, chat_id, range.clone()).await {
                    Ok(page) => page.fit(newest, frame_bytes.saturating_sub(FRAME_OVERHEAD_BYTES), cost),
                    Err(error) => return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error))),
                };
                let bytes = page.events.iter().map(|event| cost(event)).sum::<usize>();
                if let Some(admitted) = room.admit(FRAME_OVERHEAD_BYTES + bytes) {
                    break (page, admitted);
                }
                // The page is dropped while the answer waits, and made again afterwards.
                drop(page);
                match room.small().await {
                    Some(bytes) => frame_bytes = bytes,
                    None => return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, no_space()))),
                }
            };
            let (has_more, as_of) = (page.has_more, page.as_of);
            // An event takes more bytes in memory than on the wire.
            let bytes = FRAME_OVERHEAD_BYTES + page.bytes();
            if messages_only {
                let messages = page.events.iter().filter_map(|event| event.message()).map(|m| &**m).collect();
                let page = ServerPacket::Messages { request_id, chat_id, messages, has_more, as_of };
                outbox.reply_page(&page, bytes);
            } else {
                let events = page.events.iter().map(|event| EventView::listed(event)).collect();
                let page = ServerPacket::Events { request_id, chat_id, events, has_more, as_of };
                outbox.reply_page(&page, bytes);
            }
            room.sent(admitted);
        });
    }

    /// Returns the users with the given ids.
    pub(super) fn users(
        &self,
        who: Credential,
        request_id: Option<u64>,
        ids: Vec<UserId>,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, bulk) = (self.services.clone(), self.outbox.clone(), self.bulk.clone());
        let mut room = self.bulk_room(who);
        actix::spawn(async move {
            let _window_permit = window_permit;
            let Ok(_bulk_permit) = bulk.acquire().await else { return };
            outbox.room().await;
            let people = match services.users_by_id(who, ids).await {
                Ok(users) => users.iter().map(|user| UserView::from(&**user)).collect::<Vec<_>>(),
                Err(error) => return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error))),
            };
            let names = |user: &UserView| USER_BYTES + user.username.len() + user.display_name.len();
            let bytes = people.iter().map(names).sum();
            let admitted = loop {
                if let Some(admitted) = room.admit(bytes) {
                    break admitted;
                }
                if room.small().await.is_none() {
                    return outbox.reply_packet(&ServerPacket::Ack(nack(request_id, no_space())));
                }
            };
            outbox.reply_packet(&ServerPacket::Users { request_id, people });
            room.sent(admitted);
        });
    }

    /// Issues a new UDP ticket for the session's device.
    pub(super) fn ticket(
        &self,
        who: Credential,
        request_id: Option<u64>,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, device) = (self.services.clone(), self.outbox.clone(), self.device.clone());
        actix::spawn(async move {
            let _window_permit = window_permit;
            match services.issue_ticket(who, device).await {
                Ok(ticket) => {
                    let udp = ticket.view(services.limits.udp_ticket_seconds, services.udp_address());
                    outbox.reply_packet(&ServerPacket::Ticket { request_id, udp });
                }
                Err(error) => outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error))),
            }
        });
    }

    /// Blocks or unblocks a user.
    pub(super) fn block(
        &self,
        who: Credential,
        request_id: Option<u64>,
        username: String,
        blocks: bool,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox) = (self.services.clone(), self.outbox.clone());
        actix::spawn(async move {
            let _window_permit = window_permit;
            let done = services.set_block(who, username, blocks).await;
            answer(&outbox, request_id, done.map(|()| AckPacket::default()));
        });
    }

    /// Changes how the session's user sees chats.
    pub(super) fn arrange(
        &self,
        who: Credential,
        request_id: Option<u64>,
        arrangement: Arrangement,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox) = (self.services.clone(), self.outbox.clone());
        actix::spawn(async move {
            let _window_permit = window_permit;
            let done = match arrangement {
                Arrangement::MarkUnread { chat, from } => {
                    services.mark_unread(who, chat, from).await.map(Some)
                }
                Arrangement::MarkAllRead => services.mark_all_read(who).await.map(|()| None),
                Arrangement::Follow { chat, message, follows } => {
                    services.follow_thread(who, (chat, message), follows).await.map(|()| None)
                }
                Arrangement::Hide { chat, hidden } => {
                    services.set_hidden(who, chat, hidden).await.map(|()| None)
                }
            };
            answer(&outbox, request_id, done.map(|seq| AckPacket { seq, ..AckPacket::default() }));
        });
    }

    /// Leaves all chats to which the given user added the session's user.
    pub(super) fn leave_chats(
        &self,
        who: Credential,
        request_id: Option<u64>,
        username: String,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, bulk) = (self.services.clone(), self.outbox.clone(), self.bulk.clone());
        actix::spawn(async move {
            let _window_permit = window_permit;
            let Ok(_bulk_permit) = bulk.acquire().await else { return };
            let done = services.leave_chats_of(who, username).await;
            let ack = |left: LeftChats| AckPacket {
                left: Some(left.left),
                more: Some(left.more),
                ..AckPacket::default()
            };
            answer(&outbox, request_id, done.map(ack));
        });
    }

    pub(super) fn heartbeat(
        &self,
        who: Credential,
        request_id: Option<u64>,
        window_permit: OwnedSemaphorePermit,
    ) {
        let (services, outbox, session_ref) =
            (self.services.clone(), self.outbox.clone(), self.session_ref(who));
        actix::spawn(async move {
            let _window_permit = window_permit;
            if let Err(error) = services.cache.heartbeat(session_ref, request_id).await {
                outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error.into())));
            }
        });
    }
}

fn text_bytes(chat: &ChatSummary) -> usize {
    chat.name.as_ref().map_or(0, String::len) + chat.peer.as_ref().map_or(0, String::len)
}

/// Sends the `Ack` of a change: always after a failure, otherwise only if the client requested an
/// answer.
fn answer(outbox: &Outbox, request_id: Option<u64>, done: Result<AckPacket, ServiceError>) {
    match done {
        Ok(_) if request_id.is_none() => {}
        Ok(ack) => {
            outbox.reply_packet(&ServerPacket::Ack(AckPacket { request_id, success: true, ..ack }));
        }
        Err(error) => outbox.reply_packet(&ServerPacket::Ack(nack(request_id, error))),
    }
}
