// @generated automatically by Diesel CLI.

diesel::table! {
    access_tokens (id) {
        id -> BigInt,
        user_id -> BigInt,
        name -> Text,
        token_hash -> Binary,
        scopes -> Text,
        repositories -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        warned_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_events (id) {
        id -> BigInt,
        actor_id -> Nullable<BigInt>,
        action -> Text,
        target -> Text,
        detail -> Text,
        request_id -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    avatars (id) {
        id -> BigInt,
        user_id -> Nullable<BigInt>,
        project_id -> Nullable<BigInt>,
        chat_id -> Nullable<BigInt>,
        version -> Text,
        media_type -> Text,
        bytes -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    blocks (user_id, blocked_id) {
        user_id -> BigInt,
        blocked_id -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    chat_events (chat_id, seq) {
        chat_id -> BigInt,
        seq -> BigInt,
        kind -> Text,
        actor_id -> BigInt,
        user_id -> Nullable<BigInt>,
        role -> Nullable<Text>,
        name -> Nullable<Text>,
        archived -> Nullable<Bool>,
        created_at -> BigInt,
        push_id -> Nullable<BigInt>,
        data -> Nullable<Text>,
        message_id -> Nullable<BigInt>,
        emoji -> Nullable<Text>,
    }
}

diesel::table! {
    chat_former_participants (user_id, chat_id) {
        user_id -> BigInt,
        chat_id -> BigInt,
        notify -> Text,
    }
}

diesel::table! {
    chat_participants (chat_id, user_id) {
        chat_id -> BigInt,
        user_id -> BigInt,
        role -> Text,
        read_seq -> BigInt,
        read_ordinal -> BigInt,
        delivered_seq -> BigInt,
        notify -> Text,
        added_by -> Nullable<BigInt>,
        own_ordinals -> Nullable<Text>,
        hidden_ordinal -> Nullable<BigInt>,
    }
}

diesel::table! {
    chats (id) {
        id -> BigInt,
        kind -> Text,
        name -> Nullable<Text>,
        direct_key -> Nullable<Text>,
        channel_key -> Nullable<Text>,
        last_seq -> BigInt,
        last_ordinal -> BigInt,
        last_message_id -> Nullable<BigInt>,
        archived_at -> Nullable<BigInt>,
        created_at -> BigInt,
        project_id -> Nullable<BigInt>,
        audience -> Text,
        retention -> Nullable<BigInt>,
        retention_by -> Nullable<BigInt>,
        trimmed_seq -> BigInt,
        trimmed_ordinal -> BigInt,
        deleted_at -> Nullable<BigInt>,
        purged_at -> Nullable<BigInt>,
        trim_untold -> BigInt,
        trim_again_above -> Nullable<BigInt>,
        avatar -> Nullable<Text>,
    }
}

diesel::table! {
    code_talks (message_id) {
        message_id -> BigInt,
        repository_id -> BigInt,
        path -> Text,
        oid -> Text,
        from_line -> BigInt,
        to_line -> BigInt,
    }
}

diesel::table! {
    fan_outs (id) {
        id -> BigInt,
        kind -> Text,
        chat_id -> BigInt,
        seq -> BigInt,
        message_id -> Nullable<BigInt>,
        user_id -> Nullable<BigInt>,
        names -> Text,
        position -> BigInt,
        members -> BigInt,
        slices -> BigInt,
        attempts -> BigInt,
    }
}

diesel::table! {
    file_usage (user_id) {
        user_id -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    files (id) {
        id -> BigInt,
        chat_id -> BigInt,
        uploader_id -> BigInt,
        message_id -> Nullable<BigInt>,
        name -> Text,
        size -> BigInt,
        sha256 -> Nullable<Binary>,
        media_type -> Nullable<Text>,
        width -> Nullable<BigInt>,
        height -> Nullable<BigInt>,
        node -> Nullable<Text>,
        created_at -> BigInt,
        completed_at -> Nullable<BigInt>,
        bound_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    former_names (kind, parent_id, name_key) {
        kind -> Text,
        parent_id -> BigInt,
        name_key -> Text,
        target_id -> BigInt,
    }
}

diesel::table! {
    former_usernames (username) {
        username -> Text,
        user_id -> BigInt,
    }
}

diesel::table! {
    lfs_locks (id) {
        id -> BigInt,
        repository_id -> BigInt,
        path -> Text,
        user_id -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    lfs_objects (id) {
        id -> BigInt,
        repository_id -> BigInt,
        oid -> Binary,
        size -> BigInt,
        media_type -> Text,
        uploader_id -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    messages (id) {
        id -> BigInt,
        chat_id -> BigInt,
        seq -> BigInt,
        ordinal -> BigInt,
        sender_id -> BigInt,
        client_id -> Binary,
        request_hash -> Binary,
        content -> Text,
        reply_to -> Nullable<BigInt>,
        metadata -> Nullable<Text>,
        created_at -> BigInt,
        updated_seq -> BigInt,
        edited_at -> Nullable<BigInt>,
        deleted_at -> Nullable<BigInt>,
        pinned_at -> Nullable<BigInt>,
        reactions -> Nullable<Text>,
        thread_id -> Nullable<BigInt>,
        files -> Nullable<Text>,
    }
}

diesel::table! {
    meta (key) {
        key -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    notifications (id) {
        id -> BigInt,
        user_id -> BigInt,
        kind -> Text,
        chat_id -> Nullable<BigInt>,
        message_id -> Nullable<BigInt>,
        actor_id -> Nullable<BigInt>,
        text -> Text,
        created_at -> BigInt,
        read_at -> Nullable<BigInt>,
        seq -> Nullable<BigInt>,
        repository -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    project_configs (project_id) {
        project_id -> BigInt,
        config -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    project_members (project_id, user_id) {
        project_id -> BigInt,
        user_id -> BigInt,
        role -> Text,
    }
}

diesel::table! {
    project_watchers (project_id, user_id) {
        project_id -> BigInt,
        user_id -> BigInt,
    }
}

diesel::table! {
    projects (id) {
        id -> BigInt,
        owner_id -> BigInt,
        name -> Text,
        name_key -> Text,
        description -> Text,
        visibility -> Text,
        channel_id -> BigInt,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
        avatar -> Nullable<Text>,
    }
}

diesel::table! {
    push_intents (id) {
        id -> BigInt,
        repository_id -> BigInt,
        user_id -> BigInt,
        refs -> Text,
        chat_text -> Nullable<Text>,
        base_url -> Text,
        client_id -> Binary,
        state -> Text,
        notified_to -> BigInt,
        event_seq -> Nullable<BigInt>,
        mentioned -> Text,
        created_at -> BigInt,
        settled_at -> Nullable<BigInt>,
        attempts -> BigInt,
    }
}

diesel::table! {
    refresh_tokens (token_hash) {
        token_hash -> Binary,
        session_id -> BigInt,
        generation -> BigInt,
        superseded_at -> Nullable<BigInt>,
        exchanged_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    removed_messages (client_id, sender_id) {
        client_id -> Binary,
        sender_id -> BigInt,
        request_hash -> Binary,
        id -> BigInt,
        chat_id -> BigInt,
        seq -> BigInt,
    }
}

diesel::table! {
    repositories (id) {
        id -> BigInt,
        project_id -> BigInt,
        name -> Text,
        name_key -> Text,
        description -> Text,
        default_branch -> Text,
        storage_key -> Text,
        state -> Text,
        size_bytes -> BigInt,
        unpacked -> BigInt,
        created_at -> BigInt,
        storage -> Nullable<Text>,
        lfs_bytes -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> BigInt,
        user_id -> BigInt,
        generation -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        web_hash -> Nullable<Binary>,
        device -> Nullable<Text>,
        address -> Nullable<Text>,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    thread_followers (thread_id, user_id) {
        thread_id -> BigInt,
        user_id -> BigInt,
        muted -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> BigInt,
        username -> Text,
        display_name -> Text,
        email -> Nullable<Text>,
        password_hash -> Text,
        is_admin -> Bool,
        token_version -> BigInt,
        deactivated_at -> Nullable<BigInt>,
        created_at -> BigInt,
        avatar -> Nullable<Text>,
    }
}

diesel::joinable!(access_tokens -> users (user_id));
diesel::joinable!(audit_events -> users (actor_id));
diesel::joinable!(avatars -> chats (chat_id));
diesel::joinable!(avatars -> projects (project_id));
diesel::joinable!(avatars -> users (user_id));
diesel::joinable!(chat_events -> chats (chat_id));
diesel::joinable!(chat_events -> push_intents (push_id));
diesel::joinable!(chat_events -> users (actor_id));
diesel::joinable!(chat_former_participants -> chats (chat_id));
diesel::joinable!(chat_former_participants -> users (user_id));
diesel::joinable!(chat_participants -> chats (chat_id));
diesel::joinable!(chats -> users (retention_by));
diesel::joinable!(code_talks -> messages (message_id));
diesel::joinable!(code_talks -> repositories (repository_id));
diesel::joinable!(fan_outs -> chats (chat_id));
diesel::joinable!(fan_outs -> users (user_id));
diesel::joinable!(file_usage -> users (user_id));
diesel::joinable!(files -> chats (chat_id));
diesel::joinable!(files -> messages (message_id));
diesel::joinable!(files -> users (uploader_id));
diesel::joinable!(former_usernames -> users (user_id));
diesel::joinable!(lfs_locks -> repositories (repository_id));
diesel::joinable!(lfs_locks -> users (user_id));
diesel::joinable!(lfs_objects -> repositories (repository_id));
diesel::joinable!(lfs_objects -> users (uploader_id));
diesel::joinable!(messages -> chats (chat_id));
diesel::joinable!(messages -> users (sender_id));
diesel::joinable!(notifications -> chats (chat_id));
diesel::joinable!(project_configs -> projects (project_id));
diesel::joinable!(project_members -> projects (project_id));
diesel::joinable!(project_members -> users (user_id));
diesel::joinable!(project_watchers -> projects (project_id));
diesel::joinable!(project_watchers -> users (user_id));
diesel::joinable!(projects -> users (owner_id));
diesel::joinable!(push_intents -> repositories (repository_id));
diesel::joinable!(push_intents -> users (user_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(repositories -> projects (project_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(thread_followers -> messages (thread_id));
diesel::joinable!(thread_followers -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    access_tokens,
    audit_events,
    avatars,
    blocks,
    chat_events,
    chat_former_participants,
    chat_participants,
    chats,
    code_talks,
    fan_outs,
    file_usage,
    files,
    former_names,
    former_usernames,
    lfs_locks,
    lfs_objects,
    messages,
    meta,
    notifications,
    project_configs,
    project_members,
    project_watchers,
    projects,
    push_intents,
    refresh_tokens,
    removed_messages,
    repositories,
    sessions,
    thread_followers,
    users,
);
