-- What a push is about to do, written before it can do it; and what it did.
CREATE TABLE push_intents (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    user_id       BIGINT  NOT NULL REFERENCES users (id),
    -- JSON: [{"ref","old","new"}].
    refs          TEXT    NOT NULL,
    -- What the pusher wants said with it.
    chat_text     TEXT,
    -- How the pusher reached the server, for links.
    base_url      TEXT    NOT NULL,
    -- The name of the message that the push will write.
    client_id     BLOB    NOT NULL,
    -- 'announced': refs and event are settled, notifications are not all written yet.
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'announced', 'settled')),
    -- The last user, by id, who was notified.
    notified_to   BIGINT  NOT NULL DEFAULT 0,
    -- The event in the project's channel, once there is one.
    event_seq     BIGINT,
    -- Users named in commit messages, as a JSON array of ids.
    mentioned     TEXT    NOT NULL DEFAULT '[]',
    created_at    BIGINT  NOT NULL,
    settled_at    BIGINT
);
CREATE UNIQUE INDEX push_intents_pending ON push_intents (repository_id) WHERE state = 'pending';
CREATE INDEX push_intents_unsettled ON push_intents (id) WHERE state <> 'settled';

-- A push in a chat's events: at most one for each intent.
ALTER TABLE chat_events ADD COLUMN push_id BIGINT REFERENCES push_intents (id);
-- The rest of the event, as JSON.
ALTER TABLE chat_events ADD COLUMN data TEXT;
CREATE UNIQUE INDEX chat_events_by_push ON chat_events (push_id) WHERE push_id IS NOT NULL;

CREATE TABLE notifications (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    BIGINT  NOT NULL REFERENCES users (id),
    kind       TEXT    NOT NULL,
    chat_id    BIGINT  REFERENCES chats (id),
    message_id BIGINT,
    actor_id   BIGINT  REFERENCES users (id),
    text       TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    read_at    BIGINT
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;
