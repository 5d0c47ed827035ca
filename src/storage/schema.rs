// @generated automatically by Diesel CLI.

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
    }
}

diesel::table! {
    meta (key) {
        key -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    refresh_tokens (token_hash) {
        token_hash -> Binary,
        session_id -> BigInt,
        generation -> BigInt,
        superseded_at -> Nullable<BigInt>,
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
    }
}

diesel::joinable!(chat_events -> chats (chat_id));
diesel::joinable!(chat_events -> users (actor_id));
diesel::joinable!(chat_participants -> chats (chat_id));
diesel::joinable!(chat_participants -> users (user_id));
diesel::joinable!(messages -> chats (chat_id));
diesel::joinable!(messages -> users (sender_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(sessions -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    chat_events,
    chat_participants,
    chats,
    messages,
    meta,
    refresh_tokens,
    sessions,
    users,
);
