//! Retention: the number of newest messages that a chat keeps.

use serde_json::json;

use super::chats::{keep_name, load};
use super::fan_out::retract;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{AuthMethod, Credential, RequiredScope};
use crate::domain::chat::Chat;
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats, messages};
use crate::storage::rows::trimming::Trim;

/// Sets the number of newest messages that a chat keeps; `None`: all. Removed messages are not
/// restored.
pub struct SetRetention {
    pub who: Credential,
    pub chat: ChatId,
    pub keep: Option<i64>,
}

impl Command for SetRetention {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (chat, role) = load(tx, self.chat, self.who.user)?;
        let by = if self.who.auth_method == AuthMethod::Operator {
            let admin = accounts::first_admin(tx.reader())?;
            admin.ok_or(Refusal::Conflict("the server has no administrator yet; create one first"))?
        } else {
            permission::own(&chat, role)?;
            self.who.user
        };
        if chat.retention == self.keep {
            return Ok(());
        }
        chats::set_retention(tx.write(), chat.id, self.keep, by)?;
        if chat.trimmed_seq > 0 {
            chats::set_again_above(tx.write(), chat.id, self.keep.map(|_| 0))?;
        }
        keep_name(tx, chat.id, by)?;
        tx.audit(self.who, "chat.retention", ("chat", chat.id.0), &json!({"keep": self.keep}))?;
        tx.announce(Event::RetentionSet { chat_id: chat.id, keep: self.keep });
        Ok(())
    }
}

/// Removes the oldest messages beyond the retention of a chat. Returns whether more may be left.
///
/// A command removes at most `limits.trimmed_per_command` messages, and as many events about
/// messages and followers of threads. All followers of one message are removed with it, even above
/// this limit.
///
/// Pinned messages and messages with remaining replies are kept, and checked again when that may
/// have changed. When nothing is left to remove, the chat gets one event for all removed messages,
/// by the user who last set its retention.
pub struct TrimChat {
    pub chat: ChatId,
}

impl Command for TrimChat {
    type Output = bool;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let Some((chat, trims)) = chats::chat_to_trim(tx.reader(), self.chat)? else { return Ok(false) };
        if let Some(keep) = chat.retention {
            let ordinal_max = chat.last_ordinal - keep;
            if trim_next(tx, &chat, ordinal_max)? {
                return Ok(true);
            }
            if let Some(above) = trims.again_above {
                trim_again(tx, &chat, above, ordinal_max)?;
                return Ok(true);
            }
        }
        if trims.event_due {
            chats::clear_trim_event_due(tx.write(), chat.id)?;
            if let Some(by) = trims.by {
                let mut last_seq = chat.last_seq;
                tx.append_event(chat.id, &mut last_seq, by, Change::Trim { to_seq: chat.trimmed_seq })?;
            }
        }
        Ok(false)
    }
}

/// Trims the chat up to a later seq. Returns `false` if there is nothing to trim.
fn trim_next(tx: &mut Tx<'_>, chat: &Chat, ordinal_max: i64) -> Execution<bool> {
    let (id, above, most) = (chat.id, chat.trimmed_seq, tx.limits.trimmed_per_command);
    let mut found = messages::to_trim(tx.reader(), id, (above, Seq::MAX), ordinal_max, most)?;
    let Some(&(last_seq, _)) = found.last() else { return Ok(false) };
    // Any number of events may lie between two messages: the slice may end at an event.
    let event = messages::event_above(tx.reader(), id, above, most)?;
    let seq = event.map_or(last_seq, |seq| seq.min(last_seq));
    let seq = within_followers(tx, id, (above, seq), &found)?;
    found.retain(|(found, _)| *found <= seq);
    let ordinal = found.last().map_or(chat.trimmed_ordinal, |(_, ordinal)| *ordinal);
    let trim = Trim { chat: id, above, to: seq, trimmed: seq };
    let removed = remove(tx, &found, trim)?;
    messages::remove_events(tx.write(), trim)?;
    // A removed reply may be the last one to an older message that was kept.
    chats::set_trimmed(tx.write(), id, seq, ordinal, above > 0 && removed.any_reply)?;
    let edited = removed.edited;
    tx.announce(Event::Trimmed { chat_id: id, seq, ordinal, edited });
    Ok(true)
}

