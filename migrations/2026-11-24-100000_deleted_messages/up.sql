-- Deleted messages are not unread: their ordinals are read at every start.
CREATE INDEX messages_deleted ON messages (chat_id, ordinal) WHERE deleted_at IS NOT NULL;
