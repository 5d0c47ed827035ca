-- Also holds the columns by which replies are listed and counted, so that the index alone is read.
DROP INDEX messages_by_thread;
CREATE INDEX messages_by_thread ON messages (thread_id, seq, sender_id, deleted_at)
    WHERE thread_id IS NOT NULL;
