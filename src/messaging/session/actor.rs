//! The session's actor: performs the steps of the state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, Message, Supervised, WrapFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::acceptor::{AcceptedConnection, SessionAcceptor};
use super::super::admission::{Admission, ConnectionSlot, PreAuthSlot, SessionSlot};
use super::super::metrics::{ConnectionMeter, GaugeGuard, Transport};
use super::read_cursors::PendingCursors;
use super::reader_context::ReaderContext;
use super::replay::ReplayQueue;
use super::state::{
    Action, Authenticated, ChatCommand, HelloOptions, Incoming, PageLimits, Unauthenticated, nack,
};
use crate::actors::cache::{SessionRef, SessionRegistration};
use crate::actors::outbox::{Outbox, OutboxDrain};
use crate::actors::presence::DeviceKey;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{Appended, UpdatedMessage};
use crate::core::actor::{ActorStats, Ctx, Mailbox, Overloaded, Permit, Reply, instrumented_actor};
use crate::core::fail_points;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, MessageId, Seq, SessionId};
use crate::protocol::answer::{AckPacket, GoodbyeCode, ServerPacket};
use crate::protocol::code::Code;
use crate::services::presence::parse_device;
use crate::services::{ServiceError, Services};

/// Statistics that all sessions of an application share.
pub type SessionStats = Arc<ActorStats>;

/// Actor of one connection. See the [module](super).
pub(super) struct SessionActor {
    id: SessionId,
    hub: usize,
    pub(super) device: DeviceKey,
    conversation: Conversation,
    pub(super) outbox: Arc<Outbox>,
    pub(super) services: Arc<Services>,
    pub(super) transport: Transport,
    admission: Arc<Admission>,
    pre_auth: Option<PreAuthSlot>,
    /// Set at the `Welcome`.
    session_slot: Option<SessionSlot>,
    meter: ConnectionMeter,
    /// Counts the session, from the `Welcome` on.
    counted: Option<GaugeGuard>,
    window: Arc<Semaphore>,
    welcomed: Arc<AtomicBool>,
    /// Chat commands that wait for a permit of the writer, in order.
    commands: VecDeque<QueuedChatCommand>,
    /// Whether a task is waiting for a permit for the first of them.
    waiting: bool,
    /// Admits one bulk answer at a time.
    pub(super) bulk: Arc<Semaphore>,
    pub(super) replay: ReplayQueue,
    pub(super) read_cursors: PendingCursors,
}

enum Conversation {
    Unauthenticated(Unauthenticated),
    Authenticated(Authenticated),
    Ended,
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
}

struct QueuedChatCommand {
    request_id: Option<u64>,
    chat: ChatId,
    command: ChatCommand,
    window_permit: OwnedSemaphorePermit,
}

/// A packet with its permit of the session's window.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Frame {
    pub(super) incoming: Incoming,
    pub(super) window_permit: OwnedSemaphorePermit,
}

/// Reading has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CloseNow {
    pub(super) code: Option<GoodbyeCode>,
}

/// Reading has ended. Packets in flight are answered before the session ends.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CloseAfterReplies {
    pub(super) code: Option<GoodbyeCode>,
}

/// Parts that the two tasks at a session's socket use.
pub(super) struct Started {
    pub(super) context: ReaderContext,
    pub(super) drain: OutboxDrain,
    pub(super) slot: ConnectionSlot,
}

/// Starts a session's actor on its thread.
pub(super) fn start(
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
    stopping: CancellationToken,
) -> Started {
    let (services, limits) = (acceptor.services.clone(), &acceptor.services.limits);
    let (outbox, drain) =
        Outbox::new(limits.outbox_bytes, limits.outbox_frames, connection.deliveries.clone());
    let (window, welcomed) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicBool::new(false)));
    let AcceptedConnection { id, transport, hub, thread, slot, pre_auth, meter, .. } = connection;
    let session = {
        let (outbox, services, admission) =
            (outbox.clone(), acceptor.services.clone(), acceptor.admission.clone());
        let (window, welcomed, meter) = (window.clone(), welcomed.clone(), meter.clone());
        let make = move |_: &Mailbox<SessionActor>| SessionActor {
            id,
            hub,
            device: DeviceKey::Session(id),
            conversation: Conversation::Unauthenticated(Unauthenticated),
            outbox,
            services,
            transport,
            admission,
            pre_auth: Some(pre_auth),
            session_slot: None,
            meter,
            counted: None,
            window,
            welcomed,
            commands: VecDeque::new(),
            waiting: false,
            bulk: Arc::new(Semaphore::new(1)),
            replay: ReplayQueue::new(true),
            read_cursors: PendingCursors::default(),
        };
        crate::core::actor::start(&thread, acceptor.stats.clone(), acceptor.fatal.clone(), make)
    };
    let closed = CancellationToken::new();
    let context = ReaderContext { session, window, outbox, welcomed, closed, stopping, services, meter };
    Started { context, drain, slot }
}

