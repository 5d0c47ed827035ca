DROP INDEX chat_participants_by_adder;
DROP INDEX chat_participants_by_user;
CREATE INDEX chat_participants_by_user ON chat_participants (user_id);
ALTER TABLE chat_participants DROP COLUMN added_by;
DROP TABLE blocks;
