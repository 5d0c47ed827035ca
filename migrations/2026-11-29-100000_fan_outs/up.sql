-- Where in its chat the cause of a notification stands: the seq of a message or of a join.
ALTER TABLE notifications ADD COLUMN seq BIGINT;
UPDATE notifications SET seq = (SELECT seq FROM messages WHERE messages.id = notifications.message_id)
    WHERE message_id IS NOT NULL;
UPDATE notifications SET seq = (
    SELECT max(e.seq) FROM chat_events e
    WHERE e.chat_id = notifications.chat_id AND e.user_id = notifications.user_id AND e.kind = 'join')
    WHERE kind = 'added';
-- What the rule about causes would have done: one for each cause, none of deleted messages, and read is what was read.
DELETE FROM notifications WHERE seq IS NOT NULL AND id NOT IN (
    SELECT max(id) FROM notifications WHERE seq IS NOT NULL GROUP BY chat_id, seq, user_id);
DELETE FROM notifications WHERE message_id IN (SELECT id FROM messages WHERE deleted_at IS NOT NULL);
UPDATE notifications SET read_at = created_at WHERE read_at IS NULL AND seq + (kind = 'added') <= (
    SELECT p.read_seq FROM chat_participants p
    WHERE p.chat_id = notifications.chat_id AND p.user_id = notifications.user_id);
CREATE UNIQUE INDEX notifications_by_cause ON notifications (chat_id, seq, user_id) WHERE seq IS NOT NULL;
-- A user has so few that the unread ones are found among all.
DROP INDEX notifications_unread;
CREATE INDEX notifications_unread_in_chat ON notifications (user_id, chat_id, seq) WHERE read_at IS NULL;

-- Messages whose notifications are too many for the transaction of the message.
CREATE TABLE fan_outs (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Who is notified: everybody in the chat, or those named. 'retract': notifications are removed.
    kind       TEXT    NOT NULL CHECK (kind IN ('everybody', 'named', 'thread', 'retract')),
    chat_id    BIGINT  NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    -- The message; 'retract': the last one of those from `position` on.
    seq        BIGINT  NOT NULL,
    message_id BIGINT,
    -- The sender of the message; 'retract': nobody.
    user_id    BIGINT  REFERENCES users (id),
    -- The names in the message as a JSON array, of 'named'.
    names      TEXT    NOT NULL DEFAULT '[]',
    -- How far it is: the last user, by id; of 'named' how many names; of 'retract' the first seq.
    position   BIGINT  NOT NULL DEFAULT 0,
    -- How many of the names are members.
    members    BIGINT  NOT NULL DEFAULT 0,
    -- How often it had its turn: those with the fewest are next.
    slices     BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX fan_outs_by_turn ON fan_outs (slices, id);
CREATE INDEX fan_outs_by_user ON fan_outs (user_id) WHERE user_id IS NOT NULL;