impl SessionActor {
    fn receive(&mut self, Frame { incoming, window_permit }: Frame, ctx: &mut Ctx<Self>) {
        let (action, who) = match &self.conversation {
            Conversation::Unauthenticated(state) => (state.receive(incoming), None),
            Conversation::Authenticated(state) => (state.receive(incoming), Some(state.who)),
            Conversation::Ended => return,
        };
        match (action, who) {
            (Action::Refuse(ack), _) => self.acknowledge(ack),
            (Action::End { last: None, code: code @ GoodbyeCode::Bye }, _) => {
                drop(window_permit);
                self.leave(Some(code), ctx);
            }
            (Action::End { last, code }, _) => self.end(last, code),
            (Action::Authenticate { token, options, request_id }, _) => {
                self.authenticate(&token, options, request_id, window_permit, ctx)
            }
            (Action::Submit { request_id, chat, command }, Some(who)) => {
                self.commands.push_back(QueuedChatCommand { request_id, chat, command, window_permit });
                if !self.waiting {
                    self.submit_ready(who, ctx);
                }
            }
            (Action::Chats { request_id, after }, Some(who)) => {
                self.chats(who, request_id, after, window_permit)
            }
            (Action::Messages { request_id, chat, range }, Some(who)) => {
                self.page(who, request_id, chat, range, window_permit)
            }
            (Action::Users { request_id, ids }, Some(who)) => self.users(who, request_id, ids, window_permit),
            (Action::UpdatePresence { request_id, update }, Some(_)) => {
                self.services.presence.update(self.id, request_id, update, window_permit);
            }
            (Action::Ticket { request_id }, Some(who)) => self.ticket(who, request_id, window_permit),
            (Action::Block { request_id, username, blocks }, Some(who)) => {
                self.block(who, request_id, username, blocks, window_permit);
            }
            (Action::Arrange { request_id, arrangement }, Some(who)) => {
                self.arrange(who, request_id, arrangement, window_permit);
            }
            (Action::LeaveChats { request_id, username }, Some(who)) => {
                self.leave_chats(who, request_id, username, window_permit);
            }
            (Action::QueueCursors { chat, marks }, Some(who)) => {
                self.queue_cursor_update(who, chat, marks, ctx)
            }
            (Action::Resume { request_id, epoch, chats }, Some(who)) => {
                self.resume(who, request_id, epoch, chats, window_permit, ctx)
            }
            (Action::Heartbeat { request_id }, Some(who)) => self.heartbeat(who, request_id, window_permit),
            (_, None) => {}
        }
    }

    /// Returns the address under which the cache reaches this session.
    pub(super) fn session_ref(&self, who: Credential) -> SessionRef {
        SessionRef { session: self.id, hub: self.hub, who }
    }

    pub(super) fn acknowledge(&self, ack: AckPacket) {
        self.outbox.reply_packet(&ServerPacket::Ack(ack));
    }

    pub(super) fn end(&mut self, last: Option<AckPacket>, code: GoodbyeCode) {
        if let Some(ack) = last {
            self.acknowledge(ack);
        }
        self.conversation = Conversation::Ended;
        let reconnect = matches!(code, GoodbyeCode::Shutdown | GoodbyeCode::Overloaded | GoodbyeCode::Idle);
        self.outbox.goodbye(code, reconnect);
    }

