//! UDP attacks: against addresses that requested nothing, against tickets of other users, against
//! memory.

use std::time::Duration;

use netbit::client::TcpClient;
use netbit::protocol::datagram::{self, Kind, PresenceBatch};
use netbit::protocol::packet::MessagePacket;
use serde_json::json;
use tokio::net::UdpSocket;

use crate::harness::udp::{Udp, ping};
use crate::harness::{Person, TestServer, assert_problem, soon};
use crate::presence::{from_json, hello, status};

/// Returns the number of received bytes until the socket is empty. The caller has already received
/// something newer elsewhere, so the last of these bytes have arrived.
fn drained(socket: &UdpSocket) -> usize {
    let (mut bytes, mut buffer) = (0, [0; 600]);
    while let Ok((_, received)) = rustix::net::recv(socket, &mut buffer[..], rustix::net::RecvFlags::DONTWAIT)
    {
        bytes += received;
    }
    bytes
}

async fn start() -> TestServer {
    TestServer::with_limits(|limits| {
        limits.presence_tick_ms = 10;
        limits.udp_resend_ms = 20;
        (limits.udp_datagrams_per_second, limits.udp_datagrams_burst) = (1_000, 1_000);
    })
    .await
}

async fn ticket(person: &Person) -> netbit::protocol::answer::TicketData {
    from_json(&person.post("/api/udp/ticket", json!({})).await.body)
}

/// Changes the user's status repeatedly.
async fn change_status(session: &mut TcpClient, times: usize) {
    for n in 0..times {
        let shown = if n % 2 == 0 { "away" } else { "online" };
        assert!(soon(session.request(status(shown, None))).await.unwrap().success);
        tokio::time::sleep(Duration::from_millis(12)).await;
    }
}

/// Receives and acknowledges datagrams until a batch shows the user with the status.
async fn acknowledge_until(udp: &mut Udp, known: &mut u64, wanted: (i64, u8)) {
    loop {
        let (header, bytes) = udp.receive().await;
        if header.kind != Kind::PresenceBatch {
            continue;
        }
        let batch: PresenceBatch = datagram::open(&udp.keys.1, header, &bytes).unwrap();
        if batch.from <= *known {
            *known = (*known).max(batch.to);
        }
        udp.send(Kind::Ping, &ping(*known)).await;
        if batch.users.iter().any(|(user, status, _)| (user.0, *status) == wanted) {
            return;
        }
    }
}

/// Mallory's datagrams carry the address of a victim. Regression: the server sent every status
/// change of all users there, a thousand times the received bytes. Acknowledgements that mallory
/// invents prove nothing, even with numbers that were sent to mallory's own address.
#[actix_web::test]
async fn spoofed_address_gets_at_most_three_times_its_bytes() {
    let server = start().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    alice.group(&[&mallory]).await;
    let mut busy = alice.tcp().await;
    let mut own = Udp::new(&ticket(&mallory).await).await;
    let mut known = 0;
    own.send(Kind::Ping, &ping(0)).await;
    acknowledge_until(&mut own, &mut known, (alice.id.0, 1)).await;
    let victim = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sent = 0;
    for guess in [0, known, known + 1, known + (1 << 33), (1 << 53) - 1] {
        let forged = own.sealed(Kind::Ping, &ping(guess));
        sent += forged.len();
        victim.send_to(&forged, own.server).await.unwrap();
        change_status(&mut busy, 8).await;
    }
    // From here on mallory answers honestly from their own address. When this batch arrives, all
    // earlier datagrams have arrived.
    own.send(Kind::Ping, &ping(known)).await;
    change_status(&mut busy, 1).await;
    acknowledge_until(&mut own, &mut known, (alice.id.0, 2)).await;
    let received = drained(&victim);
    assert!(received <= 3 * sent, "{received} bytes for {sent}");
    assert!(received > 0, "the challenge was sent");
    server.stop().await;
}

