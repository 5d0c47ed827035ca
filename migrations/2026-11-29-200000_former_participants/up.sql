-- Users whom the events of a chat name, and who are not in it now: those who left or were removed, and administrators
-- of the server who acted there.
CREATE TABLE chat_former_participants (
    user_id BIGINT NOT NULL REFERENCES users (id),
    chat_id BIGINT NOT NULL REFERENCES chats (id),
    -- What they wanted to be notified of; it holds again when they come back.
    notify  TEXT   NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
    PRIMARY KEY (user_id, chat_id)
);
CREATE INDEX chat_former_participants_by_chat ON chat_former_participants (chat_id);
INSERT INTO chat_former_participants (user_id, chat_id)
SELECT DISTINCT e.user_id, e.chat_id FROM chat_events e
WHERE e.kind = 'leave' AND e.user_id IS NOT NULL
  AND NOT EXISTS (
      SELECT 1 FROM chat_participants p WHERE p.chat_id = e.chat_id AND p.user_id = e.user_id
  );
