//! The checker finds every kind of fault, and none in a correct run.

use super::faults::DESCRIBED;
use super::*;

const CHAT: ChatId = ChatId(7);
const BASE: Seq = 3;

/// One chat with two sessions; one sender has `n` sent and acknowledged messages.
fn sent_and_acknowledged(n: usize) -> Checker {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("first".into(), true);
    checker.session("second".into(), true);
    for counter in 0..n {
        let (key, message, seq) = nth(counter);
        checker.sent(key, CHAT);
        checker.acknowledged(key, message, seq);
    }
    checker
}

fn nth(counter: usize) -> (MessageKey, MessageId, Seq) {
    let n = i64::try_from(counter).unwrap();
    (MessageKey { sender: 0, counter }, MessageId(100 + n), BASE + 1 + n)
}

fn receive(checker: &mut Checker, session: usize, counters: &[usize]) {
    for counter in counters {
        let (key, message, seq) = nth(*counter);
        checker.received(session, CHAT, seq, Some((key, message)));
    }
}

fn history(checker: &mut Checker, counters: &[usize]) {
    let listed = counters.iter().map(|counter| nth(*counter));
    let listed: Vec<_> = listed.map(|(key, id, seq)| (seq, id, Some(key))).collect();
    checker.history(CHAT, &listed);
}

/// Asserts that all faults are of one kind, and returns their number.
fn only(faults: &Faults, fault: Fault) -> u64 {
    assert_eq!(faults.count(fault), faults.total(), "{faults:?}");
    assert_eq!(faults.first().len() as u64, faults.total().min(DESCRIBED as u64));
    faults.total()
}

#[test]
fn checker_accepts_a_correct_run() {
    let mut checker = sent_and_acknowledged(4);
    receive(&mut checker, 0, &[0, 1, 2, 3]);
    receive(&mut checker, 1, &[0, 1, 2, 3]);
    history(&mut checker, &[0, 1, 2, 3]);
    assert_eq!(checker.verdict(true), Faults::default());
    assert_eq!((checker.messages(), checker.outstanding()), (4, (0, 0)));
    checker.heads_sum(1, BASE + 4);
    assert!(!checker.is_faulty());
}

#[test]
fn message_is_delivered_when_the_last_reading_session_has_it() {
    let mut checker = sent_and_acknowledged(1);
    let slow = checker.session("slow".into(), false);
    let (key, message, seq) = nth(0);
    let seen = [0, slow, 1].map(|session| checker.received(session, CHAT, seq, Some((key, message))));
    assert_eq!(seen, [false, false, true]);
}

#[test]
fn checker_finds_a_lost_message_in_the_middle_and_at_the_end() {
    for lost in [1, 3] {
        let mut checker = sent_and_acknowledged(4);
        receive(&mut checker, 0, &[0, 1, 2, 3]);
        let left: Vec<_> = (0..4).filter(|counter| *counter != lost).collect();
        receive(&mut checker, 1, &left);
        assert_eq!(checker.outstanding(), (0, 1));
        assert_eq!(checker.verdict(false).total(), 0, "it may still arrive");
        assert_eq!(only(&checker.verdict(true), Fault::Lost), 1);
    }
    let unseen = sent_and_acknowledged(1);
    assert_eq!(only(&unseen.verdict(true), Fault::Lost), 2, "one for each session");
}

#[test]
fn checker_finds_a_loss_when_the_sum_of_heads_arrives() {
    let mut checker = sent_and_acknowledged(4);
    receive(&mut checker, 0, &[0, 1, 2, 3]);
    receive(&mut checker, 1, &[0, 2]);
    checker.heads_sum(1, BASE + 3);
    assert_eq!(only(&checker.verdict(false), Fault::Lost), 1, "skipped");
    checker.heads_sum(1, BASE + 4);
    assert_eq!(only(&checker.verdict(false), Fault::Lost), 2, "after the last event");
    checker.heads_sum(1, BASE + 2);
    assert_eq!(checker.verdict(false).count(Fault::Wrong), 1, "below the received events");
}

#[test]
fn checker_finds_a_doubled_message() {
    let mut checker = sent_and_acknowledged(3);
    receive(&mut checker, 0, &[0, 1, 2]);
    receive(&mut checker, 1, &[0, 1, 1, 2, 0]);
    assert_eq!(only(&checker.verdict(true), Fault::Doubled), 2);

    // One message with two seqs: the seqs of every session are dense, and the message arrives
    // twice.
    let mut checker = sent_and_acknowledged(2);
    checker.sent(MessageKey { sender: 1, counter: 0 }, CHAT);
    checker.acknowledged(MessageKey { sender: 1, counter: 0 }, MessageId(900), BASE + 3);
    receive(&mut checker, 0, &[0, 1]);
    let (key, message, _) = nth(1);
    checker.received(0, CHAT, BASE + 3, Some((key, message)));
    assert!(checker.verdict(false).count(Fault::Doubled) == 1);
}

