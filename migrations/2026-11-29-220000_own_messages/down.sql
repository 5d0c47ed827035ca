ALTER TABLE chat_participants DROP COLUMN own_ordinals;
