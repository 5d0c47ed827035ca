//! Tests each guarantee of the kit on a small ledger that commits its entries in batches.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, Arbiter, AsyncContext, Handler, Message, Supervised};
use tokio::sync::oneshot;

use super::*;

#[derive(Debug, PartialEq)]
enum Failed {
    Overloaded,
    ReplyDropped,
}
impl From<Overloaded> for Failed {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}
impl From<ReplyDropped> for Failed {
    fn from(_: ReplyDropped) -> Self {
        Self::ReplyDropped
    }
}

/// Collects entries and commits them when its mailbox is empty.
#[derive(Default)]
struct Ledger {
    pending: Vec<Ask<Enter>>,
    committed: Vec<u32>,
}
impl Actor for Ledger {
    type Context = Ctx<Self>;
}
impl Supervised for Ledger {
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        self.pending.clear();
    }
}
instrumented_actor!(Ledger, "ledger", [Enter, Block, Drain]);

struct Enter(u32);
impl Request for Enter {
    type Answer = u32;
    type Error = Failed;
}
const POISON: u32 = 13;

impl Handler<Ask<Enter>> for Ledger {
    type Result = ();
    fn handle(&mut self, ask: Ask<Enter>, ctx: &mut Ctx<Self>) {
        assert!(ask.request.0 != POISON, "poison");
        if self.pending.is_empty() {
            ctx.spawn(actix::fut::ready(()).map(|(), ledger: &mut Self, _| ledger.commit()));
        }
        self.pending.push(ask);
    }
}
impl Ledger {
    fn commit(&mut self) {
        for ask in self.pending.drain(..) {
            let entry = ask.request.0;
            self.committed.push(entry);
            ask.answer(Ok(entry));
        }
    }
}

/// Blocks the actor's thread until the sender is dropped or used.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(std::sync::mpsc::Receiver<()>);
impl Handler<Block> for Ledger {
    type Result = ();
    fn handle(&mut self, Block(release): Block, _: &mut Ctx<Self>) {
        release.recv().ok();
    }
}

struct Drain;
impl Request for Drain {
    type Answer = Vec<u32>;
    type Error = Failed;
}
impl Handler<Ask<Drain>> for Ledger {
    type Result = ();
    fn handle(&mut self, ask: Ask<Drain>, _: &mut Ctx<Self>) {
        self.commit();
        ask.answer(Ok(self.committed.clone()));
    }
}

/// The handle of a caller: a mailbox and its gate.
#[derive(Clone)]
struct Handle {
    mailbox: Mailbox<Ledger>,
    gate: Gate,
}
impl Handle {
    async fn enter(&self, entry: u32) -> Result<oneshot::Receiver<Result<u32, Failed>>, Overloaded> {
        let permit = self.gate.enter(Caller::Anyone, Enter::NAME).await?;
        let (reply, answer) = Reply::channel();
        self.mailbox.post(Ask::new(Enter(entry), reply, Some(permit)));
        Ok(answer)
    }
    async fn drain(&self) -> Vec<u32> {
        self.gate.close();
        self.mailbox.ask_ungated(Drain).await.unwrap()
    }
    fn block(&self) -> std::sync::mpsc::Sender<()> {
        let (release, wait) = std::sync::mpsc::channel();
        self.mailbox.post(Block(wait));
        release
    }
}

struct Fixture {
    handle: Handle,
    arbiter: Arbiter,
    fatal: tokio::sync::watch::Receiver<Option<i32>>,
}
fn fixture(capacity: usize, patience: Duration) -> Fixture {
    let arbiter = Arbiter::new();
    let (signal, fatal) = FatalSignal::new();
    let stats = ActorStats::new::<Ledger>(Some(capacity));
    let mailbox = start(&arbiter.handle(), stats.clone(), signal, |_| Ledger::default());
    Fixture {
        handle: Handle { gate: Gate::new(capacity, capacity, patience, stats), mailbox },
        arbiter,
        fatal,
    }
}
impl Fixture {
    fn close(self) {
        self.arbiter.stop();
        self.arbiter.join().unwrap();
    }
}

#[actix_web::test]
async fn gate_bound_holds_across_clones_of_the_handle() {
    let fixture = fixture(4, Duration::from_millis(20));
    let release = fixture.handle.block();
    let asks: Vec<_> = (0..100u32)
        .map(|n| {
            let handle = fixture.handle.clone();
            actix::spawn(async move { handle.enter(100 + n).await })
        })
        .collect();
    let mut admitted = Vec::new();
    for ask in asks {
        admitted.extend(ask.await.unwrap().ok());
    }
    assert_eq!(admitted.len(), 4);
    let snapshot = fixture.handle.mailbox.stats().snapshot();
    assert!(snapshot.depth <= 5, "four entries and at most the block itself: {snapshot:?}");
    assert_eq!(snapshot.refused, 96);
    drop(release);
    for answer in admitted {
        assert!(answer.await.unwrap().is_ok());
    }
    fixture.close();
}

