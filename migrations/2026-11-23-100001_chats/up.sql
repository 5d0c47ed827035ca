CREATE TABLE chats (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind            TEXT    NOT NULL CHECK (kind IN ('direct', 'group', 'channel')),
    name            TEXT,
    -- 'low:high' of the two user ids of a direct chat: one chat per pair.
    direct_key      TEXT    UNIQUE,
    -- The name of a channel, in lower case: channels are found by name.
    channel_key     TEXT    UNIQUE,
    -- One dense sequence over messages and chat_events.
    last_seq        BIGINT  NOT NULL DEFAULT 0,
    -- How many messages were ever written.
    last_ordinal    BIGINT  NOT NULL DEFAULT 0,
    last_message_id BIGINT,
    archived_at     BIGINT,
    created_at      BIGINT  NOT NULL
);

CREATE TABLE chat_participants (
    chat_id       BIGINT NOT NULL REFERENCES chats (id),
    user_id       BIGINT NOT NULL REFERENCES users (id),
    role          TEXT   NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'reader')),
    read_seq      BIGINT NOT NULL DEFAULT 0,
    read_ordinal  BIGINT NOT NULL DEFAULT 0,
    delivered_seq BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX chat_participants_by_user ON chat_participants (user_id);

CREATE TABLE messages (
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
    UNIQUE (chat_id, seq),
    UNIQUE (sender_id, client_id)
);

-- Events that are not messages; their seq comes from the same sequence.
CREATE TABLE chat_events (
    chat_id    BIGINT NOT NULL REFERENCES chats (id),
    seq        BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    actor_id   BIGINT NOT NULL REFERENCES users (id),
    user_id    BIGINT,
    role       TEXT,
    name       TEXT,
    archived   BOOLEAN,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (chat_id, seq)
);
CREATE INDEX chat_events_by_user ON chat_events (chat_id, user_id);
