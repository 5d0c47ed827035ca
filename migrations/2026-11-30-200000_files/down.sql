ALTER TABLE messages DROP COLUMN files;
DROP TABLE file_usage;
DROP TABLE files;