#[actix_web::test]
async fn overloaded_actor_refuses_in_time_and_depth_returns_to_0() {
    let fixture = fixture(2, Duration::from_millis(30));
    let release = fixture.handle.block();
    let inside = [fixture.handle.enter(1).await.unwrap(), fixture.handle.enter(2).await.unwrap()];
    let begun = std::time::Instant::now();
    assert!(fixture.handle.enter(3).await.is_err());
    assert!(begun.elapsed() >= Duration::from_millis(30));
    drop(release);
    for answer in inside {
        answer.await.unwrap().unwrap();
    }
    fixture.handle.drain().await;
    assert_eq!(fixture.handle.mailbox.stats().depth(), 0);
    assert!(fixture.handle.mailbox.stats().snapshot().slot_wait_us >= 30_000);
    fixture.close();
}

#[actix_web::test]
async fn panic_fails_exactly_the_messages_not_committed() {
    let fixture = fixture(256, Duration::from_secs(5));
    let release = fixture.handle.block();
    let mut answers = Vec::new();
    for n in 0..200 {
        let entry = if n == 100 { POISON } else { 1000 + n };
        answers.push((entry, fixture.handle.enter(entry).await.unwrap()));
    }
    drop(release);
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for (entry, answer) in answers {
        match answer.await.unwrap() {
            Ok(_) => succeeded.push(entry),
            Err(Failed::ReplyDropped) => failed.push(entry),
            Err(Failed::Overloaded) => unreachable!("it was admitted"),
        }
    }
    assert!(failed.contains(&POISON));
    assert!(succeeded.contains(&1199), "messages queued after the poison are served");
    assert_eq!(fixture.handle.drain().await, succeeded, "exactly the committed entries succeeded");
    let snapshot = fixture.handle.mailbox.stats().snapshot();
    assert_eq!((snapshot.restarts, snapshot.depth), (1, 0));
    assert_eq!(snapshot.messages[0].panics, 1);
    fixture.close();
}

#[actix_web::test]
async fn drain_commits_queued_work_and_refuses_later_asks() {
    let fixture = fixture(64, Duration::from_millis(10));
    let release = fixture.handle.block();
    let mut answers = Vec::new();
    for n in 20..60 {
        answers.push(fixture.handle.enter(n).await.unwrap());
    }
    drop(release);
    assert_eq!(fixture.handle.drain().await, (20..60).collect::<Vec<_>>());
    for answer in answers {
        assert!(answer.await.unwrap().is_ok());
    }
    assert!(fixture.handle.enter(99).await.is_err());
    assert!(
        fixture.handle.gate.enter(Caller::Server, Enter::NAME).await.is_ok(),
        "the server itself still enters"
    );
    fixture.close();
}

#[actix_web::test]
async fn user_cannot_take_the_permits_of_others() {
    let stats = ActorStats::new::<Ledger>(Some(8));
    let gate = Gate::new(8, 2, Duration::from_millis(10), stats);
    let held = [
        gate.enter(Caller::User(1), Enter::NAME).await.unwrap(),
        gate.enter(Caller::User(1), Enter::NAME).await.unwrap(),
    ];
    assert!(gate.enter(Caller::User(1), Enter::NAME).await.is_err());
    assert!(gate.enter(Caller::User(2), Enter::NAME).await.is_ok());
    drop(held);
    assert!(gate.enter(Caller::User(1), Enter::NAME).await.is_ok());
}

#[actix_web::test]
async fn actor_that_keeps_panicking_stops_process_with_code_70() {
    let mut fixture = fixture(16, Duration::from_secs(1));
    for _ in 0..=RESTARTS_MAX {
        let answer = fixture.handle.enter(POISON).await.unwrap();
        assert_eq!(answer.await.unwrap(), Err(Failed::ReplyDropped));
    }
    assert_eq!(*fixture.fatal.wait_for(Option::is_some).await.unwrap(), Some(FATAL_EXIT_CODE));
    let after = fixture.handle.enter(7).await.unwrap();
    assert_eq!(after.await.unwrap(), Err(Failed::ReplyDropped), "an ended actor answers too");
    fixture.close();
}

#[actix_web::test]
async fn ask_holds_its_permit_until_it_is_answered() {
    let fixture = fixture(1, Duration::from_millis(20));
    let Handle { mailbox, gate } = &fixture.handle;
    let release = fixture.handle.block();
    let first = mailbox.ask(gate, Caller::Anyone, Enter(1));
    let second = async {
        let refused = mailbox.ask(gate, Caller::Anyone, Enter(2)).await;
        drop(release);
        refused
    };
    assert_eq!(futures_util::join!(first, second), (Ok(1), Err(Failed::Overloaded)));
    assert_eq!(mailbox.ask(gate, Caller::Anyone, Enter(3)).await, Ok(3));
    assert_eq!(mailbox.ask(gate, Caller::Anyone, Enter(POISON)).await, Err(Failed::ReplyDropped));
    assert_eq!(mailbox.ask(gate, Caller::Anyone, Enter(4)).await, Ok(4), "the panic released the permit");
    fixture.close();
}

#[test]
fn messages_are_counted_in_the_row_of_their_name() {
    let rows = [Enter::NAME, Block::NAME, Drain::NAME];
    let stats = ActorStats::new::<Ledger>(None);
    rows.into_iter().for_each(|name| stats.refused(name));
    stats.refused(Drain::NAME);
    stats.refused(MessageName::unlisted("Other"));
    let messages = stats.snapshot().messages;
    let counted: Vec<_> = messages.iter().map(|message| (message.message, message.refused)).collect();
    assert_eq!(counted, [("Enter", 1), ("Block", 1), ("Drain", 2)]);
}
