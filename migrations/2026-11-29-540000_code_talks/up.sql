-- Messages about lines of a file, so that the file can show them. Only messages in the channel of
-- the repository's project.
CREATE TABLE code_talks (
    message_id    INTEGER NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    -- The path as answers contain it: bytes that are not UTF-8 are escaped.
    path          TEXT    NOT NULL,
    -- The commit in which the lines have these numbers: 40 hex digits in lower case. It may not
    -- exist.
    oid           TEXT    NOT NULL,
    from_line     BIGINT  NOT NULL,
    to_line       BIGINT  NOT NULL
);
CREATE INDEX code_talks_by_path ON code_talks (repository_id, path, message_id);
