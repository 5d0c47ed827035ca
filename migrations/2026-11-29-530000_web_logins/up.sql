-- SHA-256 of the secret in the cookie of a browser. NULL: a login with refresh tokens, or an ended one.
ALTER TABLE sessions ADD COLUMN web_hash BLOB;
-- The User-Agent that started the login, cut. NULL: none, or before this column was there, or ended.
ALTER TABLE sessions ADD COLUMN device TEXT;
-- The address that started the login. NULL: before this column was there, or ended.
ALTER TABLE sessions ADD COLUMN address TEXT;
-- When the login was last used: a start, a refresh, or a use of a web login. NULL: before this column was there.
ALTER TABLE sessions ADD COLUMN last_used_at BIGINT;
CREATE UNIQUE INDEX sessions_by_web_hash ON sessions (web_hash) WHERE web_hash IS NOT NULL;
