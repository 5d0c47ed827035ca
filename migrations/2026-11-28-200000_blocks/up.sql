-- Who wants to be reached by whom no more.
CREATE TABLE blocks (
    user_id    BIGINT NOT NULL REFERENCES users (id),
    blocked_id BIGINT NOT NULL REFERENCES users (id) CHECK (blocked_id <> user_id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);

-- Who put this person into the chat; NULL: they entered by themselves.
ALTER TABLE chat_participants ADD COLUMN added_by BIGINT REFERENCES users (id);
UPDATE chat_participants SET added_by = (
    SELECT nullif(e.actor_id, e.user_id) FROM chat_events e
    WHERE e.chat_id = chat_participants.chat_id AND e.user_id = chat_participants.user_id AND e.kind = 'join'
    ORDER BY e.seq DESC LIMIT 1);
-- The newest chats of a person, with who put them there.
DROP INDEX chat_participants_by_user;
CREATE INDEX chat_participants_by_user ON chat_participants (user_id, chat_id, added_by);
CREATE INDEX chat_participants_by_adder ON chat_participants (user_id, added_by, chat_id) WHERE added_by IS NOT NULL;
