//! Tests each guarantee of the kit on a small ledger that commits its entries in batches.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, Arbiter, AsyncContext, Handler, Message, Supervised};
use tokio::sync::oneshot;

use super::*;

#[derive(Debug, PartialEq)]
enum Failed {
    ReplyDropped,
}
impl From<ReplyDropped> for Failed {
    fn from(_: ReplyDropped) -> Self {
        Self::ReplyDropped
    }
}

/// Collects entries and commits them when its mailbox is empty.
#[derive(Default)]
struct Ledger {
    pending: Vec<(u32, Reply<u32, Failed>, Permit)>,
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
impl InstrumentedActor for Ledger {
    const NAME: &'static str = "ledger";
    const MESSAGES: &'static [&'static str] = &["Enter", "Block", "Drain"];
}

#[derive(Message)]
#[rtype(result = "()")]
struct Enter(u32, Reply<u32, Failed>, Permit);
impl NamedMessage for Enter {
    const NAME: &'static str = "Enter";
}
const POISON: u32 = 13;

impl Handler<Enter> for Ledger {
    type Result = ();
    fn handle(&mut self, Enter(entry, reply, permit): Enter, ctx: &mut Ctx<Self>) {
        assert!(entry != POISON, "poison");
        if self.pending.is_empty() {
            ctx.spawn(actix::fut::ready(()).map(|(), ledger: &mut Self, _| ledger.commit()));
        }
        self.pending.push((entry, reply, permit));
    }
}
impl Ledger {
    fn commit(&mut self) {
        for (entry, reply, _permit) in self.pending.drain(..) {
            self.committed.push(entry);
            reply.send(Ok(entry));
        }
    }
}

/// Blocks the actor's thread until the sender is dropped or used.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(std::sync::mpsc::Receiver<()>);
impl NamedMessage for Block {
    const NAME: &'static str = "Block";
}
impl Handler<Block> for Ledger {
    type Result = ();
    fn handle(&mut self, Block(release): Block, _: &mut Ctx<Self>) {
        release.recv().ok();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Drain(Reply<Vec<u32>, Failed>);
impl NamedMessage for Drain {
    const NAME: &'static str = "Drain";
}
impl Handler<Drain> for Ledger {
    type Result = ();
    fn handle(&mut self, Drain(reply): Drain, _: &mut Ctx<Self>) {
        self.commit();
        reply.send(Ok(self.committed.clone()));
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
        let permit = self.gate.enter(Caller::Anyone, "Enter").await?;
        let (reply, answer) = Reply::channel();
        self.mailbox.post(Enter(entry, reply, permit));
        Ok(answer)
    }
    async fn drain(&self) -> Vec<u32> {
        self.gate.close();
        let (reply, answer) = Reply::channel();
        self.mailbox.post(Drain(reply));
        answer.await.unwrap().unwrap()
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
    let stats = ActorStats::new(Ledger::NAME, Some(capacity), Ledger::MESSAGES);
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
        fixture.handle.gate.enter(Caller::Server, "Enter").await.is_ok(),
        "the server itself still enters"
    );
    fixture.close();
}

#[actix_web::test]
async fn user_cannot_take_the_permits_of_others() {
    let stats = ActorStats::new("x", Some(8), &["Enter"]);
    let gate = Gate::new(8, 2, Duration::from_millis(10), stats);
    let held = [
        gate.enter(Caller::User(1), "Enter").await.unwrap(),
        gate.enter(Caller::User(1), "Enter").await.unwrap(),
    ];
    assert!(gate.enter(Caller::User(1), "Enter").await.is_err());
    assert!(gate.enter(Caller::User(2), "Enter").await.is_ok());
    drop(held);
    assert!(gate.enter(Caller::User(1), "Enter").await.is_ok());
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
