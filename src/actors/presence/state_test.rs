//! Presence updates that users receive, over sessions and over a network that loses, duplicates and
//! reorders datagrams.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::FutureExt;

use super::super::messages::PresenceItem;
use super::super::tickets::Ticket;
use super::*;
use crate::actors::outbox::{DeliveryMeter, Outbox, OutboxDrain};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::LoginId;
use crate::domain::presence::{Shown, Status};
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::datagram::{self, DropReason, Header, Kind, Pong, PresenceBatch, Upward};

const CHAT: ChatId = ChatId(7);

fn who(user: i64) -> Credential {
    Credential::login(UserId(user), LoginId(user * 10), 1)
}

/// Registers a session of `user`, who is in the chat.
fn register(state: &mut PresenceState, session: u64, user: i64, now: Instant) -> OutboxDrain {
    register_in(state, session, user, &[CHAT], now)
}

/// Registers a session of `user`, who is in these chats.
fn register_in(
    state: &mut PresenceState,
    session: u64,
    user: i64,
    chats: &[ChatId],
    now: Instant,
) -> OutboxDrain {
    let (outbox, mut drain) = Outbox::new(100_000, 100, DeliveryMeter::default());
    let (welcome, mut welcomed) = (Bytes::from_static(b"welcome"), Vec::new());
    outbox.welcome(welcome.clone());
    assert!(drain.next(&mut welcomed).now_or_never().is_some());
    drain.written(1, welcome.len());
    state.take(
        PresenceItem::Registered {
            session: SessionId(session),
            who: who(user),
            device: DeviceKey::Session(SessionId(session)),
            status: None,
            outbox,
            chats: chats.to_vec(),
            ticket: None,
        },
        now,
    );
    drain
}

/// Advances the time in the steps that the crowd requests.
fn pass(state: &mut PresenceState, now: &mut Instant, time: Duration) -> Vec<Outgoing> {
    let (end, mut out) = (*now + time, Vec::new());
    while let Some(at) = state.next_deadline().filter(|at| *at <= end) {
        out.extend(state.run(at.max(*now)));
    }
    *now = end;
    out
}

/// Returns the packets that a session received, each as text.
async fn received(drain: &mut OutboxDrain) -> Vec<String> {
    let mut frames = Vec::new();
    let waiting = tokio::time::timeout(Duration::from_millis(1), drain.next(&mut frames)).await;
    drop(waiting);
    let packet = |frame: &bytes::Bytes| rmp_serde::from_slice::<ReceivedPacket>(&frame[4..]).unwrap();
    frames.iter().map(packet).flat_map(|packet| items_of(&packet)).collect()
}

fn items_of(packet: &ReceivedPacket) -> Vec<String> {
    match packet.packet_type.as_str() {
        "Presence" => packet.users.iter().map(|v| format!("{} {:?}", v.user_id, v.status)).collect(),
        other => vec![format!("{other} {}", packet.user_id.unwrap())],
    }
}

#[actix_web::test]
async fn session_receives_a_snapshot_then_changes_once_per_tick() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let mut alice = register(&mut state, 1, 1, now);
    let mut bob = register(&mut state, 2, 2, now);
    pass(&mut state, &mut now, Duration::from_secs(1));
    for session in [&mut alice, &mut bob] {
        let items: BTreeSet<_> = received(session).await.into_iter().collect();
        assert_eq!(items, ["1 Online".to_owned(), "2 Online".to_owned()].into());
    }
    for status in [Status::Away, Status::Dnd, Status::Away, Status::Dnd] {
        state.update(SessionId(1), None, &PresenceUpdate::Status { status, version: None }, now);
    }
    state.update(SessionId(1), None, &PresenceUpdate::Typing(CHAT), now);
    state.update(SessionId(1), None, &PresenceUpdate::Typing(CHAT), now);
    pass(&mut state, &mut now, Duration::from_secs(1));
    assert_eq!(received(&mut bob).await, ["1 Dnd", "Typing 1"], "the last state only, and one notice");
    assert_eq!(received(&mut alice).await, ["1 Dnd"], "also on other devices, but without typing");
    state.take(PresenceItem::Unregistered { session: SessionId(1) }, now);
    pass(&mut state, &mut now, Duration::from_secs(14));
    assert!(received(&mut bob).await.is_empty());
    pass(&mut state, &mut now, Duration::from_secs(2));
    assert_eq!(received(&mut bob).await, ["1 Offline"]);
    assert_eq!(state.next_deadline(), None, "no activity: no deadline");
    state.take(PresenceItem::Unregistered { session: SessionId(2) }, now);
    pass(&mut state, &mut now, Duration::from_secs(20));
    assert!(state.next_deadline().is_none() && state.sessions.is_empty() && state.of_user.is_empty());
}

