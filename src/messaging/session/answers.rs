//! Answers to queries: requested from a service and put into the session's outbox.
//!
//! Each answer is a future that the actor spawns. It holds its request, and so the permit of the
//! window, until the answer is in the outbox. Bulk answers are made one at a time, only while the
//! outbox is below half, and within a [`BulkRoom`](super::room::BulkRoom).

use super::request::Request;
use super::responder::Responder;
use super::state::Arrangement;
use crate::actors::writer::commands::LeftChats;
use crate::domain::device::DeviceKey;
use crate::domain::event_page::EventRange;
use crate::domain::ids::{ChatId, UserId};
use crate::protocol::answer::{AckPacket, ServerPacket};
use crate::protocol::found::{CodeHit, CodeLine, CommitHit};
use crate::protocol::view::{ChatSummary, EventView, UserView};
use crate::services::answers::no_space;
use crate::services::search::SearchRequest;

/// Bytes of a server frame reserved for everything but events.
const FRAME_OVERHEAD_BYTES: usize = 4096;
/// Upper bound of the bytes of a chat in a list, without its names.
const CHAT_BYTES: usize = 256;
/// Upper bound of the bytes of a message in the results of a search: excerpt, names, highlights.
const HIT_BYTES: usize = 1536;
/// Upper bound of the bytes of a file, a line of a file or a commit in the results of a search,
/// without their texts.
const ROW_BYTES: usize = 256;
/// Upper bound of the bytes of a highlighted range.
const RANGE_BYTES: usize = 12;
/// Upper bound of the bytes of a user in the results of a search.
const PERSON_BYTES: usize = 512;
/// Upper bound of the bytes of a user in a list, without the names.
const USER_BYTES: usize = 64;

fn file_bytes(hit: &CodeHit) -> usize {
    let texts = hit.path.len() + hit.repository.len() + hit.branch.len();
    let line = |line: &CodeLine| ROW_BYTES + line.text.len() + line.highlights.len() * RANGE_BYTES;
    ROW_BYTES + texts + hit.lines.iter().map(line).sum::<usize>()
}

fn commit_bytes(hit: &CommitHit) -> usize {
    let texts = hit.repository.len() + hit.subject.len() + hit.author.len() + hit.excerpt.len();
    ROW_BYTES + texts + hit.highlights.len() * RANGE_BYTES
}

impl Responder {
    pub(super) async fn chats(self, request: Request, after: ChatId) {
        let (who, request_id) = (request.who, request.request_id);
        let mut room = self.bulk_room(who);
        let Ok(_bulk_permit) = self.bulk.acquire().await else { return };
        let mut limit = self.services.limits.welcome_chats;
        loop {
            self.outbox.room().await;
            let found = match self.services.chats(who, after, limit, false).await {
                Ok(found) => found,
                Err(error) => return request.refuse(&self.outbox, error),
            };
            let chats: Vec<_> = found.items.into_iter().map(|chat| chat.summary).collect();
            let bytes = chats.len() * CHAT_BYTES + chats.iter().map(text_bytes).sum::<usize>();
            if let Some(admitted) = room.admit(bytes) {
                let has_more = found.has_more;
                self.outbox.reply_packet(&ServerPacket::Chats { request_id, chats: &chats, has_more });
                return room.sent(admitted);
            }
            drop(chats);
            limit = (limit / 4).max(1);
            if room.small().await.is_none() {
                return request.refuse(&self.outbox, no_space());
            }
        }
    }

    pub(super) async fn page(self, request: Request, chat_id: ChatId, range: EventRange) {
        let (who, request_id) = (request.who, request.request_id);
        let mut room = self.bulk_room(who);
        let Ok(_bulk_permit) = self.bulk.acquire().await else { return };
        let (messages_only, newest) = (range.messages_only, range.after.is_none());
        let (cost, mut frame_bytes) = (room.cost(), self.services.limits.server_frame_bytes);
        let (page, admitted) = loop {
            self.outbox.room().await;
            let page = match self.services.events(who, chat_id, range.clone()).await {
                Ok(page) => page.fit(newest, frame_bytes.saturating_sub(FRAME_OVERHEAD_BYTES), cost),
                Err(error) => return request.refuse(&self.outbox, error),
            };
            let bytes = page.events.iter().map(|event| cost(event)).sum::<usize>();
            if let Some(admitted) = room.admit(FRAME_OVERHEAD_BYTES + bytes) {
                break (page, admitted);
            }
            // The page is dropped while the answer waits, and made again afterwards.
            drop(page);
            match room.small().await {
                Some(bytes) => frame_bytes = bytes,
                None => return request.refuse(&self.outbox, no_space()),
            }
        };
        let (has_more, as_of) = (page.has_more, page.as_of);
        // An event takes more bytes in memory than on the wire.
        let bytes = FRAME_OVERHEAD_BYTES + page.bytes();
        if messages_only {
            let messages = page.events.iter().filter_map(|event| event.message()).map(|m| &**m).collect();
            let page = ServerPacket::Messages { request_id, chat_id, messages, has_more, as_of };
            self.outbox.reply_page(&page, bytes);
        } else {
            let events = page.events.iter().map(|event| EventView::listed(event)).collect();
            let page = ServerPacket::Events { request_id, chat_id, events, has_more, as_of };
            self.outbox.reply_page(&page, bytes);
        }
        room.sent(admitted);
    }

