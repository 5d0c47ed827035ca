ALTER TABLE chat_participants DROP COLUMN notify;
