//! Steps of the state machine, without a runtime.

use super::state::*;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, LoginId, UserId};
use crate::domain::message::ClientId;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::code::Code;
use crate::protocol::packet::{MessagePacket, PacketMessage};

fn member() -> Authenticated {
    let who = Credential::login(UserId(1), LoginId(1), 1);
    Authenticated { who, pages: PageLimits { default: 50, max: 100, cursors: 2 } }
}

fn packet(packet_type: &str) -> MessagePacket {
    MessagePacket { packet_type: packet_type.into(), request_id: Some(9), ..MessagePacket::default() }
}

fn step_for(packet: MessagePacket) -> Action {
    member().receive(Incoming::Packet(Box::new(packet)))
}

fn refusal(action: Action) -> Code {
    match action {
        Action::Refuse(error) => {
            assert!(!error.detail.is_empty());
            error.code.in_packets()
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn message_packet(content: &str) -> MessagePacket {
    let message = PacketMessage {
        client_id: Some(ClientId([7; 16])),
        content: Some(content.into()),
        ..PacketMessage::default()
    };
    MessagePacket { chat_id: Some(ChatId(3)), message: Some(message), ..packet("SendMessage") }
}

#[test]
fn first_packet_must_be_hello() {
    let hello = MessagePacket { token: Some("t".into()), ..packet("Hello") };
    assert!(matches!(
        Unauthenticated::default().receive(Incoming::Packet(Box::new(hello))),
        Ok(Hello { options: HelloOptions { echo: true, .. }, .. })
    ));
    for first in [packet("Ping"), packet("Hello"), message_packet("hi")] {
        let refusal = Unauthenticated::default().receive(Incoming::Packet(Box::new(first))).unwrap_err();
        assert!(refusal.error.is_some_and(|error| error.code == Code::Unauthenticated));
        assert_eq!(refusal.code, GoodbyeCode::Unauthenticated);
    }
    let web_login = Some(Credential::login(UserId(1), LoginId(2), 3));
    let hello = Unauthenticated { web_login }.receive(Incoming::Packet(Box::new(packet("Hello"))));
    assert!(matches!(hello, Ok(Hello { proof: Proof::WebLogin(who), .. }) if Some(who) == web_login));
    let refusal = Unauthenticated::default().receive(Incoming::Malformed).unwrap_err();
    assert!(refusal.error.is_none() && refusal.code == GoodbyeCode::BadRequest);
}

#[test]
fn well_formed_message_is_sent() {
    assert!(matches!(step_for(message_packet("hi")), Action::Submit { chat: ChatId(3), .. }));
}

#[test]
fn each_invalid_packet_is_refused_with_its_code() {
    assert_eq!(refusal(step_for(message_packet(""))), Code::BadRequest);
    assert_eq!(refusal(step_for(message_packet("a\0b"))), Code::BadRequest);
    assert_eq!(refusal(step_for(message_packet(&"x".repeat(16 * 1024 + 1)))), Code::TooLarge);
    assert_eq!(refusal(step_for(MessagePacket { chat_id: None, ..message_packet("hi") })), Code::BadRequest);
    assert_eq!(refusal(step_for(MessagePacket { message: None, ..message_packet("hi") })), Code::BadRequest);
    assert_eq!(
        refusal(step_for(MessagePacket { user_id: Some(UserId(2)), ..message_packet("hi") })),
        Code::Forbidden
    );
    assert_eq!(refusal(step_for(packet("Hello"))), Code::BadRequest);
    let resume = |cursors: &[(i64, u64)]| MessagePacket {
        epoch: Some(1),
        cursors: Some(cursors.iter().map(|(chat, seq)| (ChatId(*chat), *seq)).collect()),
        ..packet("Resume")
    };
    assert!(matches!(step_for(resume(&[(3, 4), (5, 6)])), Action::Resume { .. }));
    assert_eq!(refusal(step_for(resume(&[(1, 1), (2, 2), (3, 3)]))), Code::BadRequest);
    assert_eq!(refusal(step_for(resume(&[(3, 1 << 60)]))), Code::BadRequest);
    assert_eq!(refusal(step_for(MessagePacket { epoch: None, ..resume(&[]) })), Code::BadRequest);
    assert_eq!(refusal(step_for(MessagePacket { cursors: None, ..resume(&[]) })), Code::BadRequest);
    assert_eq!(refusal(step_for(packet("<script>"))), Code::BadRequest);
    let page = MessagePacket { chat_id: Some(ChatId(3)), ..packet("GetMessages") };
    assert_eq!(refusal(step_for(MessagePacket { limit: Some(0), ..page.clone() })), Code::BadRequest);
    assert_eq!(refusal(step_for(MessagePacket { limit: Some(101), ..page.clone() })), Code::BadRequest);
    assert_eq!(refusal(step_for(MessagePacket { before_seq: Some(1 << 63), ..page })), Code::BadRequest);
}

#[test]
fn own_user_id_is_accepted_and_bye_ends_the_session() {
    assert!(matches!(
        step_for(MessagePacket { user_id: Some(UserId(1)), ..message_packet("hi") }),
        Action::Submit { .. }
    ));
    assert!(matches!(step_for(packet("Bye")), Action::Leave));
}

#[test]
fn request_id_is_that_of_the_packet() {
    assert_eq!(Incoming::Packet(Box::new(packet("Ping"))).request_id(), Some(9));
    let bad_field = Incoming::BadField { request_id: Some(8), reason: "seq".into() };
    assert_eq!(bad_field.request_id(), Some(8));
    assert_eq!(Incoming::TooLarge { request_id: Some(7), bytes_max: 1 }.request_id(), Some(7));
    assert_eq!(Incoming::Malformed.request_id(), None);
}

#[test]
fn undecodable_bytes_end_the_session() {
    let action = member().receive(Incoming::Malformed);
    assert!(matches!(action, Action::End(GoodbyeCode::BadRequest)));
}
