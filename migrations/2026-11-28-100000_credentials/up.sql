-- When a token was last used, to the hour. NULL: never, or before this column was there.
ALTER TABLE access_tokens ADD COLUMN last_used_at BIGINT;
-- When its owner was notified that it is about to expire.
ALTER TABLE access_tokens ADD COLUMN warned_at BIGINT;

-- A user who is deactivated loses their tokens for good; until now they came back with the user.
UPDATE access_tokens SET revoked_at = (SELECT deactivated_at FROM users WHERE users.id = access_tokens.user_id)
    WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE deactivated_at IS NOT NULL);

-- How the pusher reached the server is no longer part of what is stored: a push that was interrupted
-- before this migration gets a path for a link.
UPDATE push_intents SET base_url = '' WHERE state <> 'settled';
