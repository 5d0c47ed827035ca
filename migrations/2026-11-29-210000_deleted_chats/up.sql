-- A deleted chat is gone for everyone at once. Its row stays, so that its id is not used again; the rest is removed in
-- slices, until `purged_at`.
ALTER TABLE chats ADD COLUMN deleted_at BIGINT;
ALTER TABLE chats ADD COLUMN purged_at BIGINT;
CREATE INDEX chats_to_purge ON chats (id) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;
CREATE INDEX chats_archived ON chats (archived_at) WHERE archived_at IS NOT NULL AND deleted_at IS NULL;
