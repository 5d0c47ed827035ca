-- Names that users had. Paths of projects below them still lead to their owner, and no other user can take them.
CREATE TABLE former_usernames (
    username TEXT   NOT NULL PRIMARY KEY,
    user_id  BIGINT NOT NULL REFERENCES users (id)
);
