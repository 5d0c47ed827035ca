//! Requests of sessions: registration, catching up, heartbeats.
//!
//! Every answer is ordered among the events on the lane of the session's hub. The item with the
//! last missed events also switches a chat from catching up to live, so no event falls between the
//! two.

use actix::Handler;

use super::actor::CacheActor;
use super::chats::Lookup;
use super::messages::{
    CatchUp, ChatsElsewhere, CloseSession, Heartbeat, IssueTicket, OpenSession, Replay, ResumeCursors,
    SessionRef,
};
use super::queries::readable;
use crate::actors::error::QueryError;
use crate::actors::hub::{LaneItem, Replayed, SessionSubscription};
use crate::actors::presence::PresenceItem;
use crate::core::actor::{Ask, Ctx};
use crate::core::shares::Holder;
use crate::domain::access::AccessGrant;
use crate::domain::event::ChatEvent;
use crate::domain::event_page::EventRange;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::refusal::Refusal;
use crate::protocol::answer::ServerPacket;
use crate::protocol::framing;

/// Size estimate in bytes for the answer about one chat of a `Resume`: there may be thousands.
const CURSOR_ANSWER_BYTES: usize = 96;

impl CacheActor {
    /// Opens a session. Before a refusal, the commits of other nodes are applied.
    fn open_session(&mut self, ask: Ask<OpenSession>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::open_session) else { return };
        let is_refused = self.models.directory.authenticate(ask.request.0.session_ref.who).is_err();
        let ask = if is_refused {
            self.behind_the_log(ask, Self::open_session_now, |ask| ask.answer(Err(QueryError::Stale)))
        } else {
            Some(ask)
        };
        if let Some(ask) = ask {
            self.open_session_now(ask);
        }
    }

    fn open_session_now(&mut self, ask: Ask<OpenSession>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::open_session_now) else { return };
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Ask { request: OpenSession(registration), reply, .. } = ask;
        let user = match self.models.directory.authenticate(registration.session_ref.who) {
            Ok((user, AccessGrant::Whole)) => user.clone(),
            Ok((_, AccessGrant::Token(_))) => {
                return reply.send(Err(Refusal::Forbidden("sessions need a login").into()));
            }
            Err(refusal) => return reply.send(Err(refusal.into())),
        };
        let limits = &self.sources.limits;
        if !self.sessions.open(
            registration.session_ref.session,
            registration.session_ref.hub,
            user.id,
            limits.sessions_per_user,
        ) {
            let refusal = Refusal::RateLimited { retry_after_ms: limits.ask_patience_ms };
            return reply.send(Err(refusal.into()));
        }
        let page = self.models.summaries(user.id, ChatId(0), limits.welcome_chats);
        let welcome = ServerPacket::Welcome {
            request_id: registration.request_id,
            user_id: user.id,
            username: &user.username,
            session_id: registration.session_ref.session,
            epoch: self.models.epoch,
            heartbeat_ms: limits.heartbeat_ms,
            max_frame_bytes: limits.frame_bytes,
            window: limits.in_flight,
            chats: &page.items,
            has_more: page.has_more,
            udp: registration
                .ticket
                .as_ref()
                .map(|(ticket, address)| ticket.view(limits.udp_ticket_seconds, address)),
        };
        let Ok(welcome) = framing::encode(&welcome) else { return };
        let SessionRef { session, hub, who } = registration.session_ref;
        self.presence.deliver(vec![PresenceItem::Registered {
            session,
            who,
            device: registration.device,
            status: registration.status,
            outbox: registration.outbox.clone(),
            chats: self.chat_ids(user.id),
            ticket: registration.ticket.map(|(ticket, _)| ticket),
        }]);
        let chats = self.models.chats.of_user(user.id, ChatId(0));
        let chats = chats.map(|state| (state.chat.id, state.chat.last_seq)).collect();
        if let Some(hub) = self.hubs.get(hub) {
            hub.deliver(vec![LaneItem::Registered {
                subscription: SessionSubscription {
                    session,
                    who,
                    outbox: registration.outbox,
                    echo: registration.echo,
                },
                chats,
                welcome,
                reply,
            }]);
        }
    }

    fn chat_ids(&self, user: UserId) -> Vec<ChatId> {
        self.models.chats.of_user(user, ChatId(0)).map(|state| state.chat.id).collect()
    }

    /// Activates a ticket. A ticket is valid for as long as the login that requested it.
    fn issue_ticket(&mut self, ask: Ask<IssueTicket>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::issue_ticket) else { return };
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let issued = match self.models.directory.authenticate(ask.request.who) {
            Ok((_, AccessGrant::Whole)) => Ok(()),
            Ok((_, AccessGrant::Token(_))) => Err(Refusal::Forbidden("tickets need a login").into()),
            Err(refusal) => Err(refusal.into()),
        };
        if issued.is_ok() {
            let IssueTicket { who, device, ticket } = ask.request;
            let chats = self.chat_ids(who.user);
            self.presence.deliver(vec![PresenceItem::TicketIssued { who, device, ticket, chats }]);
        }
        ask.reply.send(issued);
    }

    /// Joins and leaves follow on the same lane, so presence knows the chats of the users from then
    /// on.
    fn deliver_chats(&mut self, ask: Ask<ChatsElsewhere>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::deliver_chats) else { return };
        let chats = ask.request.0.iter().map(|user| (*user, self.chat_ids(*user))).collect();
        self.presence.deliver(vec![PresenceItem::ChatsOf(chats)]);
        ask.answer(Ok(()));
    }

    /// Closes a session. Ordered after the session's own registration, even when that waits for a
    /// reload.
    fn close_session(&mut self, close: CloseSession) {
        let Some(close) = self.defer_while_reloading(close, Self::close_session) else { return };
        self.sessions.closed(close.session);
        self.presence.deliver(vec![PresenceItem::Unregistered { session: close.session }]);
        if let Some(hub) = self.hubs.get(close.hub) {
            hub.deliver(vec![LaneItem::Unregistered { session: close.session }]);
        }
    }

    fn heartbeat(&mut self, ask: Ask<Heartbeat>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::heartbeat) else { return };
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Heartbeat { session_ref: SessionRef { session, hub, who }, request_id } = ask.request;
        if let Err(refusal) = self.models.directory.authenticate(who) {
            return ask.answer(Err(refusal.into()));
        }
        let reply = ask.reply;
        if let Some(hub) = self.hubs.get(hub) {
            hub.deliver(vec![LaneItem::Heartbeat { session, request_id, reply }]);
        }
    }

    /// Answers a `Resume`. A cursor above the head may come from another node: then the commits of
    /// that node are applied first.
    fn catch_up(&mut self, ask: Ask<CatchUp>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::catch_up) else { return };
        let who = ask.request.session_ref.who;
        let cursors = &ask.request.cursors;
        let is_ahead = self.models.directory.authenticate(who).is_err()
            || cursors
                .chats
                .iter()
                .any(|(chat, seq)| readable(&self.models, *chat, who.user).map_or(true, |head| head < *seq));
        let ask = if is_ahead {
            self.behind_the_log(ask, Self::catch_up_now, |ask| ask.answer(Err(QueryError::Stale)))
        } else {
            Some(ask)
        };
        if let Some(ask) = ask {
            self.catch_up_now(ask);
        }
    }

    /// Sorts the chats of a `Resume`: up to date, too far behind, of another epoch, or to be
    /// replayed.
    fn catch_up_now(&mut self, ask: Ask<CatchUp>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::catch_up_now) else { return };
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Ask { request: CatchUp { session_ref, cursors }, reply, .. } = ask;
        let ResumeCursors { generation, epoch, chats } = cursors;
        if let Err(refusal) = self.models.directory.authenticate(session_ref.who) {
            return reply.send(Err(refusal.into()));
        }
        let (mut answers, mut live, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        let mut answer =
            |packet: &ServerPacket<'_>| answers.extend(framing::encode_about(packet, CURSOR_ANSWER_BYTES));
        if epoch != self.models.epoch {
            answer(&ServerPacket::Reset { chat_id: None, head: None, epoch: Some(self.models.epoch) });
            live = self
                .models
                .chats
                .of_user(session_ref.who.user, ChatId(0))
                .map(|state| state.chat.id)
                .collect();
        } else {
            for (chat_id, seq) in chats {
                let Ok(head) = readable(&self.models, chat_id, session_ref.who.user) else {
                    answer(&ServerPacket::Reset { chat_id: Some(chat_id), head: None, epoch: None });
                    continue;
                };
                let missing = head - seq;
                let has_hole = self.hole(chat_id, seq).is_some();
                if missing > 0 && missing <= self.sources.limits.replay_events && !has_hole {
                    behind.push((chat_id, seq));
                    continue;
                }
                live.push(chat_id);
                answer(&match missing {
                    0 => ServerPacket::Synced { chat_id, seq },
                    1.. => ServerPacket::Limited {
                        chat_id: Some(chat_id),
                        from: Some(seq + 1),
                        head: Some(head),
                    },
                    _ => ServerPacket::Reset { chat_id: Some(chat_id), head: Some(head), epoch: None },
                });
            }
        }
        if let Some(hub) = self.hubs.get(session_ref.hub) {
            let session = session_ref.session;
            hub.deliver(vec![LaneItem::CatchUp { session, generation, answers, live, behind, reply }]);
        }
    }

    /// Returns the head of a chat in which messages above `after` were removed: the missing events
    /// are not dense.
    fn hole(&self, chat: ChatId, after: Seq) -> Option<Seq> {
        let chat = &self.models.chats.get(chat)?.chat;
        (after < chat.trimmed_seq).then_some(chat.last_seq)
    }

    /// Returns the next page of a replay, by the current permissions. The last page is sent on the
    /// lane, with the switch to live.
    fn replay(&mut self, ask: Ask<Replay>) {
        let Some(ask) = self.defer_while_reloading(ask, Self::replay) else { return };
        if let Err(stale) = self.check_freshness() {
            return ask.answer(Err(stale));
        }
        let Replay { session_ref, generation, chat, after, bytes_max } = ask.request;
        let SessionRef { session, hub, who } = session_ref;
        if let Err(refusal) = self.models.directory.authenticate(who) {
            return ask.answer(Err(refusal.into()));
        }
        let (events, last) = if readable(&self.models, chat, who.user).is_err() {
            (Vec::new(), ServerPacket::Reset { chat_id: Some(chat), head: None, epoch: None })
        } else if let Some(head) = self.hole(chat, after) {
            let from = Some(after + 1);
            (Vec::new(), ServerPacket::Limited { chat_id: Some(chat), from, head: Some(head) })
        } else {
            let limits = &self.sources.limits;
            let limit = limits.replay_page;
            let range = EventRange { before: None, after: Some(after), limit, messages_only: false };
            let page = match self.models.chats.page(chat, &range) {
                Lookup::Here(page) => page.fit(false, bytes_max, ChatEvent::bytes),
                Lookup::Below { as_of } => return ask.answer(Ok(Replayed::Below { as_of })),
                Lookup::Missing(fill) => {
                    let fill = fill.map(|fill| (fill, Holder::Account(who.user)));
                    return self.after_fill(chat, fill, ask, Self::replay);
                }
            };
            if page.has_more {
                return ask.answer(Ok(Replayed::Page(page.events)));
            }
            (page.events, ServerPacket::Synced { chat_id: chat, seq: page.as_of })
        };
        if let (Ok(last), Some(hub)) = (framing::encode(&last), self.hubs.get(hub)) {
            hub.deliver(vec![LaneItem::Replayed {
                session,
                generation,
                chat,
                events,
                last,
                reply: ask.reply,
            }]);
        }
    }
}

impl Handler<Ask<OpenSession>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<OpenSession>, _: &mut Ctx<Self>) {
        self.open_session(ask);
    }
}

impl Handler<CloseSession> for CacheActor {
    type Result = ();
    fn handle(&mut self, close: CloseSession, _: &mut Ctx<Self>) {
        self.close_session(close);
    }
}

impl Handler<Ask<IssueTicket>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<IssueTicket>, _: &mut Ctx<Self>) {
        self.issue_ticket(ask);
    }
}

impl Handler<Ask<ChatsElsewhere>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<ChatsElsewhere>, _: &mut Ctx<Self>) {
        self.deliver_chats(ask);
    }
}

impl Handler<Ask<Heartbeat>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<Heartbeat>, _: &mut Ctx<Self>) {
        self.heartbeat(ask);
    }
}

impl Handler<Ask<CatchUp>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<CatchUp>, _: &mut Ctx<Self>) {
        self.catch_up(ask);
    }
}

impl Handler<Ask<Replay>> for CacheActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<Replay>, _: &mut Ctx<Self>) {
        self.replay(ask);
    }
}
