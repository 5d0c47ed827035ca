//! Handling of packets from the server, one at a time.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::line::Line;
use super::session::{Asked, Session, Stop};
use crate::cli::chat::link::{Link, packet_of};
use crate::cli::chat::outgoing::Refused;
use crate::cli::chat::people::People;
use crate::cli::chat::rest::RestError;
use crate::cli::chat::text::shorten;
use crate::client::Received;
use crate::domain::ids::UserId;
use crate::protocol::answer::{ListOrCount, ReceivedPacket};
use crate::protocol::packet::MessagePacket;
use crate::protocol::view::EventData;

/// Characters of a failed message that are quoted to identify it.
const QUOTE_CHARACTERS: usize = 40;
/// Wait before a page is requested again that the server could not return.
const PAGE_PAUSE: Duration = Duration::from_secs(2);
/// Ids per request for names: the server's maximum.
const NAMES_AT_ONCE: usize = 100;

impl Session {
    pub(super) async fn incoming(&mut self, incoming: Received) -> Result<(), Stop> {
        match incoming {
            Received::Event(event) => {
                self.meet(std::slice::from_ref(&*event)).await?;
                let lines = self.model.apply(&event);
                self.show(&lines)
            }
            Received::Packet(packet) => self.packet(*packet).await,
        }
    }

    /// The connection is open: the `Welcome` lists the chats.
    pub(super) async fn welcomed(&mut self, welcome: &ReceivedPacket) -> Result<(), Stop> {
        if self.epoch.is_some() && self.epoch != welcome.epoch {
            // Ids and seqs of another history have other meanings: an unsent message could go to
            // any chat.
            self.model.start_over();
            self.failures += self.outgoing.abandon().len();
            self.announce = false;
            let text = "the server's history was replaced: the open chat and unsent messages are discarded; see /chats";
            self.show(&[Line::Problem(text.to_owned())])?;
        }
        self.epoch = welcome.epoch;
        self.model.people = People::default();
        self.model.begin_listing();
        self.listed(welcome).await
    }

    /// Handles a page of the list of chats and requests the next page if there is more.
    async fn listed(&mut self, packet: &ReceivedPacket) -> Result<(), Stop> {
        let chats = packet.chats.list();
        let mut lines = self.model.list(chats, self.announce);
        match chats.last().filter(|_| packet.has_more) {
            Some(last) => {
                let packet = MessagePacket { after_chat_id: Some(last.id), ..packet_of("GetChats") };
                self.request(packet, Asked::Chats).await?;
            }
            None => {
                lines.extend(self.model.end_listing());
                if !std::mem::replace(&mut self.announce, true) {
                    lines.extend(self.model.entries());
                }
            }
        }
        self.show(&lines)
    }

    async fn packet(&mut self, packet: ReceivedPacket) -> Result<(), Stop> {
        let asked = packet.request_id.and_then(|request| self.asked.remove(&request));
        match packet.packet_type.as_str() {
            "Ack" if packet.success => {
                if asked == Some(Asked::Message) {
                    let sent = self.outgoing.acknowledged();
                    self.acknowledged = sent.map(|sent| sent.chat).zip(packet.seq);
                }
                Ok(())
            }
            "Ack" => self.refused(&packet, asked),
            "Chats" => self.listed(&packet).await,
            "Events" => self.events(&packet).await,
            "Pong" => self.compare(&packet).await,
            "Presence" => {
                self.model.people.learn(&packet.users);
                Ok(())
            }
            "Marks" => {
                let own = packet.marks.iter().find(|mark| mark.user_id == self.model.me);
                if let (Some(chat), Some(own), Some(unread)) = (packet.chat_id, own, packet.unread_count) {
                    self.model.moved(chat, own.read_seq, unread);
                }
                Ok(())
            }
            "Reset" => {
                let lines = packet.chat_id.map(|chat| self.model.deleted(chat)).unwrap_or_default();
                self.show(&lines)
            }
            "Limited" => self.lost("this client reads messages too slowly"),
            "Goodbye" => {
                self.after_ms = packet.after_ms;
                let code = packet.code.as_deref().unwrap_or("no reason given");
                self.lost(&format!("the server closed the session ({code})"))
            }
            // This client does not know this kind of packet.
            _ => Ok(()),
        }
    }

