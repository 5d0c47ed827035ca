DROP INDEX chats_with_untold_trim;
ALTER TABLE chats DROP COLUMN trim_again_above;
ALTER TABLE chats DROP COLUMN trim_untold;
DROP INDEX chat_events_edits;