/// A client that acknowledges gets everything, at once and after it has moved to another address.
#[actix_web::test]
async fn acknowledging_client_gets_everything_at_any_address() {
    let server = start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.group(&[&bob]).await;
    let mut busy = alice.tcp().await;
    let mut phone = Udp::new(&ticket(&bob).await).await;
    let mut known = 0;
    for _ in 0..2 {
        let pinged = phone.sealed(Kind::Ping, &ping(known));
        phone.socket.send_to(&pinged, phone.server).await.unwrap();
        let mut received = 0;
        for round in 0..12 {
            let (shown, code) = if round % 2 == 0 { ("dnd", 3) } else { ("away", 2) };
            assert!(soon(busy.request(status(shown, None))).await.unwrap().success);
            acknowledge_until(&mut phone, &mut known, (alice.id.0, code)).await;
            received += 60;
        }
        assert!(received > 3 * pinged.len(), "an unproven address gets less");
        // The network assigns another address to the phone.
        phone.socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    }
    server.stop().await;
}

/// An attacker on the path sends a captured datagram from elsewhere before the original arrives.
/// Pushes must not follow it.
#[actix_web::test]
async fn captured_datagram_does_not_redirect_pushes() {
    let server = start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.group(&[&bob]).await;
    let mut busy = alice.tcp().await;
    let mut phone = Udp::new(&ticket(&bob).await).await;
    let (mut known, thief) = (0, UdpSocket::bind("127.0.0.1:0").await.unwrap());
    phone.send(Kind::Ping, &ping(0)).await;
    acknowledge_until(&mut phone, &mut known, (alice.id.0, 1)).await;
    let captured = phone.sealed(Kind::Ping, &ping(known));
    thief.send_to(&captured, phone.server).await.unwrap();
    // The Pong shows that the server accepted the captured copy. It drops the original as a replay.
    let mut buffer = [0; 600];
    soon(thief.recv_from(&mut buffer)).await.unwrap();
    phone.socket.send_to(&captured, phone.server).await.unwrap();
    change_status(&mut busy, 20).await;
    assert!(soon(busy.request(status("dnd", None))).await.unwrap().success);
    acknowledge_until(&mut phone, &mut known, (alice.id.0, 3)).await;
    let stolen = drained(&thief) + buffer.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    assert!(stolen <= 3 * captured.len(), "{stolen} bytes for {}", captured.len());
    server.stop().await;
}

/// Regression: one account requested tickets as fast as it could, over every transport: 193 MiB in
/// 90 s.
#[actix_web::test]
async fn tickets_are_rate_limited_over_every_transport() {
    let server = TestServer::with_limits(|limits| limits.udp_tickets_burst = 4).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut session = alice.tcp().await;
    let ask = || MessagePacket { packet_type: "Ticket".into(), ..MessagePacket::default() };
    let asks = || MessagePacket { udp: Some(true), ..MessagePacket::default() };
    assert!(hello(&alice, &server, asks()).await.1.udp.is_some());
    assert!(soon(session.request(ask())).await.unwrap().udp.is_some());
    for _ in 0..2 {
        assert_eq!(alice.post("/api/udp/ticket", json!({})).await.status, 201);
    }
    let refused = alice.post("/api/udp/ticket", json!({})).await;
    assert_problem(&refused, 429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    let refused = soon(session.ask(ask())).await.unwrap();
    assert_eq!((refused.success, refused.code.as_deref()), (false, Some("rate_limited")));
    let (_, welcome) = hello(&alice, &server, asks()).await;
    assert_eq!(
        (welcome.packet_type.as_str(), welcome.udp),
        ("Welcome", None),
        "the session begins without a ticket"
    );
    assert_eq!(bob.post("/api/udp/ticket", json!({})).await.status, 201, "other users are not limited");
    server.stop().await;
}

/// Newer tickets beyond the limit replace the oldest: its datagrams are dropped like those of an
/// unknown ticket.
#[actix_web::test]
async fn superseded_ticket_is_dropped_at_once() {
    let server = TestServer::with_limits(|limits| limits.udp_tickets_per_user = 2).await;
    let alice = server.user("alice").await;
    let mut first = Udp::new(&ticket(&alice).await).await;
    let mut second = Udp::new(&ticket(&alice).await).await;
    let mut third = Udp::new(&ticket(&alice).await).await;
    first.send(Kind::Ping, &ping(0)).await;
    for newer in [&mut second, &mut third] {
        newer.send(Kind::Ping, &ping(0)).await;
        newer.pong().await;
    }
    assert_eq!(crate::presence::dropped(&server, "connection").await, 1);
    server.stop().await;
}
