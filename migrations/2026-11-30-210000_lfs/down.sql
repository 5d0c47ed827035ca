DROP TABLE lfs_locks;
DROP INDEX repositories_with_lfs;
ALTER TABLE repositories DROP COLUMN lfs_bytes;
DROP TABLE lfs_objects;
