ALTER TABLE access_tokens DROP COLUMN warned_at;
ALTER TABLE access_tokens DROP COLUMN last_used_at;
