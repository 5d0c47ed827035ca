-- When the token was first exchanged. NULL: not yet, or before this column was there.
ALTER TABLE refresh_tokens ADD COLUMN exchanged_at BIGINT;
