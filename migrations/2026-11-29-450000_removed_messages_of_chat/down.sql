DROP INDEX removed_messages_of_chat;
