//! Invariants between rows: the numbers that the read models rely on.

use super::Db;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// Maximum number of contradictions reported per rule; the rest is counted.
const CONTRADICTIONS_MAX: usize = 20;

#[derive(QueryableByName)]
struct Contradiction {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The rules: a sentence, and a query that selects an id and a detail for each row that violates
/// the rule.
const RULES: &[(&str, &str)] = &[
    (
        "the seq of chat {} is not dense",
        "SELECT c.id AS id, 'last_seq ' || c.last_seq || ', ' || coalesce(s.n, 0) || ' events up to ' || coalesce(s.m, 0) AS detail
         FROM chats c LEFT JOIN (
             SELECT chat_id, count(*) n, count(DISTINCT seq) d, max(seq) m FROM (
                 SELECT chat_id, seq FROM messages UNION ALL SELECT chat_id, seq FROM chat_events
             ) e JOIN chats t ON t.id = e.chat_id WHERE seq > t.trimmed_seq GROUP BY chat_id
         ) s ON s.chat_id = c.id
         WHERE c.deleted_at IS NULL
           AND (coalesce(s.n, 0) <> c.last_seq - c.trimmed_seq OR coalesce(s.d, 0) <> c.last_seq - c.trimmed_seq
             OR coalesce(s.m, c.trimmed_seq) <> c.last_seq)",
    ),
    (
        "the ordinals of chat {} are not dense",
        "SELECT c.id AS id, 'last_ordinal ' || c.last_ordinal || ', ' || coalesce(s.n, 0) || ' messages' AS detail
         FROM chats c LEFT JOIN (
             SELECT chat_id, count(DISTINCT ordinal) n, max(ordinal) m
             FROM messages JOIN chats t ON t.id = chat_id WHERE ordinal > t.trimmed_ordinal GROUP BY chat_id
         ) s ON s.chat_id = c.id
         WHERE c.deleted_at IS NULL
           AND (coalesce(s.n, 0) <> c.last_ordinal - c.trimmed_ordinal
             OR coalesce(s.m, c.trimmed_ordinal) <> c.last_ordinal)",
    ),
    (
        "a cursor in chat {} is beyond its head",
        "SELECT p.chat_id AS id, 'user ' || p.user_id AS detail FROM chat_participants p JOIN chats c ON c.id = p.chat_id
         WHERE p.read_seq > c.last_seq OR p.delivered_seq > c.last_seq OR p.read_ordinal > c.last_ordinal",
    ),
    (
        "a participant of chat {} is recorded as added by themselves",
        "SELECT chat_id AS id, 'user ' || user_id AS detail FROM chat_participants WHERE added_by = user_id",
    ),
    (
        "chat {} of a message does not exist",
        "SELECT chat_id AS id, 'message ' || min(id) AS detail FROM messages
         WHERE NOT EXISTS (SELECT 1 FROM chats c WHERE c.id = chat_id) GROUP BY chat_id",
    ),
    (
        "sender {} of a message does not exist",
        "SELECT sender_id AS id, 'message ' || min(id) AS detail FROM messages
         WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = sender_id) GROUP BY sender_id",
    ),
    (
        "project {} has no owner",
        "SELECT id, name AS detail FROM projects WHERE deleted_at IS NULL AND NOT EXISTS (
             SELECT 1 FROM project_members m WHERE m.project_id = projects.id AND m.role = 'owner')",
    ),
    (
        "a member of project {} is not in its channel",
        "SELECT j.id AS id, 'user ' || m.user_id AS detail FROM projects j JOIN project_members m ON m.project_id = j.id
         WHERE j.deleted_at IS NULL AND NOT EXISTS (
             SELECT 1 FROM chat_participants p WHERE p.chat_id = j.channel_id AND p.user_id = m.user_id)",
    ),
    (
        "the bytes of the files of user {} are not counted",
        "SELECT u.user_id AS id, 'counted ' || u.bytes || ', in files ' || coalesce(s.bytes, 0) AS detail
         FROM file_usage u LEFT JOIN (
             SELECT uploader_id, sum(CASE WHEN size < 4096 THEN 4096 ELSE size END) AS bytes
             FROM files GROUP BY uploader_id
         ) s ON s.uploader_id = u.user_id
         WHERE u.bytes <> coalesce(s.bytes, 0)",
    ),
    (
        "the bytes of all files are not counted ({})",
        "SELECT t.counted AS id, 'in files ' || t.bytes AS detail FROM (
             SELECT coalesce((SELECT value FROM meta WHERE key = 'file_bytes'), 0) AS counted,
                 CAST(coalesce((SELECT sum(CASE WHEN size < 4096 THEN 4096 ELSE size END) FROM files), 0) AS BIGINT) AS bytes
         ) t WHERE t.counted <> t.bytes",
    ),
    (
        "the bytes of the Git LFS objects of repository {} are not counted",
        "SELECT r.id AS id, 'counted ' || r.lfs_bytes || ', in objects ' || coalesce(o.bytes, 0) AS detail
         FROM repositories r LEFT JOIN (
             SELECT repository_id, sum(CASE WHEN size < 4096 THEN 4096 ELSE size END) AS bytes
             FROM lfs_objects GROUP BY repository_id
         ) o ON o.repository_id = r.id
         WHERE r.lfs_bytes <> coalesce(o.bytes, 0)",
    ),
    (
        "file {} belongs to a deleted message",
        "SELECT f.id AS id, 'message ' || m.id AS detail FROM files f JOIN messages m ON m.id = f.message_id
         WHERE m.deleted_at IS NOT NULL",
    ),
    (
        "file {} and its message do not name each other",
        "SELECT f.id AS id, 'message ' || m.id AS detail FROM files f JOIN messages m ON m.id = f.message_id
         WHERE f.sha256 IS NULL OR f.chat_id <> m.chat_id OR f.uploader_id <> m.sender_id OR m.files IS NULL",
    ),
    (
        "message {} shows files that it does not have",
        "SELECT id, 'chat ' || chat_id AS detail FROM messages
         WHERE files IS NOT NULL AND NOT EXISTS (SELECT 1 FROM files f WHERE f.message_id = messages.id)",
    ),
];

/// Returns all violations, as sentences.
pub fn contradictions(db: &mut Db) -> QueryResult<Vec<String>> {
    let mut contradictions = Vec::new();
    for (sentence, sql) in RULES {
        let found: Vec<Contradiction> = diesel::sql_query(*sql).load(db)?;
        let sentences = found.iter().take(CONTRADICTIONS_MAX);
        contradictions.extend(
            sentences.map(|row| format!("{} ({})", sentence.replace("{}", &row.id.to_string()), row.detail)),
        );
        if found.len() > CONTRADICTIONS_MAX {
            contradictions.push(format!("and {} more of this kind", found.len() - CONTRADICTIONS_MAX));
        }
    }
    Ok(contradictions)
}
