ALTER TABLE refresh_tokens DROP COLUMN exchanged_at;
