CREATE TABLE messages_rebuilt (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chat_id      BIGINT  NOT NULL REFERENCES chats (id),
    seq          BIGINT  NOT NULL,
    ordinal      BIGINT  NOT NULL,
    sender_id    BIGINT  NOT NULL REFERENCES users (id),
    -- The sender's own name for the message: 16 bytes, unique per sender.
    client_id    BLOB    NOT NULL,
    -- SHA-256 over what was first received under that name.
    request_hash BLOB    NOT NULL,
    content      TEXT    NOT NULL,
    reply_to     BIGINT,
    metadata     TEXT,
    created_at   BIGINT  NOT NULL,
    -- The last event that touched the row.
    updated_seq  BIGINT  NOT NULL,
    edited_at    BIGINT,
    -- A deleted message keeps its row, its place and its client_id; its content is gone.
    deleted_at   BIGINT,
    pinned_at    BIGINT,
    -- JSON: [{"emoji","user_ids"}]; NULL: none.
    reactions    TEXT,
    -- The message with which the thread began; NULL: this one replies to nothing.
    thread_id    BIGINT,
    UNIQUE (chat_id, seq),
    UNIQUE (sender_id, client_id)
);
INSERT INTO messages_rebuilt (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, metadata, created_at, updated_seq, edited_at, deleted_at, pinned_at, reactions, thread_id)
    SELECT id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, metadata, created_at, updated_seq, edited_at, deleted_at, pinned_at, reactions, thread_id FROM messages ORDER BY id;
-- Ids are never used again, also not those above the last row.
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'messages')
    WHERE name = 'messages_rebuilt' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'messages');
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'messages_rebuilt', seq FROM sqlite_sequence
    WHERE name = 'messages' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'messages_rebuilt');
DROP TABLE messages;
ALTER TABLE messages_rebuilt RENAME TO messages;
CREATE INDEX messages_by_thread ON messages (thread_id, seq) WHERE thread_id IS NOT NULL;
CREATE INDEX messages_pinned ON messages (chat_id, seq) WHERE pinned_at IS NOT NULL;
CREATE INDEX messages_deleted ON messages (chat_id, ordinal) WHERE deleted_at IS NOT NULL;
