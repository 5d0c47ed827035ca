-- The replies of a thread that are not deleted: counts and newest replies are read from the index alone.
CREATE INDEX messages_replies ON messages (thread_id, seq, sender_id) WHERE deleted_at IS NULL AND thread_id IS NOT NULL;