    fn authenticate(
        &mut self,
        token: &str,
        options: HelloOptions,
        request_id: Option<u64>,
        window_permit: OwnedSemaphorePermit,
        ctx: &mut Ctx<Self>,
    ) {
        let who = match self.services.credential(token) {
            Ok(who) => who,
            Err(error) => return self.end(Some(nack(request_id, error)), GoodbyeCode::Unauthenticated),
        };
        let HelloOptions { echo, device, status, udp } = options;
        let Some(device) = parse_device(device, DeviceKey::Session(self.id)) else {
            let error = "device_id must be 1 to 64 bytes without control characters";
            let ack = AckPacket::refusal(request_id, Code::BadRequest, error.to_owned(), None);
            return self.end(Some(ack), GoodbyeCode::BadRequest);
        };
        self.device = device.clone();
        let ticket = if udp { self.services.ticket_for_hello(who) } else { None };
        let ticket = ticket.map(|ticket| (ticket, self.services.udp_address().clone()));
        let (session_ref, outbox) = (self.session_ref(who), self.outbox.clone());
        let registration =
            SessionRegistration { session_ref, outbox, echo, device, status, ticket, request_id };
        let (services, admission, transport) =
            (self.services.clone(), self.admission.clone(), self.transport);
        let opening = async move {
            let Ok(session_slot) = admission.welcome(transport, who.user).await else {
                let detail = "too many sessions";
                return Err(ServiceError::later(Code::Overloaded, detail, 1_000));
            };
            services.cache.open_session(registration).await?;
            Ok(session_slot)
        };
        // `window_permit` is held until the answer: the reader passes on no second packet before this one
        // is settled.
        let settle =
            move |opened: Result<SessionSlot, ServiceError>, session: &mut Self, ctx: &mut Ctx<Self>| {
                match opened {
                    Ok(session_slot) => session.welcome(who, echo, session_slot, ctx),
                    Err(error) => {
                        let code = if error.code == Code::Unauthenticated {
                            GoodbyeCode::Unauthenticated
                        } else {
                            GoodbyeCode::Overloaded
                        };
                        session.end(Some(nack(request_id, error)), code);
                    }
                }
                drop(window_permit);
            };
        ctx.spawn(opening.into_actor(self).map(settle));
    }

    /// Completes the login: the session is registered, and `Welcome` is in the outbox.
    fn welcome(&mut self, who: Credential, echo: bool, session_slot: SessionSlot, ctx: &mut Ctx<Self>) {
        let displaced = session_slot.displaced().into_actor(self);
        ctx.spawn(displaced.map(|(), session: &mut Self, _| session.displaced()));
        self.session_slot = Some(session_slot);
        let limits = &self.services.limits;
        let pages =
            PageLimits { default: limits.page_default, max: limits.page_max, cursors: limits.resume_chats };
        self.conversation = Conversation::Authenticated(Authenticated { who, pages });
        self.replay = ReplayQueue::new(echo);
        self.pre_auth = None;
        self.counted = Some(self.meter.welcomed());
        self.welcomed.store(true, Release);
        self.window.add_permits(limits.in_flight.saturating_sub(1));
    }

    /// Ends the session because another user needs its slot. The slot is released at once; the
    /// socket may close later.
    fn displaced(&mut self) {
        self.session_slot = None;
        if !matches!(self.conversation, Conversation::Ended) {
            self.end(None, GoodbyeCode::Overloaded);
        }
    }

    /// Submits the waiting chat commands for which permits are free, then waits for one permit.
    fn submit_ready(&mut self, who: Credential, ctx: &mut Ctx<Self>) {
        while let Some(command) = self.commands.front().map(|first| first.command.name()) {
            match self.services.writer.try_enter(who, command) {
                Ok(Some(permit)) => self.submit_first(who, Ok(permit)),
                Err(overloaded) => self.submit_first(who, Err(overloaded)),
                Ok(None) => {
                    self.waiting = true;
                    let services = self.services.clone();
                    let entering = async move { services.writer.enter(who, command).await };
                    ctx.spawn(entering.into_actor(self).map(move |permit, session: &mut Self, ctx| {
                        session.waiting = false;
                        session.submit_first(who, permit);
                        session.submit_ready(who, ctx);
                    }));
                    return;
                }
            }
        }
    }

