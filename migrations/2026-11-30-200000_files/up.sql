-- Files in chats. The bytes are outside of the database, named by their SHA-256.
CREATE TABLE files (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chat_id      BIGINT  NOT NULL REFERENCES chats (id),
    uploader_id  BIGINT  NOT NULL REFERENCES users (id),
    -- The message that shows the file. NULL before, and after the message was deleted.
    message_id   BIGINT  REFERENCES messages (id) ON DELETE SET NULL,
    name         TEXT    NOT NULL,
    -- As announced by the uploader; the upload has exactly as many bytes.
    size         BIGINT  NOT NULL,
    -- The columns up to height are NULL until all bytes have arrived.
    sha256       BLOB,
    media_type   TEXT,
    -- In pixels; NULL: not an image whose beginning states them.
    width        BIGINT,
    height       BIGINT,
    -- The node that receives and stores the bytes. NULL: the only node.
    node         TEXT,
    created_at   BIGINT  NOT NULL,
    completed_at BIGINT,
    -- When a message got the file, or its uploader dropped it. Set, and message_id NULL: the file is
    -- released, and may be removed.
    bound_at     BIGINT
);
CREATE INDEX files_by_message ON files (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX files_without_message ON files (created_at) WHERE message_id IS NULL;
CREATE INDEX files_unbound_of_user ON files (uploader_id) WHERE bound_at IS NULL;
CREATE INDEX files_by_hash ON files (sha256) WHERE sha256 IS NOT NULL;

-- The bytes of the files of each uploader, so that a quota is checked without a sum.
CREATE TABLE file_usage (
    user_id BIGINT NOT NULL PRIMARY KEY REFERENCES users (id),
    bytes   BIGINT NOT NULL
);

-- JSON: [{"id","name","size","type","w","h"}]; NULL: none. A copy of the rows in files, which do not
-- change once a message has them: a page of messages is read with one statement.
ALTER TABLE messages ADD COLUMN files TEXT;
