DROP INDEX sessions_by_web_hash;
-- A web login has no refresh token, so an earlier version could not use it.
UPDATE sessions SET ended_at = created_at WHERE web_hash IS NOT NULL AND ended_at IS NULL;
ALTER TABLE sessions DROP COLUMN last_used_at;
ALTER TABLE sessions DROP COLUMN address;
ALTER TABLE sessions DROP COLUMN device;
ALTER TABLE sessions DROP COLUMN web_hash;
