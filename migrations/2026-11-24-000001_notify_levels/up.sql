-- What one person wants to be notified of in a chat.
ALTER TABLE chat_participants ADD COLUMN notify TEXT NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none'));
