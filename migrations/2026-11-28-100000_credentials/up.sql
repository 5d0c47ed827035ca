-- When a token was last used, to the hour. NULL: never, or before this column was there.
ALTER TABLE access_tokens ADD COLUMN last_used_at BIGINT;
-- When its owner was notified that it is about to expire.
ALTER TABLE access_tokens ADD COLUMN warned_at BIGINT;

-- How the pusher reached the server is no longer part of what is stored: a push that was interrupted
-- before this migration gets a path for a link.
UPDATE push_intents SET base_url = '' WHERE state <> 'settled';
