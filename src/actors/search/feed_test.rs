//! Tests of the feed.

use std::time::{Duration, Instant};

use super::feed::Feed;
use crate::actors::cache::ChatHead;
use crate::domain::ids::ChatId;
use crate::storage::search_feed::IndexedTo;
use crate::storage::search_index::Mark;

fn head(chat: i64, head: i64, trimmed: i64) -> ChatHead {
    ChatHead { chat: ChatId(chat), head, trimmed }
}

fn chats(feed: &Feed) -> Vec<i64> {
    feed.next().into_iter().map(|indexed| indexed.chat.0).collect()
}

/// Returns whether the feed is current, with some patience.
fn is_current(feed: &Feed) -> bool {
    feed.is_current(Instant::now(), Duration::from_secs(60))
}

#[test]
fn comparison_finds_chats_that_differ_from_their_marks() {
    let mark = |seq, trimmed| Mark { seq, trimmed };
    let marks = [(1, mark(5, 0)), (2, mark(5, 0)), (3, mark(9, 2)), (4, mark(1, 0))];
    let mut feed = Feed::new(marks.into_iter().map(|(chat, mark)| (ChatId(chat), mark)).collect());
    assert!(!is_current(&feed), "nothing was compared yet");
    feed.compare(&[head(1, 5, 0), head(2, 7, 0), head(3, 9, 4), head(5, 1, 0)], Instant::now());
    let mut found = chats(&feed);
    found.sort_unstable();
    assert_eq!(found, [2, 3, 4, 5]);
    assert_eq!(feed.behind(), 2 + 1);
    feed.indexed(ChatId(2), mark(7, 0), 7, Instant::now());
    feed.trimmed(ChatId(3), 4, 9);
    assert_eq!(feed.mark(ChatId(3)), mark(9, 4));
    feed.indexed(ChatId(3), mark(9, 4), 9, Instant::now());
    feed.gone(ChatId(4));
    assert!(!is_current(&feed));
    feed.indexed(ChatId(5), mark(1, 0), 1, Instant::now());
    assert!(is_current(&feed) && chats(&feed).is_empty());
    feed.note(head(1, 6, 0), Instant::now());
    assert!(is_current(&feed), "later messages do not count");
}

#[test]
fn large_chat_does_not_delay_the_others() {
    let mut feed = Feed::default();
    feed.compare(&[], Instant::now());
    for chat in 1..=3 {
        feed.note(head(chat, 10, 0), Instant::now());
    }
    feed.indexed(ChatId(1), Mark { seq: 4, trimmed: 0 }, 10, Instant::now());
    assert_eq!(chats(&feed), [2, 3, 1]);
    feed.note(head(1, 12, 0), Instant::now());
    feed.indexed(ChatId(1), Mark { seq: 10, trimmed: 0 }, 10, Instant::now());
    assert_eq!(chats(&feed), [2, 3, 1], "an event arrived while it was read");
    feed.indexed(ChatId(1), Mark { seq: 12, trimmed: 0 }, 12, Instant::now());
    assert_eq!(chats(&feed), [2, 3]);
}

#[test]
fn trim_is_applied_once() {
    let mut feed = Feed::default();
    feed.note(head(1, 20, 8), Instant::now());
    feed.trimmed(ChatId(1), 8, 20);
    let expected = IndexedTo { chat: ChatId(1), seq: 0, trimmed: 8, trims_to: 20 };
    assert_eq!(feed.next(), [expected], "the chat is read again");
    feed.indexed(ChatId(1), Mark { seq: 20, trimmed: 8 }, 20, Instant::now());
    feed.note(head(1, 21, 8), Instant::now());
    assert_eq!(feed.next(), [IndexedTo { seq: 20, trims_to: 0, ..expected }]);
}

#[test]
fn chat_that_cannot_be_read_is_isolated_and_skipped() {
    let mut feed = Feed::default();
    feed.compare(&[], Instant::now());
    for chat in 1..=3 {
        feed.note(head(chat, 10, 0), Instant::now());
    }
    let ids = [1, 2, 3].map(ChatId);
    assert_eq!(feed.unreadable(&ids), None);
    assert_eq!(chats(&feed), [1], "one by one");
    feed.indexed(ChatId(1), Mark { seq: 10, trimmed: 0 }, 10, Instant::now());
    assert_eq!(feed.unreadable(&[ChatId(2)]), Some(ChatId(2)));
    assert_eq!((chats(&feed), feed.skipped(), feed.behind()), (vec![3], 1, 10));
    feed.note(head(2, 11, 0), Instant::now());
    assert_eq!(chats(&feed), [3], "each event would fail again");
    feed.indexed(ChatId(3), Mark { seq: 10, trimmed: 0 }, 10, Instant::now());
    assert!(!is_current(&feed), "messages of the skipped chat are not found");
    feed.compare(&[head(1, 10, 0), head(2, 11, 0), head(3, 10, 0)], Instant::now());
    assert_eq!(chats(&feed), [2], "it is tried again");
    feed.indexed(ChatId(2), Mark { seq: 11, trimmed: 0 }, 11, Instant::now());
    assert!(is_current(&feed) && feed.behind() == 0);
}

#[test]
fn old_changes_make_the_index_late() {
    let (mut feed, begin) = (Feed::default(), Instant::now());
    let after = |seconds| begin + Duration::from_secs(seconds);
    let is_current = |feed: &Feed, seconds| feed.is_current(after(seconds), Duration::from_secs(5));
    feed.compare(&[], begin);
    feed.note(head(1, 10, 0), begin);
    feed.note(head(1, 12, 0), after(4));
    assert!(is_current(&feed, 5) && !is_current(&feed, 6));
    feed.indexed(ChatId(1), Mark { seq: 9, trimmed: 0 }, 12, after(6));
    assert!(!is_current(&feed, 6), "event 10 is still missing");
    feed.indexed(ChatId(1), Mark { seq: 10, trimmed: 0 }, 12, after(6));
    assert!(is_current(&feed, 11), "event 11 is younger");
    assert_eq!(feed.behind(), 2);
    feed.indexed(ChatId(1), Mark { seq: 12, trimmed: 0 }, 12, after(12));
    assert!(is_current(&feed, 100) && feed.behind() == 0);
}
