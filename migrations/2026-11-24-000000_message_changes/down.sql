ALTER TABLE chat_events DROP COLUMN emoji;
ALTER TABLE chat_events DROP COLUMN message_id;
DROP INDEX messages_pinned;
DROP INDEX messages_by_thread;
ALTER TABLE messages DROP COLUMN thread_id;
ALTER TABLE messages DROP COLUMN reactions;
ALTER TABLE messages DROP COLUMN pinned_at;
ALTER TABLE messages DROP COLUMN deleted_at;
ALTER TABLE messages DROP COLUMN edited_at;
