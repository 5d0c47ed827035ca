DROP TABLE
    access_tokens, audit_events, blocks, chat_events, chat_former_participants, chat_participants,
    chats, code_talks, commits, fan_outs, former_names, former_usernames, messages, meta, nodes,
    notifications, project_configs, project_members, project_watchers, projects, push_intents,
    refresh_tokens, removed_messages, repositories, secrets, sessions, thread_followers, users;
DROP FUNCTION audit_events_are_permanent();
