ALTER TABLE chat_participants DROP COLUMN hidden_ordinal;
