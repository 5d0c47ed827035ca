ALTER TABLE push_intents DROP COLUMN attempts;