/// Regression: the snapshot after a join left out a user who had gone offline since the last flush.
#[actix_web::test]
async fn session_that_joins_receives_who_went_offline_before() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let _alice = register(&mut state, 1, 1, now);
    let mut bob = register(&mut state, 2, 2, now);
    pass(&mut state, &mut now, Duration::from_secs(1));
    received(&mut bob).await;
    let update = PresenceUpdate::Status { status: Status::Invisible, version: None };
    state.update(SessionId(1), None, &update, now);
    state.take(PresenceItem::Joined { chat: ChatId(8), user: UserId(2) }, now);
    pass(&mut state, &mut now, Duration::from_secs(1));
    let items: BTreeSet<_> = received(&mut bob).await.into_iter().collect();
    assert_eq!(items, ["1 Offline".to_owned(), "2 Online".to_owned()].into());
}

#[actix_web::test]
async fn typing_of_invisible_users_and_outsiders_is_not_sent() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let _alice = register(&mut state, 1, 1, now);
    let mut bob = register(&mut state, 2, 2, now);
    state.update(
        SessionId(1),
        None,
        &PresenceUpdate::Status { status: Status::Invisible, version: None },
        now,
    );
    state.update(SessionId(1), None, &PresenceUpdate::Typing(CHAT), now);
    state.update(SessionId(1), None, &PresenceUpdate::Typing(ChatId(8)), now);
    pass(&mut state, &mut now, Duration::from_secs(1));
    assert_eq!(received(&mut bob).await, ["2 Online"]);
}

#[actix_web::test]
async fn session_with_a_full_outbox_receives_presence_later() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let mut bob = register(&mut state, 2, 2, now);
    let outbox = state.sessions[&SessionId(2)].outbox.clone();
    while outbox.push_best_effort(&bytes::Bytes::from_static(b"    \x80")) {}
    let _alice = register(&mut state, 1, 1, now);
    pass(&mut state, &mut now, Duration::from_secs(2));
    let mut frames = Vec::new();
    bob.next(&mut frames).await;
    assert_eq!(frames.len(), 50);
    bob.written(frames.len(), frames.iter().map(bytes::Bytes::len).sum());
    pass(&mut state, &mut now, Duration::from_secs(10));
    let items: BTreeSet<_> = received(&mut bob).await.into_iter().collect();
    assert_eq!(items, ["1 Online".to_owned(), "2 Online".to_owned()].into());
}

/// A UDP client that follows the protocol.
struct Client {
    ticket: Ticket,
    counter: u64,
    known: u64,
    seen: BTreeMap<UserId, (u8, u64)>,
    status: (Status, u64),
    acknowledged: u64,
}

impl Client {
    fn new(state: &mut PresenceState, user: i64, now: Instant) -> Self {
        let ticket = Ticket::fresh();
        let device = DeviceKey::Named(format!("phone of {user}"));
        let chats = vec![CHAT];
        state.take(PresenceItem::TicketIssued { who: who(user), device, ticket, chats }, now);
        let (seen, status) = (BTreeMap::new(), (Status::Online, 1));
        Self { ticket, counter: 0, known: 0, seen, status, acknowledged: 0 }
    }

    fn ping(&mut self) -> Vec<u8> {
        self.counter += 1;
        let header =
            Header { kind: Kind::Ping, connection_id: self.ticket.connection_id, counter: self.counter };
        let (status, version) = self.status;
        let map = Upward {
            status: Some(status),
            version: Some(version),
            known: Some(self.known),
            ..Upward::default()
        };
        datagram::seal(&self.ticket.key_up, header, &map).unwrap()
    }

