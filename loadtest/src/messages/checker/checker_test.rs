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

fn see(checker: &mut Checker, session: usize, counters: &[usize]) {
    for counter in counters {
        let (key, message, seq) = nth(*counter);
        checker.saw(session, CHAT, seq, Some((key, message)));
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
fn what_everybody_saw_once_and_in_order_is_correct() {
    let mut checker = sent_and_acknowledged(4);
    see(&mut checker, 0, &[0, 1, 2, 3]);
    see(&mut checker, 1, &[0, 1, 2, 3]);
    history(&mut checker, &[0, 1, 2, 3]);
    assert_eq!(checker.verdict(true), Faults::default());
    assert_eq!((checker.messages(), checker.outstanding()), (4, (0, 0)));
    checker.heads_sum(1, BASE + 4);
    assert!(!checker.is_faulty());
}

#[test]
fn a_message_is_everywhere_when_the_last_session_saw_it() {
    let mut checker = sent_and_acknowledged(1);
    let slow = checker.session("slow".into(), false);
    let (key, message, seq) = nth(0);
    let seen = [0, slow, 1].map(|session| checker.saw(session, CHAT, seq, Some((key, message))));
    assert_eq!(seen, [false, false, true]);
}

#[test]
fn a_lost_message_is_found_in_the_middle_and_at_the_end() {
    for lost in [1, 3] {
        let mut checker = sent_and_acknowledged(4);
        see(&mut checker, 0, &[0, 1, 2, 3]);
        let left: Vec<_> = (0..4).filter(|counter| *counter != lost).collect();
        see(&mut checker, 1, &left);
        assert_eq!(checker.outstanding(), (0, 1));
        assert_eq!(checker.verdict(false).total(), 0, "it may still come");
        assert_eq!(only(&checker.verdict(true), Fault::Lost), 1);
    }
    let unseen = sent_and_acknowledged(1);
    assert_eq!(only(&unseen.verdict(true), Fault::Lost), 2, "one for each session");
}

#[test]
fn a_loss_is_found_as_soon_as_the_server_says_how_much_there_is() {
    let mut checker = sent_and_acknowledged(4);
    see(&mut checker, 0, &[0, 1, 2, 3]);
    see(&mut checker, 1, &[0, 2]);
    checker.heads_sum(1, BASE + 3);
    assert_eq!(only(&checker.verdict(false), Fault::Lost), 1, "jumped over");
    checker.heads_sum(1, BASE + 4);
    assert_eq!(only(&checker.verdict(false), Fault::Lost), 2, "behind");
    checker.heads_sum(1, BASE + 2);
    assert_eq!(checker.verdict(false).count(Fault::Wrong), 1, "ahead");
}

#[test]
fn a_doubled_message_is_found() {
    let mut checker = sent_and_acknowledged(3);
    see(&mut checker, 0, &[0, 1, 2]);
    see(&mut checker, 1, &[0, 1, 1, 2, 0]);
    assert_eq!(only(&checker.verdict(true), Fault::Doubled), 2);

    // One message with two seqs: the seqs of every session are dense, and the message arrives
    // twice.
    let mut checker = sent_and_acknowledged(2);
    checker.sent(MessageKey { sender: 1, counter: 0 }, CHAT);
    checker.acknowledged(MessageKey { sender: 1, counter: 0 }, MessageId(900), BASE + 3);
    see(&mut checker, 0, &[0, 1]);
    let (key, message, _) = nth(1);
    checker.saw(0, CHAT, BASE + 3, Some((key, message)));
    assert!(checker.verdict(false).count(Fault::Doubled) == 1);
}

#[test]
fn a_message_that_comes_late_is_reordered_and_not_lost() {
    let mut checker = sent_and_acknowledged(4);
    see(&mut checker, 0, &[0, 1, 2, 3]);
    see(&mut checker, 1, &[0, 2, 1, 3]);
    assert_eq!(only(&checker.verdict(true), Fault::Reordered), 1);
}

#[test]
fn messages_that_are_numbered_in_another_order_than_sent_are_reordered() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    for (counter, seq) in [(0, BASE + 2), (1, BASE + 1)] {
        let key = MessageKey { sender: 0, counter };
        checker.sent(key, CHAT);
        checker.acknowledged(key, MessageId(seq), seq);
    }
    for (counter, seq) in [(1, BASE + 1), (0, BASE + 2)] {
        checker.saw(0, CHAT, seq, Some((MessageKey { sender: 0, counter }, MessageId(seq))));
    }
    assert_eq!(only(&checker.verdict(false), Fault::Reordered), 1);
}

#[test]
fn a_number_that_nobody_has_is_a_gap() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    for (counter, seq) in [(0, BASE + 1), (1, BASE + 3)] {
        let key = MessageKey { sender: 0, counter };
        checker.sent(key, CHAT);
        checker.acknowledged(key, MessageId(seq), seq);
        checker.saw(0, CHAT, seq, Some((key, MessageId(seq))));
    }
    assert_eq!(only(&checker.verdict(true), Fault::Gap), 1);
}

