-- Attempts to settle the push after it was interrupted. After some it is settled without reading its commits.
ALTER TABLE push_intents ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
