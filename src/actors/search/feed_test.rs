//! Tests of the feed.

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

#[test]
fn comparison_finds_chats_that_differ_from_their_marks() {
    let mark = |seq, trimmed| Mark { seq, trimmed };
    let marks = [(1, mark(5, 0)), (2, mark(5, 0)), (3, mark(9, 2)), (4, mark(1, 0))];
    let mut feed = Feed::new(marks.into_iter().map(|(chat, mark)| (ChatId(chat), mark)).collect());
    assert!(!feed.is_built(), "nothing was compared yet");
    feed.compare(&[head(1, 5, 0), head(2, 7, 0), head(3, 9, 4), head(5, 1, 0)]);
    let mut found = chats(&feed);
    found.sort_unstable();
    assert_eq!(found, [2, 3, 4, 5]);
    assert_eq!(feed.behind(), 2 + 1);
    feed.indexed(ChatId(2), mark(7, 0), 7);
    feed.trimmed(ChatId(3), 4, 9);
    assert_eq!(feed.mark(ChatId(3)), mark(9, 4));
    feed.indexed(ChatId(3), mark(9, 4), 9);
    feed.gone(ChatId(4));
    assert!(!feed.is_built());
    feed.indexed(ChatId(5), mark(1, 0), 1);
    assert!(feed.is_built() && chats(&feed).is_empty());
    feed.note(head(1, 6, 0));
    assert!(feed.is_built(), "later messages do not count");
}

#[test]
fn large_chat_does_not_delay_the_others() {
    let mut feed = Feed::default();
    feed.compare(&[]);
    for chat in 1..=3 {
        feed.note(head(chat, 10, 0));
    }
    feed.indexed(ChatId(1), Mark { seq: 4, trimmed: 0 }, 10);
    assert_eq!(chats(&feed), [2, 3, 1]);
    feed.note(head(1, 12, 0));
    feed.indexed(ChatId(1), Mark { seq: 10, trimmed: 0 }, 10);
    assert_eq!(chats(&feed), [2, 3, 1], "an event arrived while it was read");
    feed.indexed(ChatId(1), Mark { seq: 12, trimmed: 0 }, 12);
    assert_eq!(chats(&feed), [2, 3]);
}

#[test]
fn trim_is_applied_once() {
    let mut feed = Feed::default();
    feed.note(head(1, 20, 8));
    feed.trimmed(ChatId(1), 8, 20);
    let expected = IndexedTo { chat: ChatId(1), seq: 0, trimmed: 8, trims_to: 20 };
    assert_eq!(feed.next(), [expected], "the chat is read again");
    feed.indexed(ChatId(1), Mark { seq: 20, trimmed: 8 }, 20);
    feed.note(head(1, 21, 8));
    assert_eq!(feed.next(), [IndexedTo { seq: 20, trims_to: 0, ..expected }]);
}
