-- A server in which each command meets as many rows as one command may change.
CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 1000) SELECT n FROM n;
INSERT INTO users (id, username, display_name, password_hash, is_admin, created_at)
    SELECT n, 'user' || n, '', '', n = 1, 0 FROM n WHERE n <= 220;
-- Login 1 is the caller's. User 3 has 100 logins and 100 tokens; 100 logins and 100 tokens are expired.
INSERT INTO sessions (id, user_id, created_at, expires_at, web_hash, last_used_at)
    SELECT n, CASE WHEN n = 1 THEN 1 WHEN n <= 101 THEN 3 ELSE 5 END, strftime('%s', 'now') * 1000,
        CASE WHEN n <= 101 THEN 4102444800000 ELSE 1 END, CASE WHEN n = 1 THEN NULL ELSE randomblob(32) END, 0
    FROM n WHERE n <= 201;
INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (202, 2, 0, 4102444800000);
INSERT INTO refresh_tokens (token_hash, session_id, generation) VALUES (zeroblob(32), 1, 1);
INSERT INTO access_tokens (id, user_id, name, token_hash, scopes, created_at, expires_at)
    SELECT n, CASE WHEN n <= 100 THEN 3 WHEN n <= 200 THEN 6 ELSE n - 194 END, 'token', randomblob(32), 'repo:read', 0,
        CASE WHEN n <= 100 THEN NULL WHEN n <= 200 THEN 1 ELSE (strftime('%s', 'now') + 86400) * 1000 END
    FROM n WHERE n <= 300;
-- Each user has as many notifications as are kept.
INSERT INTO notifications (user_id, kind, text, created_at, read_at)
    SELECT a.n, 'account', '', 0, 0 FROM n a, n b WHERE a.n <= 220 AND b.n <= 9;

-- Chat 1: 100 users and 200 messages, of which 50 are kept. Pinned messages separate 50 runs of removed ones.
INSERT INTO chats (id, kind, name, created_at, last_seq, last_ordinal, last_message_id, retention, retention_by)
    VALUES (1, 'group', 'wide', 0, 200, 200, 200, 50, 1);
INSERT INTO chat_participants (chat_id, user_id, role)
    SELECT 1, n, CASE WHEN n = 1 THEN 'owner' ELSE 'member' END FROM n WHERE n <= 100;
INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq,
        pinned_at)
    SELECT n, 1, n, n, 1, CAST('client' || printf('%010d', n) AS BLOB), '', '', 0, n,
        CASE WHEN n % 2 = 0 THEN 1 END FROM n WHERE n <= 200;
INSERT INTO notifications (user_id, kind, chat_id, message_id, actor_id, text, created_at, seq)
    SELECT 2, 'mention', 1, n, 1, '', 0, n FROM n WHERE n <= 200;
INSERT INTO notifications (user_id, kind, chat_id, message_id, actor_id, text, created_at, seq)
    SELECT n, 'mention', 1, 5, 1, '', 0, 5 FROM n WHERE n BETWEEN 3 AND 20;
INSERT INTO thread_followers (thread_id, user_id) SELECT 200, n FROM n WHERE n BETWEEN 2 AND 8;
INSERT INTO fan_outs (id, kind, chat_id, seq, message_id, user_id, names)
    SELECT 1, 'named', 1, 199, 199, 1, json_group_array('user' || n) FROM n WHERE n BETWEEN 2 AND 51;
INSERT INTO fan_outs (id, kind, chat_id, seq, message_id, user_id) VALUES (2, 'everybody', 1, 199, 199, 1);
INSERT INTO fan_outs (id, kind, chat_id, seq, message_id, user_id) VALUES (3, 'thread', 1, 200, 200, 1);
INSERT INTO fan_outs (id, kind, chat_id, seq, position) VALUES (4, 'retract', 1, 200, 1);

-- Chats 101 to 220: user 2 added user 1, who has a message and a notification to read in each. User 1 owns every
-- second chat, and is alone in every third.
INSERT INTO chats (id, kind, name, created_at, last_seq, last_ordinal, last_message_id)
    SELECT 100 + n, 'group', 'chat ' || n, 0, 1, 1, 1000 + n FROM n WHERE n <= 120;
INSERT INTO chat_participants (chat_id, user_id, role, added_by)
    SELECT 100 + n, 1, CASE n % 2 WHEN 0 THEN 'owner' ELSE 'member' END, 2 FROM n WHERE n <= 120;
INSERT INTO chat_participants (chat_id, user_id, role)
    SELECT 100 + n, 2, CASE n % 2 WHEN 0 THEN 'member' ELSE 'owner' END FROM n WHERE n <= 120 AND n % 3 <> 0;
INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
    SELECT 1000 + n, 100 + n, 1, 1, 2, CAST('client' || printf('%010d', n) AS BLOB), '', '', 0, 1 FROM n WHERE n <= 120;
INSERT INTO notifications (user_id, kind, chat_id, message_id, actor_id, text, created_at, seq)
    SELECT 1, 'mention', 100 + n, 1000 + n, 2, '', 0, 1 FROM n WHERE n <= 120;
-- Chats 221 to 300: user 1 has read the message, but not its notification.
INSERT INTO chats (id, kind, name, created_at, last_seq) SELECT 220 + n, 'group', 'read ' || n, 0, 1 FROM n WHERE n <= 80;
INSERT INTO chat_participants (chat_id, user_id, role, read_seq) SELECT 220 + n, 1, 'member', 1 FROM n WHERE n <= 80;
INSERT INTO notifications (user_id, kind, chat_id, text, created_at, seq)
    SELECT 1, 'mention', 220 + n, '', 0, 1 FROM n WHERE n <= 80;
-- Chat 301: a direct chat. Chats 302 to 304: archived and empty; without an owner; deleted.
INSERT INTO chats (id, kind, name, direct_key, created_at, archived_at, deleted_at) VALUES
    (301, 'direct', NULL, '1:2', 0, NULL, NULL), (302, 'group', 'empty', NULL, 0, 1, NULL),
    (303, 'group', 'alone', NULL, 0, NULL, NULL), (304, 'group', NULL, NULL, 0, NULL, 1);
INSERT INTO chat_participants (chat_id, user_id, role) VALUES (301, 1, 'member'), (301, 2, 'member'), (303, 2, 'member');
INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
    SELECT 2000 + n, 304, n, n, 1, CAST('purged' || printf('%010d', n) AS BLOB), '', '', 0, n FROM n WHERE n <= 100;

-- Projects 1 to 120 of user 1, with the channels 401 to 520 of another name. 200 users are members and watchers of
-- project 2; projects 1 and 2 have 100 repositories each.
INSERT INTO chats (id, kind, name, created_at) SELECT 400 + n, 'channel', 'former/' || n, 0 FROM n WHERE n <= 120;
INSERT INTO projects (id, owner_id, name, name_key, visibility, channel_id, created_at)
    SELECT n, 1, 'p' || n, 'p' || n, 'private', 400 + n, 0 FROM n WHERE n <= 120;
UPDATE chats SET project_id = id - 400 WHERE id > 400;
INSERT INTO project_members (project_id, user_id, role) SELECT n, 1, 'owner' FROM n WHERE n <= 119;
INSERT INTO project_members (project_id, user_id, role) SELECT 2, n, 'writer' FROM n WHERE n BETWEEN 2 AND 201;
INSERT INTO project_watchers (project_id, user_id) SELECT project_id, user_id FROM project_members;
INSERT INTO chat_participants (chat_id, user_id, role)
    SELECT 400 + project_id, user_id, CASE role WHEN 'owner' THEN 'owner' ELSE 'member' END FROM project_members;
INSERT INTO repositories (id, project_id, name, name_key, default_branch, storage_key, state, created_at)
    SELECT n, (n > 100) + 1, 'r' || n, 'r' || n, 'main', lower(hex(randomblob(16))), 'active', 0 FROM n WHERE n <= 200;
INSERT INTO repositories (id, project_id, name, name_key, default_branch, storage_key, state, created_at) VALUES
    (201, 2, 'r201', 'r201', 'main', lower(hex(randomblob(16))), 'creating', 0),
    (202, 2, 'r202', 'r202', 'main', lower(hex(randomblob(16))), 'deleting', 0);
-- Push 1 is not announced; push 2 is, with the event 1 and the message 2 of channel 402.
INSERT INTO push_intents (id, repository_id, user_id, refs, base_url, client_id, state, created_at, event_seq,
        notified_to) VALUES
    (1, 101, 1, '[]', '', randomblob(16), 'pending', 0, NULL, 0),
    (2, 102, 1, '[]', '', randomblob(16), 'announced', 0, 1, 1);
INSERT INTO chat_events (chat_id, seq, kind, actor_id, created_at, push_id, data) VALUES (402, 1, 'push', 1, 0, 2,
    '{"repository_id":102,"repository":"user1/p2/r102","refs":[],"ref_count":0,"commits":[],"commit_count":0}');
INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
    VALUES (3000, 402, 2, 1, 1, CAST('client of push 2' AS BLOB), '', '', 0, 2);
UPDATE chats SET last_seq = 2, last_ordinal = 1, last_message_id = 3000 WHERE id = 402;
INSERT INTO code_talks (message_id, repository_id, path, oid, from_line, to_line) VALUES (3000, 202, 'a', 'b', 1, 1);
