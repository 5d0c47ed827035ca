-- What administrators and owners did. Rows are added and never changed.
CREATE TABLE audit_events (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- NULL: the operator of the machine, over the control socket.
    actor_id   BIGINT  REFERENCES users (id),
    action     TEXT    NOT NULL,
    -- What it was done to: 'user:3', 'chat:7', 'project:2', 'repository:5', 'token:9'.
    target     TEXT    NOT NULL,
    -- JSON: what was set.
    detail     TEXT    NOT NULL,
    -- Of the HTTP request, if it was one.
    request_id TEXT,
    created_at BIGINT  NOT NULL
);
CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events are not changed'); END;
CREATE TRIGGER audit_events_are_not_deleted BEFORE DELETE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events are not deleted'); END;

-- How many of its newest messages a chat keeps; NULL: all. Who said so deletes the others.
ALTER TABLE chats ADD COLUMN retention BIGINT;
ALTER TABLE chats ADD COLUMN retention_by BIGINT REFERENCES users (id);
-- Up to here nothing is left to delete.
ALTER TABLE chats ADD COLUMN trimmed_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN trimmed_ordinal BIGINT NOT NULL DEFAULT 0;
CREATE INDEX chats_with_retention ON chats (id) WHERE retention IS NOT NULL;
