-- The name of the node that has the directory of the repository. NULL: a repository that no node
-- has adopted yet.
ALTER TABLE repositories ADD COLUMN storage TEXT COLLATE "C";
CREATE INDEX repositories_by_storage ON repositories (storage) WHERE state <> 'deleted';
