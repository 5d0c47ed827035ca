-- The person's own messages above their read cursor, which are not unread: ranges of ordinals as JSON; NULL: none.
ALTER TABLE chat_participants ADD COLUMN own_ordinals TEXT;
-- Those among the newest 100 messages of each chat. Older ones count as unread until the person reads.
UPDATE chat_participants SET own_ordinals = (
    SELECT json_group_array(json_array(ordinal, ordinal)) FROM (
        SELECT ordinal FROM (
            SELECT ordinal, sender_id FROM messages m WHERE m.chat_id = chat_participants.chat_id
            ORDER BY seq DESC LIMIT 100
        ) WHERE sender_id = chat_participants.user_id AND ordinal > chat_participants.read_ordinal
        ORDER BY ordinal
    ) HAVING count(*) > 0
) WHERE read_ordinal < (SELECT last_ordinal FROM chats WHERE chats.id = chat_participants.chat_id);