    /// Searches messages, code, commits and users.
    pub(super) async fn search(self, request: Request, search: SearchRequest) {
        let (who, request_id) = (request.who, request.request_id);
        let mut room = self.bulk_room(who);
        let Ok(_bulk_permit) = self.bulk.acquire().await else { return };
        self.outbox.room().await;
        let results = match self.services.search(who, search).await {
            Ok(results) => results,
            Err(error) => return request.refuse(&self.outbox, error),
        };
        let hits = results.messages.as_ref().map_or(0, |messages| messages.hits.len());
        let people = results.people.as_ref().map_or(0, |people| people.hits.len());
        let code = results.code.as_ref().map_or(0, |code| code.hits.iter().map(file_bytes).sum::<usize>());
        let commits = results.commits.as_ref();
        let commits = commits.map_or(0, |found| found.hits.iter().map(commit_bytes).sum::<usize>());
        let bytes = FRAME_OVERHEAD_BYTES + hits * HIT_BYTES + code + commits + people * PERSON_BYTES;
        let admitted = loop {
            if let Some(admitted) = room.admit(bytes) {
                break admitted;
            }
            if room.small().await.is_none() {
                return request.refuse(&self.outbox, no_space());
            }
        };
        self.outbox.reply_packet(&ServerPacket::Found { request_id, results: &results });
        room.sent(admitted);
    }

    /// Returns the users with the given ids.
    pub(super) async fn users(self, request: Request, ids: Vec<UserId>) {
        let (who, request_id) = (request.who, request.request_id);
        let mut room = self.bulk_room(who);
        let Ok(_bulk_permit) = self.bulk.acquire().await else { return };
        self.outbox.room().await;
        let people = match self.services.users_by_id(who, ids).await {
            Ok(users) => users.iter().map(|user| UserView::from(&**user)).collect::<Vec<_>>(),
            Err(error) => return request.refuse(&self.outbox, error),
        };
        let names = |user: &UserView| USER_BYTES + user.username.len() + user.display_name.len();
        let bytes = people.iter().map(names).sum();
        let admitted = loop {
            if let Some(admitted) = room.admit(bytes) {
                break admitted;
            }
            if room.small().await.is_none() {
                return request.refuse(&self.outbox, no_space());
            }
        };
        self.outbox.reply_packet(&ServerPacket::Users { request_id, people });
        room.sent(admitted);
    }

    /// Issues a new UDP ticket for the session's device.
    pub(super) async fn ticket(self, request: Request, device: DeviceKey) {
        let (who, request_id) = (request.who, request.request_id);
        match self.services.issue_ticket(who, device).await {
            Ok(ticket) => {
                let udp = ticket.view(self.services.limits.udp_ticket_seconds, self.services.udp_address());
                self.outbox.reply_packet(&ServerPacket::Ticket { request_id, udp });
            }
            Err(error) => request.refuse(&self.outbox, error),
        }
    }

    /// Blocks or unblocks a user.
    pub(super) async fn block(self, request: Request, username: String, blocks: bool) {
        let done = self.services.set_block(request.who, username, blocks).await;
        request.answer(&self.outbox, done.map(|()| AckPacket::default()));
    }

    /// Changes how the session's user sees chats.
    pub(super) async fn arrange(self, request: Request, arrangement: Arrangement) {
        let done = match arrangement {
            Arrangement::MarkUnread { chat, from } => {
                self.services.mark_unread(request.who, chat, from).await.map(Some)
            }
            Arrangement::MarkAllRead => self.services.mark_all_read(request.who).await.map(|()| None),
            Arrangement::Follow { chat, message, follows } => {
                self.services.follow_thread(request.who, (chat, message), follows).await.map(|()| None)
            }
            Arrangement::Hide { chat, hidden } => {
                self.services.set_hidden(request.who, chat, hidden).await.map(|()| None)
            }
        };
        request.answer(&self.outbox, done.map(|seq| AckPacket { seq, ..AckPacket::default() }));
    }

    /// Leaves all chats to which the given user added the session's user.
    pub(super) async fn leave_chats(self, request: Request, username: String) {
        let Ok(_bulk_permit) = self.bulk.acquire().await else { return };
        let done = self.services.leave_chats_of(request.who, username).await;
        let ack = |left: LeftChats| AckPacket {
            left: Some(left.left),
            more: Some(left.more),
            ..AckPacket::default()
        };
        request.answer(&self.outbox, done.map(ack));
    }

    pub(super) async fn heartbeat(self, request: Request) {
        let session_ref = self.session_ref(request.who);
        if let Err(error) = self.services.cache.heartbeat(session_ref, request.request_id).await {
            request.refuse(&self.outbox, error.into());
        }
    }
}

fn text_bytes(chat: &ChatSummary) -> usize {
    chat.name.as_ref().map_or(0, String::len) + chat.peer.as_ref().map_or(0, String::len)
}
