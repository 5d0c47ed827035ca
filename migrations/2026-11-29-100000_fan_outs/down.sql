DROP TABLE fan_outs;
DROP INDEX notifications_unread_in_chat;
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;
DROP INDEX notifications_by_cause;
ALTER TABLE notifications DROP COLUMN seq;
