-- The replies of a thread that are not deleted: counts and newest replies are read from the index alone.
-- SQLite tests `deleted_at` again, so the index has it although it is always NULL there.
CREATE INDEX messages_replies ON messages (thread_id, seq, sender_id, deleted_at) WHERE deleted_at IS NULL AND thread_id IS NOT NULL;