/// Checks messages again that were kept when the chat was trimmed: they were pinned or had replies.
fn trim_again(tx: &mut Tx<'_>, chat: &Chat, above: Seq, ordinal_max: i64) -> Execution<()> {
    let (id, trimmed, most) = (chat.id, chat.trimmed_seq, tx.limits.trimmed_per_command);
    let mut found = messages::to_trim(tx.reader(), id, (above, trimmed), ordinal_max, most)?;
    let Some(&(to, _)) = found.last() else {
        chats::set_again_above(tx.write(), id, None)?;
        return Ok(());
    };
    let to = within_followers(tx, id, (above, to), &found)?;
    found.retain(|(seq, _)| *seq <= to);
    let removed = remove(tx, &found, Trim { chat: id, above, to, trimmed })?;
    chats::set_checked_again(tx.write(), id, to, removed.count > 0)?;
    if removed.count > 0 {
        let (seq, ordinal) = (trimmed, chat.trimmed_ordinal);
        tx.announce(Event::Trimmed { chat_id: id, seq, ordinal, edited: removed.edited });
    }
    Ok(())
}

/// Returns the end of a range of seqs, so that at most `limits.trimmed_per_command` followers
/// belong to its messages, or to its first message only. No follower may be deleted while its
/// message may still be kept.
fn within_followers(
    tx: &mut Tx<'_>,
    chat: ChatId,
    (above, to): (Seq, Seq),
    found: &[(Seq, i64)],
) -> Execution<Seq> {
    let most = tx.limits.trimmed_per_command;
    let Some(seq) = messages::follower_beyond(tx.reader(), chat, (above, to), most)? else { return Ok(to) };
    let is_first = found.first().is_some_and(|(first, _)| *first == seq);
    Ok(if is_first { seq } else { seq - 1 })
}

struct Removed {
    count: usize,
    any_reply: bool,
    /// Messages that later events show as edited.
    edited: Vec<MessageId>,
}

/// Removes the messages that are not kept, with the followers of their threads and their
/// notifications.
fn remove(tx: &mut Tx<'_>, found: &[(Seq, i64)], trim: Trim) -> Execution<Removed> {
    let (going, staying): (Vec<_>, Vec<_>) =
        messages::candidates(tx.reader(), trim)?.into_iter().partition(|message| message.goes);
    let count = messages::remove(tx.write(), trim)?;
    let staying: Vec<_> = staying.into_iter().map(|message| message.seq).collect();
    retract(tx, trim.chat, &runs(found, &staying))?;
    let any_reply = going.iter().any(|message| message.is_reply);
    let edited = going.into_iter().filter(|message| message.is_shown_above).map(|message| message.id);
    Ok(Removed { count, any_reply, edited: edited.collect() })
}

