-- Projects: repositories, people and a channel under one name of one user.
CREATE TABLE projects (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Under whose name it stands: '/{owner}/{name}'.
    owner_id    BIGINT  NOT NULL REFERENCES users (id),
    name        TEXT    NOT NULL,
    -- The name in lower case: unique per owner among living projects.
    name_key    TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    visibility  TEXT    NOT NULL CHECK (visibility IN ('public', 'private')),
    channel_id  BIGINT  NOT NULL REFERENCES chats (id),
    created_at  BIGINT  NOT NULL,
    -- A deleted project stays as a row: its channel belongs to it.
    deleted_at  BIGINT
);
CREATE UNIQUE INDEX projects_by_name ON projects (owner_id, name_key) WHERE deleted_at IS NULL;

CREATE TABLE project_members (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    user_id    BIGINT NOT NULL REFERENCES users (id),
    role       TEXT   NOT NULL CHECK (role IN ('owner', 'maintainer', 'writer', 'reader')),
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_members_by_user ON project_members (user_id);

-- Who wants to hear of pushes.
CREATE TABLE project_watchers (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    user_id    BIGINT NOT NULL REFERENCES users (id),
    PRIMARY KEY (project_id, user_id)
);

-- Settings of a project, as JSON; without a row the defaults hold.
CREATE TABLE project_configs (
    project_id BIGINT NOT NULL PRIMARY KEY REFERENCES projects (id),
    config     TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE repositories (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project_id     BIGINT  NOT NULL REFERENCES projects (id),
    name           TEXT    NOT NULL,
    name_key       TEXT    NOT NULL,
    description    TEXT    NOT NULL DEFAULT '',
    default_branch TEXT    NOT NULL,
    -- Names the directory on disk; never changes, whatever the repository is called.
    storage_key    TEXT    NOT NULL UNIQUE,
    state          TEXT    NOT NULL CHECK (state IN ('creating', 'active', 'deleting', 'deleted')),
    size_bytes     BIGINT  NOT NULL DEFAULT 0,
    -- Pushes since the last maintenance.
    unpacked       BIGINT  NOT NULL DEFAULT 0,
    created_at     BIGINT  NOT NULL
);
CREATE UNIQUE INDEX repositories_by_name ON repositories (project_id, name_key) WHERE state IN ('creating', 'active');

-- Names that projects and repositories had: they lead to the new ones until somebody else takes them.
CREATE TABLE former_names (
    kind      TEXT   NOT NULL CHECK (kind IN ('project', 'repository')),
    -- The owner of a project, the project of a repository.
    parent_id BIGINT NOT NULL,
    name_key  TEXT   NOT NULL,
    target_id BIGINT NOT NULL,
    PRIMARY KEY (kind, parent_id, name_key)
);

-- A project's channel: who is in it follows the project's members.
ALTER TABLE chats ADD COLUMN project_id BIGINT REFERENCES projects (id);
-- Who else may know of a chat: 'members' nobody, 'joinable' every user may join, 'public' every user may read.
ALTER TABLE chats ADD COLUMN audience TEXT NOT NULL DEFAULT 'members' CHECK (audience IN ('members', 'joinable', 'public'));
UPDATE chats SET audience = 'joinable' WHERE kind = 'channel';
