-- Who is notified of the replies of a thread: those who wrote in it, and who asked for it.
CREATE TABLE thread_followers (
    -- The message with which the thread began.
    thread_id BIGINT  NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id   BIGINT  NOT NULL REFERENCES users (id),
    -- They want to hear no more of it, whatever they write there.
    muted     BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (thread_id, user_id)
) WITHOUT ROWID;
INSERT OR IGNORE INTO thread_followers (thread_id, user_id)
    SELECT m.thread_id, m.sender_id FROM messages m WHERE m.thread_id IS NOT NULL;
INSERT OR IGNORE INTO thread_followers (thread_id, user_id)
    SELECT first.id, first.sender_id FROM messages first
    WHERE first.id IN (SELECT thread_id FROM messages WHERE thread_id IS NOT NULL);
