DROP TABLE notifications;
DROP INDEX chat_events_by_push;
ALTER TABLE chat_events DROP COLUMN data;
ALTER TABLE chat_events DROP COLUMN push_id;
DROP TABLE push_intents;
