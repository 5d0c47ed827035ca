ALTER TABLE notifications DROP COLUMN reason;
ALTER TABLE notifications DROP COLUMN repository;