    fn submit_first(&mut self, who: Credential, permit: Result<Permit, Overloaded>) {
        let Some(QueuedChatCommand { request_id, chat, command, window_permit }) = self.commands.pop_front()
        else {
            return;
        };
        let permit = match permit {
            Ok(permit) => permit,
            Err(overloaded) => return self.acknowledge(nack(request_id, overloaded.into())),
        };
        let outbox = self.outbox.clone();
        // Runs on the writer's thread after the commit: only encodes a few bytes and queues them.
        let answer = move |outcome: Result<Done, CommandError>| {
            let ack = match outcome {
                Ok(_) if request_id.is_none() => None,
                Ok(done) => Some(AckPacket {
                    request_id,
                    success: true,
                    message_id: done.message_id,
                    seq: Some(done.seq),
                    duplicate: done.duplicate.then_some(true),
                    unnotified: done.unnotified.then_some(true),
                    ..AckPacket::default()
                }),
                Err(error) => Some(nack(request_id, error.into())),
            };
            if let Some(ack) = ack {
                outbox.reply_packet(&ServerPacket::Ack(ack));
            }
            drop(window_permit);
        };
        match command {
            ChatCommand::Send(message) => {
                let reply = Reply::call(move |outcome: Result<Appended, CommandError>| {
                    answer(outcome.map(|said| Done {
                        message_id: Some(said.message.id),
                        seq: said.message.seq,
                        duplicate: said.duplicate,
                        unnotified: said.unnotified,
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

    /// Ends the session after every packet in flight is answered. So packets before a `Bye`, or
    /// before the peer closed its half, are not lost.
    fn leave(&mut self, code: Option<GoodbyeCode>, ctx: &mut Ctx<Self>) {
        let window = self.window.clone();
        let authenticated = matches!(self.conversation, Conversation::Authenticated(_));
        let all = if authenticated { self.services.limits.in_flight } else { 1 };
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        let answered = async move { window.acquire_many_owned(all).await.ok() };
        ctx.spawn(answered.into_actor(self).map(move |window_permits, session: &mut Self, ctx| {
            session.close(code, ctx);
            drop(window_permits);
        }));
    }

    fn close(&mut self, code: Option<GoodbyeCode>, ctx: &mut Ctx<Self>) {
        match code {
            Some(code) => self.end(None, code),
            None => self.outbox.close(),
        }
        self.counted = None;
        ctx.stop();
    }
}

impl Actor for SessionActor {
    type Context = Ctx<Self>;

    fn stopped(&mut self, _: &mut Ctx<Self>) {
        self.flush_last_cursors();
        // Also correct when the session was never registered or is being registered: the cache
        // keeps the order.
        self.services.cache.close_session(self.id, self.hub);
    }
}

impl Supervised for SessionActor {
    /// Ends the session: a conversation cannot continue after a panic, so the client must
    /// reconnect.
    fn restarting(&mut self, ctx: &mut Ctx<Self>) {
        self.conversation = Conversation::Ended;
        self.commands.clear();
        self.outbox.goodbye(GoodbyeCode::Overloaded, true);
        ctx.stop();
    }
}

instrumented_actor!(SessionActor, "session", [CloseAfterReplies, CloseNow, Frame]);

/// Returns the statistics of a server's sessions.
pub fn stats(measures: bool) -> SessionStats {
    ActorStats::measuring::<SessionActor>(measures, None)
}

impl Handler<Frame> for SessionActor {
    type Result = ();
    fn handle(&mut self, frame: Frame, ctx: &mut Ctx<Self>) {
        fail_points::reach(fail_points::IN_SESSION);
        self.receive(frame, ctx);
    }
}

impl Handler<CloseAfterReplies> for SessionActor {
    type Result = ();
    fn handle(&mut self, close: CloseAfterReplies, ctx: &mut Ctx<Self>) {
        self.leave(close.code, ctx);
    }
}

impl Handler<CloseNow> for SessionActor {
    type Result = ();
    fn handle(&mut self, close: CloseNow, ctx: &mut Ctx<Self>) {
        self.close(close.code, ctx);
    }
}
