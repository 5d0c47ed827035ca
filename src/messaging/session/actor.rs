//! The session's actor: routes packets to the state machine, and performs its actions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, Supervised, WrapFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, Span};

use super::super::admission::{Admission, PreAuthSlot, SessionSlot};
use super::super::metrics::ConnectionMeter;
use super::chat_commands::QueuedChatCommand;
use super::messages::{CloseAfterReplies, CloseNow, Frame};
use super::read_cursors::{PendingCursors, Write};
use super::replay::ReplayQueue;
use super::request::{Request, refuse};
use super::responder::Responder;
use super::state::{Action, Authenticated, Hello, HelloRefusal, PageLimits, Unauthenticated};
use crate::actors::cache::ResumeCursors;
use crate::actors::writer::commands::Marks;
use crate::core::actor::{Ctx, Overloaded, Permit};
use crate::core::fail_points;
use crate::core::limits::Limits;
use crate::core::metrics::GaugeGuard;
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, Seq};
use crate::protocol::answer::{AckPacket, GoodbyeCode};
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// Pause of a replay when the server is overloaded.
const REPLAY_REST: Duration = Duration::from_millis(200);

/// Parts of a session that its creator provides.
pub(super) struct NewSession {
    pub(super) responder: Responder,
    pub(super) admission: Arc<Admission>,
    pub(super) pre_auth: PreAuthSlot,
    pub(super) meter: ConnectionMeter,
    pub(super) window: Arc<Semaphore>,
    pub(super) welcomed: Arc<AtomicBool>,
    /// The login of the browser whose page opened the connection.
    pub(super) web_login: Option<Credential>,
}

/// Actor of one connection. See the [module](super).
pub(super) struct SessionActor {
    responder: Responder,
    device: DeviceKey,
    conversation: Conversation,
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
    replay: ReplayQueue,
    read_cursors: PendingCursors,
}

enum Conversation {
    Unauthenticated(Unauthenticated),
    Authenticated(Authenticated),
    Ended,
}

impl SessionActor {
    pub(super) fn new(new: NewSession) -> Self {
        let NewSession { responder, admission, pre_auth, meter, window, welcomed, web_login } = new;
        Self {
            device: DeviceKey::Session(responder.session),
            responder,
            conversation: Conversation::Unauthenticated(Unauthenticated { web_login }),
            admission,
            pre_auth: Some(pre_auth),
            session_slot: None,
            meter,
            counted: None,
            window,
            welcomed,
            commands: VecDeque::new(),
            waiting: false,
            replay: ReplayQueue::new(true),
            read_cursors: PendingCursors::default(),
        }
    }

    fn limits(&self) -> &Limits {
        &self.responder.services.limits
    }

    fn receive(&mut self, Frame { incoming, window_permit: permit }: Frame, ctx: &mut Ctx<Self>) {
        let request_id = incoming.request_id();
        match &self.conversation {
            Conversation::Unauthenticated(state) => match state.receive(incoming) {
                Ok(hello) => self.authenticate(hello, request_id, permit, ctx),
                Err(refusal) => self.refuse_hello(request_id, refusal),
            },
            Conversation::Authenticated(state) => {
                let request = Request { who: state.who, request_id, permit };
                let action = state.receive(incoming);
                self.perform(action, request, ctx);
            }
            Conversation::Ended => {}
        }
    }

    /// Performs what the state machine decided.
    fn perform(&mut self, action: Action, request: Request, ctx: &mut Ctx<Self>) {
        let responder = &self.responder;
        match action {
            Action::Submit { chat, command } => {
                self.commands.push_back(QueuedChatCommand { request, chat, command });
                self.submit_ready(ctx);
            }
            Action::Chats { after } => spawn(responder.clone().chats(request, after)),
            Action::Messages { chat, range } => spawn(responder.clone().page(request, chat, range)),
            Action::Search(search) => spawn(responder.clone().search(request, search)),
            Action::Users { ids } => spawn(responder.clone().users(request, ids)),
            Action::Heartbeat => spawn(responder.clone().heartbeat(request)),
            Action::Ticket => spawn(responder.clone().ticket(request, self.device.clone())),
            Action::Block { username, blocks } => spawn(responder.clone().block(request, username, blocks)),
            Action::Arrange(arrangement) => spawn(responder.clone().arrange(request, arrangement)),
            Action::LeaveChats { username } => spawn(responder.clone().leave_chats(request, username)),
            Action::UpdatePresence(update) => {
                let Request { request_id, permit, .. } = request;
                responder.services.presence.update(responder.session, request_id, update, permit);
            }
            Action::QueueCursors { chat, marks } => {
                self.queue_cursor_update(request.who, chat, marks, ctx);
            }
            Action::Resume { epoch, chats } => self.resume(request, epoch, chats, ctx),
            Action::Refuse(error) => request.refuse(&responder.outbox, error),
            Action::Leave => {
                drop(request);
                self.leave(Some(GoodbyeCode::Bye), ctx);
            }
            Action::End(code) => self.end(code),
        }
    }