/// Returns the ranges of seqs that contain removed messages and no kept message. Both inputs are
/// sorted.
fn runs(found: &[(Seq, i64)], staying: &[Seq]) -> Vec<(Seq, Seq)> {
    let mut runs: Vec<(Seq, Seq)> = Vec::new();
    let mut goes_on = false;
    for (seq, _) in found {
        if staying.binary_search(seq).is_ok() {
            goes_on = false;
            continue;
        }
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => run.1 = *seq,
            None => runs.push((*seq, *seq)),
        }
        goes_on = true;
    }
    runs
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use tokio::sync::oneshot::Receiver;

    use super::*;
    use crate::actors::writer::CommandError;
    use crate::actors::writer::batch::BatchExecutor;
    use crate::actors::writer::messages::PendingCommand;
    use crate::actors::writer::metrics::CommitMetrics;
    use crate::core::actor::Reply;
    use crate::core::config::Synchronous;
    use crate::core::database;
    use crate::core::limits::Limits;

    #[test]
    fn runs_hold_removed_messages_and_none_that_stays() {
        let found: Vec<(Seq, i64)> = [2, 3, 5, 8, 9].into_iter().zip(1..).collect();
        assert_eq!(runs(&found, &[]), [(2, 9)]);
        assert_eq!(runs(&found, &[5]), [(2, 3), (8, 9)]);
        assert_eq!(runs(&found, &[2, 8]), [(3, 5), (9, 9)]);
        assert_eq!(runs(&found, &[2, 3, 5, 8, 9]), []);
    }

    /// Messages 1 to 3 with 9 followers each, 500 edits of message 1, messages 2 to 4, and 500
    /// edits of message 1 more.
    const ROWS: &str = "
        CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
            SELECT n FROM n;
        INSERT INTO users (id, username, display_name, password_hash, created_at)
            SELECT n, 'user' || n, '', '', 0 FROM n;
        INSERT INTO chats (id, kind, created_at, last_seq, last_ordinal, last_message_id, retention)
            VALUES (1, 'group', 0, 1004, 4, 4, 1);
        INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at,
                updated_seq, edited_at)
            SELECT n, 1, CASE n WHEN 1 THEN 1 ELSE 500 + n END, n, 1, n, '', '', 0,
                CASE n WHEN 1 THEN 1004 ELSE 500 + n END, CASE n WHEN 1 THEN 0 END FROM n WHERE n <= 4;
        INSERT INTO chat_events (chat_id, seq, kind, actor_id, message_id, created_at)
            SELECT 1, CASE WHEN n <= 500 THEN 1 + n ELSE 4 + n END, 'edit', 1, 1, 0 FROM n;
        INSERT INTO thread_followers (thread_id, user_id) SELECT 1 + n % 3, n FROM n WHERE n <= 27";

    /// A message with 10,000 edits had all of them changed in one slice. Followers of a message
    /// that still existed were removed, and were missing if it was pinned before the next slice.
    #[test]
    fn trim_slice_is_bounded_however_many_edits_and_followers() {
        trim_all(10);
        trim_all(5);
    }

    fn trim_all(trimmed_per_command: i64) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        database::migrate(&mut db, &path).unwrap();
        db.batch_execute(ROWS).unwrap();
        let limits = Limits { trimmed_per_command, ..Limits::default() };
        let mut executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
        let changes = |executor: &mut BatchExecutor| {
            database::integer(executor.connection().sqlite(), "SELECT total_changes() AS value").unwrap()
        };
        let mut most = 0;
        loop {
            let before = changes(&mut executor);
            let (reply, mut answer): (_, Receiver<Result<bool, CommandError>>) = Reply::channel();
            let queued = Box::new(PendingCommand::new(TrimChat { chat: ChatId(1) }, None, reply));
            executor.run(vec![queued]).answer();
            most = most.max(changes(&mut executor) - before);
            let sql = "SELECT count(*) AS value FROM messages m WHERE id <= 3
                AND (SELECT count(*) FROM thread_followers WHERE thread_id = m.id) <> 9";
            assert_eq!(
                database::integer(executor.connection().sqlite(), sql).unwrap(),
                0,
                "a message that is still there keeps its followers"
            );
            if !answer.try_recv().unwrap().unwrap() {
                break;
            }
        }
        assert!(most <= 30, "{most} rows in one slice");
        let db = executor.connection();
        for (sql, expected) in [
            ("SELECT count(*) AS value FROM messages", 1),
            ("SELECT count(*) AS value FROM thread_followers", 0),
            ("SELECT trimmed_seq AS value FROM chats", 503),
            ("SELECT count(*) AS value FROM chat_events WHERE seq <= 503", 0),
        ] {
            assert_eq!(database::integer(db.sqlite(), sql).unwrap(), expected, "{sql}");
        }
        let above = chats::events_between(db, ChatId(1), 503, 1_006, 1_000, false).unwrap();
        let deletions =
            above.iter().filter(|event| event.change == Change::Delete { message_id: MessageId(1) });
        assert_eq!(
            (deletions.count(), above.len()),
            (500, 500),
            "edits of a removed message show no content"
        );
    }
}
