-- Git LFS. A repository has an object only by its row: the bytes, which repositories share, are
-- outside of the database, named by their SHA-256.
CREATE TABLE lfs_objects (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    -- The SHA-256 of the bytes.
    oid           BLOB    NOT NULL,
    size          BIGINT  NOT NULL,
    media_type    TEXT    NOT NULL,
    uploader_id   BIGINT  NOT NULL REFERENCES users (id),
    created_at    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX lfs_objects_of_repository ON lfs_objects (repository_id, oid);
CREATE INDEX lfs_objects_by_oid ON lfs_objects (oid);

-- The bytes of the objects of a repository, so that a quota is checked without a sum.
ALTER TABLE repositories ADD COLUMN lfs_bytes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX repositories_with_lfs ON repositories (state) WHERE lfs_bytes > 0;

CREATE TABLE lfs_locks (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    path          TEXT    NOT NULL,
    user_id       BIGINT  NOT NULL REFERENCES users (id),
    created_at    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX lfs_locks_of_repository ON lfs_locks (repository_id, path);
