DROP INDEX chats_with_retention;
ALTER TABLE chats DROP COLUMN trimmed_ordinal;
ALTER TABLE chats DROP COLUMN trimmed_seq;
ALTER TABLE chats DROP COLUMN retention_by;
ALTER TABLE chats DROP COLUMN retention;
DROP TRIGGER audit_events_are_not_deleted;
DROP TRIGGER audit_events_are_not_changed;
DROP TABLE audit_events;
