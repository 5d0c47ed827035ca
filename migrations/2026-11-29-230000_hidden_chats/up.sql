-- A direct chat is hidden to a person until a message has a larger ordinal than this; NULL: it is shown.
ALTER TABLE chat_participants ADD COLUMN hidden_ordinal BIGINT;