#[test]
fn late_message_is_reordered_and_not_lost() {
    let mut checker = sent_and_acknowledged(4);
    receive(&mut checker, 0, &[0, 1, 2, 3]);
    receive(&mut checker, 1, &[0, 2, 1, 3]);
    assert_eq!(only(&checker.verdict(true), Fault::Reordered), 1);
}

#[test]
fn seqs_in_another_order_than_sent_are_reordered() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    for (counter, seq) in [(0, BASE + 2), (1, BASE + 1)] {
        let key = MessageKey { sender: 0, counter };
        checker.sent(key, CHAT);
        checker.acknowledged(key, MessageId(seq), seq);
    }
    for (counter, seq) in [(1, BASE + 1), (0, BASE + 2)] {
        checker.received(0, CHAT, seq, Some((MessageKey { sender: 0, counter }, MessageId(seq))));
    }
    assert_eq!(only(&checker.verdict(false), Fault::Reordered), 1);
}

#[test]
fn seq_without_an_event_is_a_gap() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    for (counter, seq) in [(0, BASE + 1), (1, BASE + 3)] {
        let key = MessageKey { sender: 0, counter };
        checker.sent(key, CHAT);
        checker.acknowledged(key, MessageId(seq), seq);
        checker.received(0, CHAT, seq, Some((key, MessageId(seq))));
    }
    assert_eq!(only(&checker.verdict(true), Fault::Gap), 1);
}

#[test]
fn event_without_a_message_fills_its_seq() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    checker.received(0, CHAT, BASE + 1, None);
    let key = MessageKey { sender: 0, counter: 0 };
    checker.sent(key, CHAT);
    checker.acknowledged(key, MessageId(1), BASE + 2);
    checker.received(0, CHAT, BASE + 2, Some((key, MessageId(1))));
    assert_eq!(checker.verdict(true), Faults::default());
}

#[test]
fn checker_finds_contradicting_answers() {
    let mut checker = sent_and_acknowledged(1);
    let (key, message, seq) = nth(0);
    receive(&mut checker, 0, &[0]);
    receive(&mut checker, 1, &[0]);
    checker.acknowledged(key, message, seq);
    assert_eq!(only(&checker.verdict(true), Fault::Doubled), 1, "answered twice");

    let mut checker = sent_and_acknowledged(0);
    checker.sent(key, CHAT);
    assert_eq!(checker.outstanding(), (1, 0));
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "never answered");
    checker.refused(key);
    assert_eq!(checker.verdict(true), Faults::default());
    receive(&mut checker, 0, &[0]);
    receive(&mut checker, 1, &[0]);
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "refused, but present");

    let mut checker = sent_and_acknowledged(0);
    checker.sent(key, CHAT);
    checker.acknowledged(key, MessageId(999), seq);
    receive(&mut checker, 0, &[0]);
    receive(&mut checker, 1, &[0]);
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "another id than the events'");
}

#[test]
fn checker_finds_sessions_with_different_events() {
    let mut checker = sent_and_acknowledged(2);
    receive(&mut checker, 0, &[0, 1]);
    receive(&mut checker, 1, &[0]);
    let (key, message, _) = nth(0);
    checker.received(1, CHAT, BASE + 2, Some((key, message)));
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1);
    checker.received(1, CHAT, BASE + 3, Some((MessageKey { sender: 9, counter: 9 }, MessageId(5))));
    assert!(checker.verdict(false).first().iter().any(|text| text.contains("never sent")));
    checker.received(1, ChatId(99), 1, None);
    checker.received(1, CHAT, Seq::MAX, None);
    assert_eq!(checker.verdict(false).count(Fault::Wrong), 4);
}

#[test]
fn checker_compares_the_history_with_acknowledgements() {
    let faults = |listed: &[usize]| {
        let mut checker = sent_and_acknowledged(4);
        receive(&mut checker, 0, &[0, 1, 2, 3]);
        receive(&mut checker, 1, &[0, 1, 2, 3]);
        history(&mut checker, listed);
        checker.verdict(true)
    };
    assert_eq!(only(&faults(&[0, 1, 3]), Fault::Lost), 1);
    assert_eq!(only(&faults(&[0, 1, 1, 2, 3]), Fault::Doubled), 1);
    assert_eq!(only(&faults(&[0, 2, 1, 3]), Fault::Reordered), 1);
    assert_eq!(only(&faults(&[0, 1, 2, 3, 4]), Fault::Wrong), 1);
    assert_eq!(only(&faults(&[]), Fault::Lost), 4);
}

#[test]
fn slow_reader_must_receive_events_in_order() {
    let mut checker = sent_and_acknowledged(4);
    receive(&mut checker, 0, &[0, 1, 2, 3]);
    receive(&mut checker, 1, &[0, 1, 2, 3]);
    let slow = checker.session("slow".into(), false);
    receive(&mut checker, slow, &[0, 1]);
    assert_eq!(checker.verdict(true), Faults::default());
    receive(&mut checker, slow, &[3]);
    assert_eq!(only(&checker.verdict(true), Fault::Lost), 1);
}
