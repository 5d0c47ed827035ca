DROP INDEX chats_archived;
DROP INDEX chats_to_purge;
ALTER TABLE chats DROP COLUMN purged_at;
ALTER TABLE chats DROP COLUMN deleted_at;
