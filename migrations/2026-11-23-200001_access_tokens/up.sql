-- Personal access tokens: what a program may do in somebody's name.
CREATE TABLE access_tokens (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id      BIGINT  NOT NULL REFERENCES users (id),
    name         TEXT    NOT NULL,
    -- SHA-256 of the token; the token itself is shown once and stored nowhere.
    token_hash   BLOB    NOT NULL UNIQUE,
    -- Space separated.
    scopes       TEXT    NOT NULL,
    -- JSON array of repository ids; NULL: every repository of the user.
    repositories TEXT,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX access_tokens_by_user ON access_tokens (user_id);
