-- The repository of a push, as owner/project/name at that time. NULL: not about a push, or before
-- this column was there.
ALTER TABLE notifications ADD COLUMN repository TEXT;
-- Why the user is notified of a push: 'watch' or 'named'. NULL: not about a push, or before this
-- column was there.
ALTER TABLE notifications ADD COLUMN reason TEXT;
