-- What is kept of removed messages goes with their chat.
CREATE INDEX removed_messages_of_chat ON removed_messages (chat_id);
-- Chats that were purged before leave theirs behind: they are looked at again.
UPDATE chats SET purged_at = NULL WHERE purged_at IS NOT NULL AND EXISTS (SELECT 1 FROM removed_messages r WHERE r.chat_id = chats.id);
