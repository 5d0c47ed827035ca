ALTER TABLE chats DROP COLUMN audience;
ALTER TABLE chats DROP COLUMN project_id;
DROP TABLE former_names;
DROP TABLE repositories;
DROP TABLE project_configs;
DROP TABLE project_watchers;
DROP TABLE project_members;
DROP TABLE projects;