    /// Handles a datagram from the server. Returns whether it should be acknowledged.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let header = Header::of(bytes).unwrap();
        if header.kind == Kind::Pong {
            let pong: Pong = datagram::open(&self.ticket.key_down, header, bytes).unwrap();
            self.acknowledged = self.acknowledged.max(pong.version);
            return false;
        }
        let batch: PresenceBatch = datagram::open(&self.ticket.key_down, header, bytes).unwrap();
        for (user, status, version) in batch.users {
            let known = self.seen.entry(user).or_insert((status, version));
            if version > known.1 {
                *known = (status, version);
            }
        }
        if batch.from <= self.known {
            self.known = self.known.max(batch.to);
        }
        true
    }
}

/// A client that loses all datagrams of two keepalives cannot converge: of three in a row, one
/// arrives.
const LOST_IN_A_ROW: u32 = 2;
/// With these seeds a change came when the resends of the change before it were almost used up.
const NEWS_AFTER_LOST_NEWS: [u64; 4] = [934, 1310, 1663, 2058];

#[test]
fn presence_converges_within_two_keepalives_on_a_lossy_network() {
    use rand::{RngExt, SeedableRng};
    let here = |user: usize| SocketAddr::from(([127, 0, 0, 1], 1000 + u16::try_from(user).unwrap()));
    for seed in (0..56).chain(NEWS_AFTER_LOST_NEWS) {
        let mut chance = rand::rngs::StdRng::seed_from_u64(seed);
        let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
        let mut clients: Vec<_> = (1..=4).map(|user| Client::new(&mut state, user, now)).collect();
        let statuses = [Status::Away, Status::Dnd, Status::Online, Status::Invisible];
        // Datagrams in transit: the arrival time, the client, whether it is the sender, and the
        // bytes.
        let mut wire: Vec<(Instant, usize, bool, Vec<u8>)> = Vec::new();
        // Per client and direction: how many datagrams were lost in a row.
        let mut lost = [[0; 2]; 4];
        let mut post = |wire: &mut Vec<_>, now: Instant, client: usize, up: bool, bytes: Vec<u8>| {
            let lost = &mut lost[client][usize::from(up)];
            let copies = match chance.random_range(0..100) {
                0..30 if *lost < LOST_IN_A_ROW => 0,
                30..45 => 2,
                _ => 1,
            };
            *lost = if copies == 0 { *lost + 1 } else { 0 };
            for _ in 0..copies {
                let delay = Duration::from_millis(chance.random_range(0..400));
                wire.push((now + delay, client, up, bytes.clone()));
            }
        };
        // All clients change their status at the end of each second; then none does for two
        // keepalives.
        for second in 0..70_u64 {
            for (index, client) in clients.iter_mut().enumerate() {
                if second < 10 {
                    client.status = (statuses[(index + usize::try_from(second).unwrap()) % 4], second + 2);
                }
                if second < 10 || (second + u64::try_from(index).unwrap()) % 25 == 0 {
                    let ping = client.ping();
                    post(&mut wire, now, index, true, ping);
                }
            }
            for _ in 0..10 {
                for (to, bytes) in pass(&mut state, &mut now, Duration::from_millis(100)) {
                    post(&mut wire, now, usize::from(to.port() - 1000), false, bytes);
                }
                let (arrived, later) = wire.into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
                wire = later;
                for (_, index, up, bytes) in arrived {
                    let client = &mut clients[index];
                    if up {
                        if let Ok(Some((_, pong))) = state.receive(here(index), &bytes, now) {
                            assert!(pong.len() <= bytes.len(), "an answer is never larger than its request");
                            post(&mut wire, now, index, false, pong);
                        }
                    } else if client.take(&bytes) {
                        let ping = client.ping();
                        post(&mut wire, now, index, true, ping);
                    }
                }
            }
        }
        let expected: Vec<_> = clients.iter().map(|client| client.status.0.shown().code()).collect();
        let right = clients.iter().all(|client| {
            expected
                .iter()
                .zip(1..)
                .all(|(code, user)| client.seen.get(&UserId(user)).map_or(0, |(status, _)| *status) == *code)
        });
        assert!(right, "seed {seed}: a client sees an outdated status");
    }
    assert_eq!(Shown::Dnd.code(), 3);
}