    fn end(&mut self, code: GoodbyeCode) {
        self.conversation = Conversation::Ended;
        self.responder.goodbye(code);
    }

    fn authenticate(
        &mut self,
        hello: Hello,
        request_id: Option<u64>,
        permit: OwnedSemaphorePermit,
        ctx: &mut Ctx<Self>,
    ) {
        let registration = match self.responder.registration(hello, request_id) {
            Ok(registration) => registration,
            Err(refusal) => return self.refuse_hello(request_id, refusal),
        };
        self.device = registration.device.clone();
        let (who, echo) = (registration.session_ref.who, registration.echo);
        let opening = self.responder.clone().open(registration, self.admission.clone());
        // `permit` is held until the answer: the reader passes on no second packet before this one
        // is settled.
        let settle =
            move |opened: Result<SessionSlot, HelloRefusal>, session: &mut Self, ctx: &mut Ctx<Self>| {
                match opened {
                    Ok(session_slot) => session.welcome(who, echo, session_slot, ctx),
                    Err(refusal) => session.refuse_hello(request_id, refusal),
                }
                drop(permit);
            };
        ctx.spawn(opening.into_actor(self).map(settle));
    }

    fn refuse_hello(&mut self, request_id: Option<u64>, HelloRefusal { error, code }: HelloRefusal) {
        if let Some(error) = error {
            refuse(&self.responder.outbox, request_id, error);
        }
        self.end(code);
    }

    /// Completes the login: the session is registered, and `Welcome` is in the outbox.
    fn welcome(&mut self, who: Credential, echo: bool, session_slot: SessionSlot, ctx: &mut Ctx<Self>) {
        let displaced = session_slot.displaced().into_actor(self);
        ctx.spawn(displaced.map(|(), session: &mut Self, _| session.displaced()));
        self.session_slot = Some(session_slot);
        Span::current().record("user_id", who.user.0);
        let &Limits { page_default: default, page_max: max, resume_chats: cursors, in_flight, .. } =
            self.limits();
        let pages = PageLimits { default, max, cursors };
        self.conversation = Conversation::Authenticated(Authenticated { who, pages });
        self.replay = ReplayQueue::new(echo);
        self.pre_auth = None;
        self.counted = Some(self.meter.welcomed());
        self.welcomed.store(true, Release);
        self.window.add_permits(in_flight.saturating_sub(1));
    }

    /// Ends the session because another user needs its slot. The slot is released at once; the
    /// socket may close later.
    fn displaced(&mut self) {
        self.session_slot = None;
        if !matches!(self.conversation, Conversation::Ended) {
            self.end(GoodbyeCode::Overloaded);
        }
    }

    /// Submits the waiting chat commands for which permits are free, then waits for one permit.
    fn submit_ready(&mut self, ctx: &mut Ctx<Self>) {
        while let Some(first) = self.commands.front().filter(|_| !self.waiting) {
            let (caller, command) = first.at_gate();
            match self.responder.services.writer.try_enter(caller, command) {
                Ok(Some(permit)) => self.submit_first(Ok(permit)),
                Err(overloaded) => self.submit_first(Err(overloaded)),
                Ok(None) => {
                    self.waiting = true;
                    let services = self.responder.services.clone();
                    let entering = async move { services.writer.enter(caller, command).await };
                    ctx.spawn(entering.into_actor(self).map(|permit, session: &mut Self, ctx| {
                        session.waiting = false;
                        session.submit_first(permit);
                        session.submit_ready(ctx);
                    }));
                }
            }
        }
    }

    fn submit_first(&mut self, permit: Result<Permit, Overloaded>) {
        if let Some(first) = self.commands.pop_front() {
            self.responder.submit(first, permit);
        }
    }

    fn resume(&mut self, request: Request, epoch: i64, chats: Vec<(ChatId, Seq)>, ctx: &mut Ctx<Self>) {
        let (who, generation) = (request.who, self.replay.next_generation());
        let catching_up = self.responder.clone().catch_up(who, ResumeCursors { generation, epoch, chats });
        let begin = move |behind: Result<Vec<(ChatId, Seq)>, ServiceError>,
                          session: &mut Self,
                          ctx: &mut Ctx<Self>| {
            let outbox = &session.responder.outbox;
            match behind {
                Ok(behind) => {
                    session.replay.add(generation, behind);
                    request.answer(outbox, Ok(AckPacket::default()));
                    if session.replay.len() > session.limits().resume_chats {
                        session.end(GoodbyeCode::Overloaded);
                    } else {
                        session.replay_next(who, ctx);
                    }
                }
                Err(error) => request.refuse(outbox, error),
            }
            drop(request);
        };
        ctx.spawn(catching_up.into_actor(self).map(begin));
    }

