CREATE INDEX chat_events_edits ON chat_events (message_id) WHERE kind = 'edit';
