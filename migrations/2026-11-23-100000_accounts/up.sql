-- Counters of the database itself: 'epoch' (a random number, new in every restored copy) and 'commit_no'.
CREATE TABLE meta (
    key   TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE users (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    username       TEXT    NOT NULL UNIQUE,
    display_name   TEXT    NOT NULL,
    email          TEXT,
    password_hash  TEXT    NOT NULL,
    is_admin       BOOLEAN NOT NULL DEFAULT FALSE,
    token_version  BIGINT  NOT NULL DEFAULT 1,
    deactivated_at BIGINT,
    created_at     BIGINT  NOT NULL
);

-- Login sessions: what one login opens and one logout ends.
CREATE TABLE sessions (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    BIGINT  NOT NULL REFERENCES users (id),
    -- The highest generation of refresh token that was ever used.
    generation BIGINT  NOT NULL DEFAULT 0,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    token_hash    BLOB   NOT NULL PRIMARY KEY,
    session_id    BIGINT NOT NULL REFERENCES sessions (id),
    generation    BIGINT NOT NULL,
    superseded_at BIGINT
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id, generation);
