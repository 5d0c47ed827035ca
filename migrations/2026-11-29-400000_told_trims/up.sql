-- The edits of a message are found without reading all events of its chat.
CREATE INDEX chat_events_edits ON chat_events (message_id) WHERE kind = 'edit';
-- 1: rows were removed and no `trim` event says so yet.
ALTER TABLE chats ADD COLUMN trim_untold BIGINT NOT NULL DEFAULT 0;
-- Messages that stayed when the chat was trimmed are looked at again above this seq; NULL: not needed.
ALTER TABLE chats ADD COLUMN trim_again_above BIGINT;
CREATE INDEX chats_with_untold_trim ON chats (id) WHERE trim_untold = 1;
