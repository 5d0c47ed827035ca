-- What may happen to a message after it was written.
ALTER TABLE messages ADD COLUMN edited_at BIGINT;
-- A deleted message keeps its row, its place and its client_id; its content is gone.
ALTER TABLE messages ADD COLUMN deleted_at BIGINT;
ALTER TABLE messages ADD COLUMN pinned_at BIGINT;
-- JSON: [{"emoji","user_ids"}]; NULL: none.
ALTER TABLE messages ADD COLUMN reactions TEXT;
-- The message with which the thread began; NULL: this one replies to nothing.
ALTER TABLE messages ADD COLUMN thread_id BIGINT;
UPDATE messages SET thread_id = (
    WITH RECURSIVE up (id, parent) AS (
        SELECT m.id, m.reply_to FROM messages m WHERE m.id = messages.reply_to
        UNION ALL
        SELECT m.id, m.reply_to FROM messages m JOIN up ON m.id = up.parent
    )
    SELECT id FROM up WHERE parent IS NULL
) WHERE reply_to IS NOT NULL;
CREATE INDEX messages_by_thread ON messages (thread_id, seq) WHERE thread_id IS NOT NULL;
CREATE INDEX messages_pinned ON messages (chat_id, seq) WHERE pinned_at IS NOT NULL;

-- Which message an edit, delete, react, unreact, pin or unpin is about; what it says now is in its own row alone.
ALTER TABLE chat_events ADD COLUMN message_id BIGINT;
ALTER TABLE chat_events ADD COLUMN emoji TEXT;
