-- The name of the node that has the directory of the repository. NULL: the only node, or, on
-- PostgreSQL, a node that has not adopted the repository yet.
ALTER TABLE repositories ADD COLUMN storage TEXT;
