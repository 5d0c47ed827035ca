DROP TABLE chat_former_participants;