    /// Handles a refusal of the server.
    fn refused(&mut self, packet: &ReceivedPacket, asked: Option<Asked>) -> Result<(), Stop> {
        let code = packet.code.as_deref().unwrap_or_default();
        let error = packet.error.as_deref().unwrap_or("no reason was given");
        if code == "unauthenticated" {
            return self.lost(error);
        }
        match asked {
            Some(Asked::Message) => {
                match self.outgoing.refused(code, packet.retry_after_ms, Instant::now()) {
                    Some(Refused::GivenUp(unsent)) => {
                        self.failures += 1;
                        let text = shorten(&unsent.content, QUOTE_CHARACTERS);
                        self.show(&[Line::Problem(format!("not sent: {error} ({code}): {text}"))])
                    }
                    Some(Refused::Later) => self.show(&[Line::Info(format!(
                        "the server cannot accept the message now ({code}); sending it again soon"
                    ))]),
                    None => Ok(()),
                }
            }
            Some(Asked::Command) => {
                self.failures += 1;
                self.show(&[Line::Problem(format!("not done: {error} ({code})"))])
            }
            Some(Asked::Events(id)) if matches!(code, "not_found" | "forbidden" | "bad_request") => {
                self.model.give_up(id);
                Ok(())
            }
            // Without the list no line is read: the next session begins with it.
            Some(Asked::Chats) => self.lost(&format!("the list of chats cannot be read: {error} ({code})")),
            // Chats in `behind` are requested again.
            Some(Asked::Events(_)) => {
                self.pages_from = Some(Instant::now() + PAGE_PAUSE);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn events(&mut self, packet: &ReceivedPacket) -> Result<(), Stop> {
        let Some(id) = packet.chat_id else { return Ok(()) };
        self.meet(&packet.events).await?;
        let lines = self.model.apply_page(id, &packet.events, packet.has_more, packet.as_of.unwrap_or(0));
        self.show(&lines)
    }

    /// Compares the sums of a heartbeat's answer with the model. The answer is ordered with the
    /// events, so the sums must match. Otherwise events are missing, and a list of the chats shows
    /// which.
    async fn compare(&mut self, packet: &ReceivedPacket) -> Result<(), Stop> {
        let (ListOrCount::Count(chats), Some(heads_sum)) = (&packet.chats, packet.heads_sum) else {
            return Ok(());
        };
        let catching_up =
            !self.model.behind.is_empty() || self.asked.values().any(|asked| *asked == Asked::Chats);
        if catching_up || self.model.agrees(*chats, heads_sum) {
            return Ok(());
        }
        self.model.begin_listing();
        self.request(packet_of("GetChats"), Asked::Chats).await
    }

    /// Requests the unknown names in these events. Events carry ids only, and each line needs its
    /// names.
    async fn meet(&mut self, events: &[EventData]) -> Result<(), Stop> {
        let strangers: Vec<_> = self.model.strangers(events).into_iter().collect();
        self.introduce(&strangers).await
    }

    /// Requests the names of some ids. Users that the server does not name are not requested again.
    pub(super) async fn introduce(&mut self, users: &[UserId]) -> Result<(), Stop> {
        let Link::Online { rest, .. } = &mut self.link else { return Ok(()) };
        for some in users.chunks(NAMES_AT_ONCE) {
            let ids: Vec<_> = some.iter().map(UserId::to_string).collect();
            let path = format!("/api/users?ids={}", ids.join(","));
            let page: Value = match rest.ask(Method::GET, &path, None).await {
                Ok(page) => page,
                Err(RestError::LoginNeeded) => return Err(Stop::LoginNeeded),
                Err(RestError::Failed { .. }) => return Ok(()),
            };
            self.model.introduce(&page);
            for user in some {
                if !self.model.knows(*user) {
                    self.model.called(*user, None);
                }
            }
        }
        Ok(())
    }
}
