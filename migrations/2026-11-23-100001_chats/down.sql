DROP TABLE chat_events;
DROP TABLE messages;
DROP TABLE chat_participants;
DROP TABLE chats;