    /// Replays a page of the first chat that is catching up, and continues until no chat is.
    fn replay_next(&mut self, who: Credential, ctx: &mut Ctx<Self>) {
        let Some(page) = self.replay.begin_page() else { return };
        let replayed = self.responder.clone().replay(who, page);
        let go_on = move |outcome: Result<Option<Seq>, ServiceError>,
                          session: &mut Self,
                          ctx: &mut Ctx<Self>| {
            session.replay.end_page();
            match outcome {
                Ok(seq) => {
                    session.replay.advance(page, seq);
                    session.replay_next(who, ctx);
                }
                Err(error) if error.code == Code::Overloaded => {
                    ctx.run_later(REPLAY_REST, move |session, ctx| session.replay_next(who, ctx));
                }
                Err(error) => {
                    let chat = page.chat;
                    let session_id = session.responder.session.0;
                    tracing::error!(%chat, session.id = session_id, user_id = who.user.0, error = %chain(&error), "replay failed: the client must reconnect");
                    session.end(GoodbyeCode::Overloaded);
                }
            }
        };
        ctx.spawn(replayed.into_actor(self).map(go_on));
    }

    fn queue_cursor_update(&mut self, who: Credential, chat: ChatId, marks: Marks, ctx: &mut Ctx<Self>) {
        let limits = &self.responder.services.limits;
        match self.read_cursors.add(who, chat, marks, limits.marks_per_command) {
            Write::Scheduled => {}
            Write::Now => self.flush_cursors(ctx),
            Write::After(delay) => {
                ctx.run_later(delay.duration(limits), move |session, ctx| {
                    session.read_cursors.passed(delay);
                    session.flush_cursors(ctx);
                });
            }
        }
    }

    fn flush_cursors(&mut self, ctx: &mut Ctx<Self>) {
        let Some((who, marks)) = self.read_cursors.take() else { return };
        let (services, again) = (self.responder.services.clone(), marks.clone());
        let merging = async move { services.merge_marks(who, marks).await };
        let settle =
            move |merged: Result<(), ServiceError>, session: &mut Self, ctx: &mut Ctx<Self>| match merged {
                Ok(()) => {}
                Err(error) if matches!(error.code, Code::Overloaded | Code::ReadOnly) => {
                    let marks = again.into_iter().take(session.limits().marks_per_command);
                    marks.for_each(|(chat, marks)| session.queue_cursor_update(who, chat, marks, ctx));
                }
                Err(error) => tracing::debug!(error = %chain(&error), "marks were not written"),
            };
        ctx.spawn(merging.into_actor(self).map(settle));
    }

    /// Ends the session after every packet in flight is answered. So packets before a `Bye`, or
    /// before the peer closed its half, are not lost.
    fn leave(&mut self, code: Option<GoodbyeCode>, ctx: &mut Ctx<Self>) {
        let window = self.window.clone();
        let authenticated = matches!(self.conversation, Conversation::Authenticated(_));
        let all = if authenticated { self.limits().in_flight } else { 1 };
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        let answered = async move { window.acquire_many_owned(all).await.ok() };
        ctx.spawn(answered.into_actor(self).map(move |window_permits, session: &mut Self, ctx| {
            session.close(code, ctx);
            drop(window_permits);
        }));
    }

    fn close(&mut self, code: Option<GoodbyeCode>, ctx: &mut Ctx<Self>) {
        match code {
            Some(code) => self.end(code),
            None => self.responder.outbox.close(),
        }
        self.counted = None;
        ctx.stop();
    }
}

impl Actor for SessionActor {
    type Context = Ctx<Self>;

    fn stopped(&mut self, _: &mut Ctx<Self>) {
        let Responder { services, session, hub, .. } = &self.responder;
        // The remaining marks are written without waiting for the result.
        if let Some((who, marks)) = self.read_cursors.take() {
            services.merge_last_marks(who, marks);
        }
        // Also correct when the session was never registered or is being registered: the cache
        // keeps the order.
        services.cache.close_session(*session, *hub);
    }
}

impl Supervised for SessionActor {
    /// Ends the session: a conversation cannot continue after a panic, so the client must
    /// reconnect.
    fn restarting(&mut self, ctx: &mut Ctx<Self>) {
        self.conversation = Conversation::Ended;
        self.commands.clear();
        self.responder.goodbye(GoodbyeCode::Overloaded);
        ctx.stop();
    }
}

/// Spawns an answer on the session's thread. It may outlive the actor.
fn spawn(answer: impl Future<Output = ()> + 'static) {
    actix::spawn(answer.in_current_span());
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