#[test]
fn an_event_that_is_no_message_fills_its_number() {
    let mut checker = Checker::new(&[(CHAT, BASE)]);
    checker.session("only".into(), true);
    checker.saw(0, CHAT, BASE + 1, None);
    let key = MessageKey { sender: 0, counter: 0 };
    checker.sent(key, CHAT);
    checker.acknowledged(key, MessageId(1), BASE + 2);
    checker.saw(0, CHAT, BASE + 2, Some((key, MessageId(1))));
    assert_eq!(checker.verdict(true), Faults::default());
}

#[test]
fn answers_that_contradict_are_found() {
    let mut checker = sent_and_acknowledged(1);
    let (key, message, seq) = nth(0);
    see(&mut checker, 0, &[0]);
    see(&mut checker, 1, &[0]);
    checker.acknowledged(key, message, seq);
    assert_eq!(only(&checker.verdict(true), Fault::Doubled), 1, "answered twice");

    let mut checker = sent_and_acknowledged(0);
    checker.sent(key, CHAT);
    assert_eq!(checker.outstanding(), (1, 0));
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "never answered");
    checker.refused(key);
    assert_eq!(checker.verdict(true), Faults::default());
    see(&mut checker, 0, &[0]);
    see(&mut checker, 1, &[0]);
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "refused, and there");

    let mut checker = sent_and_acknowledged(0);
    checker.sent(key, CHAT);
    checker.acknowledged(key, MessageId(999), seq);
    see(&mut checker, 0, &[0]);
    see(&mut checker, 1, &[0]);
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1, "another id than the events'");
}

#[test]
fn sessions_that_see_different_things_are_found() {
    let mut checker = sent_and_acknowledged(2);
    see(&mut checker, 0, &[0, 1]);
    see(&mut checker, 1, &[0]);
    let (key, message, _) = nth(0);
    checker.saw(1, CHAT, BASE + 2, Some((key, message)));
    assert_eq!(only(&checker.verdict(true), Fault::Wrong), 1);
    checker.saw(1, CHAT, BASE + 3, Some((MessageKey { sender: 9, counter: 9 }, MessageId(5))));
    assert!(checker.verdict(false).first().iter().any(|text| text.contains("unseen sent")));
    checker.saw(1, ChatId(99), 1, None);
    checker.saw(1, CHAT, Seq::MAX, None);
    assert_eq!(checker.verdict(false).count(Fault::Wrong), 4);
}

#[test]
fn the_history_is_compared_with_what_was_acknowledged() {
    let faults = |listed: &[usize]| {
        let mut checker = sent_and_acknowledged(4);
        see(&mut checker, 0, &[0, 1, 2, 3]);
        see(&mut checker, 1, &[0, 1, 2, 3]);
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
fn one_that_does_not_read_must_be_in_order_as_far_as_it_got() {
    let mut checker = sent_and_acknowledged(4);
    see(&mut checker, 0, &[0, 1, 2, 3]);
    see(&mut checker, 1, &[0, 1, 2, 3]);
    let slow = checker.session("slow".into(), false);
    see(&mut checker, slow, &[0, 1]);
    assert_eq!(checker.verdict(true), Faults::default());
    see(&mut checker, slow, &[3]);
    assert_eq!(only(&checker.verdict(true), Fault::Lost), 1);
}
