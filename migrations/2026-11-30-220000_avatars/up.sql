-- Pictures of users, projects and chats. Small: at most 128 KiB each, so that every node has them
-- and a backup holds them.
CREATE TABLE avatars (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Exactly one of the three is set.
    user_id    BIGINT  UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    project_id BIGINT  UNIQUE REFERENCES projects (id) ON DELETE CASCADE,
    chat_id    BIGINT  UNIQUE REFERENCES chats (id) ON DELETE CASCADE,
    -- The beginning of the SHA-256 of the bytes.
    version    TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    bytes      BLOB    NOT NULL,
    created_at BIGINT  NOT NULL,
    CHECK ((user_id IS NOT NULL) + (project_id IS NOT NULL) + (chat_id IS NOT NULL) = 1)
);

-- A copy of avatars.version, for lists. NULL: no picture.
ALTER TABLE users ADD COLUMN avatar TEXT;
ALTER TABLE projects ADD COLUMN avatar TEXT;
ALTER TABLE chats ADD COLUMN avatar TEXT;
