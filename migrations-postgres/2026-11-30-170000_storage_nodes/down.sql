ALTER TABLE repositories DROP COLUMN storage;