#[test]
fn revocation_expiry_and_lost_joins_end_a_ticket() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1000));
    for end in [
        PresenceItem::Revoked { login: LoginId(10) },
        PresenceItem::Lost,
        // The login of another user: its ticket stays.
        PresenceItem::Revoked { login: LoginId(20) },
    ] {
        let stays = matches!(end, PresenceItem::Revoked { login: LoginId(20) });
        let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
        let mut client = Client::new(&mut state, 1, now);
        assert!(state.receive(address, &client.ping(), now).unwrap().is_some());
        state.take(end, now);
        assert_eq!(state.receive(address, &client.ping(), now).is_ok(), stays);
        now += Duration::from_secs(600);
        state.run(now);
        let refused = state.receive(address, &client.ping(), now);
        assert_eq!(refused, Err(DropReason::Connection), "an expired ticket is gone");
    }
}

#[test]
fn small_ping_gets_no_pong_and_outsiders_cannot_type() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1000));
    let (mut state, now) = (PresenceState::new(Limits::default()), Instant::now());
    let client = Client::new(&mut state, 1, now);
    let send = |kind, counter, map: &Upward| {
        let header = Header { kind, connection_id: client.ticket.connection_id, counter };
        datagram::seal(&client.ticket.key_up, header, map).unwrap()
    };
    let small = send(Kind::Ping, 1, &Upward::default());
    assert_eq!(state.receive(address, &small, now), Ok(None));
    let typing =
        |counter, chat| send(Kind::Typing, counter, &Upward { chat_id: Some(chat), ..Upward::default() });
    assert_eq!(state.receive(address, &typing(2, CHAT), now), Ok(None));
    assert_eq!(state.receive(address, &typing(3, ChatId(8)), now), Err(DropReason::NotMember));
    let empty = send(Kind::Status, 4, &Upward::default());
    assert_eq!(state.receive(address, &empty, now), Err(DropReason::Malformed));
}

#[actix_web::test]
async fn sessions_receive_presence_of_shared_chats_only() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let (left, right) = (ChatId(1), ChatId(2));
    let chats: [&[ChatId]; 5] = [&[left], &[left], &[left, right], &[right], &[]];
    let mut drains = Vec::new();
    for (user, chats) in (1..).zip(chats) {
        drains.push(register_in(&mut state, user, i64::try_from(user).unwrap(), chats, now));
    }
    let expected = [
        vec!["1 Online", "2 Online", "3 Online"],
        vec!["1 Online", "2 Online", "3 Online"],
        vec!["1 Online", "2 Online", "3 Online", "4 Online"],
        vec!["3 Online", "4 Online"],
        vec!["5 Online"],
    ];
    pass(&mut state, &mut now, Duration::from_secs(1));
    for (drain, expected) in drains.iter_mut().zip(&expected) {
        let mut items = received(drain).await;
        items.sort();
        assert_eq!(items, *expected, "a new user receives all");
    }
    for session in 1..=5 {
        let update = PresenceUpdate::Status { status: Status::Away, version: None };
        state.update(SessionId(session), None, &update, now);
    }
    pass(&mut state, &mut now, Duration::from_secs(1));
    for (drain, expected) in drains.iter_mut().zip(&expected) {
        let mut items = received(drain).await;
        items.sort();
        let expected: Vec<_> = expected.iter().map(|online| online.replace("Online", "Away")).collect();
        assert_eq!(items, expected, "a present user receives the change");
    }
}

/// When a thousand users came at once, presence used to be encoded a million times.
#[actix_web::test]
async fn frame_is_encoded_once_for_identical_chat_sets() {
    let (mut state, mut now) = (PresenceState::new(Limits::default()), Instant::now());
    let mut drains: Vec<_> =
        (1..=3).map(|user| register(&mut state, user, i64::try_from(user).unwrap(), now)).collect();
    for round in ["new users", "present users"] {
        pass(&mut state, &mut now, Duration::from_secs(1));
        let mut places = Vec::new();
        for drain in &mut drains {
            let mut frames = Vec::new();
            drop(tokio::time::timeout(Duration::from_millis(1), drain.next(&mut frames)).await);
            assert_eq!(frames.len(), 1, "{round}");
            places.push(frames[0].as_ptr());
        }
        assert!(places.iter().all(|place| *place == places[0]), "{round}");
        state.update(
            SessionId(1),
            None,
            &PresenceUpdate::Status { status: Status::Away, version: None },
            now,
        );
    }
}
