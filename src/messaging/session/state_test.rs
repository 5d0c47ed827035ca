//! What a session answers, without a runtime.

use super::state::*;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, LoginId, UserId};
use crate::domain::message::ClientId;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::code::Code;
use crate::protocol::packet::{MessagePacket, PacketMessage};

fn member() -> Member {
    let who = Credential::login(UserId(1), LoginId(1), 1);
    Member { who, pages: PageLimits { default: 50, max: 100, cursors: 2 } }
}

fn packet(packet_type: &str) -> MessagePacket {
    MessagePacket { packet_type: packet_type.into(), request_id: Some(9), ..MessagePacket::default() }
}

fn tell(packet: MessagePacket) -> Step {
    member().receive(Incoming::Packet(Box::new(packet)))
}

fn refusal(step: Step) -> Code {
    match step {
        Step::Refuse(ack) => {
            assert_eq!((ack.success, ack.request_id), (false, Some(9)));
            assert!(ack.error.is_some_and(|error| !error.is_empty()));
            ack.code.unwrap()
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn saying(content: &str) -> MessagePacket {
    let message = PacketMessage {
        client_id: Some(ClientId([7; 16])),
        content: Some(content.into()),
        ..PacketMessage::default()
    };
    MessagePacket { chat_id: Some(ChatId(3)), message: Some(message), ..packet("SendMessage") }
}

#[test]
fn a_stranger_must_say_hello_first() {
    let hello = MessagePacket { token: Some("t".into()), ..packet("Hello") };
    assert!(matches!(
        Stranger.receive(Incoming::Packet(Box::new(hello))),
        Step::Authenticate { introduction: Introduction { echo: true, .. }, request_id: Some(9), .. }
    ));
    for first in [packet("Ping"), packet("Hello"), saying("hi")] {
        let step = Stranger.receive(Incoming::Packet(Box::new(first)));
        assert!(matches!(step, Step::End { last: Some(_), code: GoodbyeCode::Unauthenticated }));
    }
    let step = Stranger.receive(Incoming::Malformed);
    assert!(matches!(step, Step::End { last: None, code: GoodbyeCode::BadRequest }));
}

#[test]
fn a_well_formed_message_is_sent() {
    assert!(matches!(tell(saying("hi")), Step::Do { request_id: Some(9), chat: ChatId(3), .. }));
}

#[test]
fn each_mistake_has_its_code() {
    assert_eq!(refusal(tell(saying(""))), Code::BadRequest);
    assert_eq!(refusal(tell(saying("a\0b"))), Code::BadRequest);
    assert_eq!(refusal(tell(saying(&"x".repeat(16 * 1024 + 1)))), Code::TooLarge);
    assert_eq!(refusal(tell(MessagePacket { chat_id: None, ..saying("hi") })), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { message: None, ..saying("hi") })), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { user_id: Some(UserId(2)), ..saying("hi") })), Code::Forbidden);
    assert_eq!(refusal(tell(packet("Hello"))), Code::BadRequest);
    let resume = |cursors: &[(i64, u64)]| MessagePacket {
        epoch: Some(1),
        cursors: Some(cursors.iter().map(|(chat, seq)| (ChatId(*chat), *seq)).collect()),
        ..packet("Resume")
    };
    assert!(matches!(tell(resume(&[(3, 4), (5, 6)])), Step::Resume { request_id: Some(9), .. }));
    assert_eq!(refusal(tell(resume(&[(1, 1), (2, 2), (3, 3)]))), Code::BadRequest);
    assert_eq!(refusal(tell(resume(&[(3, 1 << 60)]))), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { epoch: None, ..resume(&[]) })), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { cursors: None, ..resume(&[]) })), Code::BadRequest);
    assert_eq!(refusal(tell(packet("<script>"))), Code::BadRequest);
    let page = MessagePacket { chat_id: Some(ChatId(3)), ..packet("GetMessages") };
    assert_eq!(refusal(tell(MessagePacket { limit: Some(0), ..page.clone() })), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { limit: Some(101), ..page.clone() })), Code::BadRequest);
    assert_eq!(refusal(tell(MessagePacket { before_seq: Some(1 << 63), ..page })), Code::BadRequest);
}

#[test]
fn ones_own_user_id_is_accepted_and_bye_ends() {
    assert!(matches!(tell(MessagePacket { user_id: Some(UserId(1)), ..saying("hi") }), Step::Do { .. }));
    assert!(matches!(tell(packet("Bye")), Step::End { code: GoodbyeCode::Bye, .. }));
}

#[test]
fn bytes_that_are_no_packet_end_the_session() {
    let step = member().receive(Incoming::Malformed);
    assert!(matches!(step, Step::End { code: GoodbyeCode::BadRequest, .. }));
}
