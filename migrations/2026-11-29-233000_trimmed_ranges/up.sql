-- What is kept of a message that its chat does not keep, so that a retry of it is known and writes nothing again.
CREATE TABLE removed_messages (
    client_id    BLOB   NOT NULL,
    sender_id    BIGINT NOT NULL,
    -- The first 16 bytes of the message's request_hash.
    request_hash BLOB   NOT NULL,
    id           BIGINT NOT NULL,
    chat_id      BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    PRIMARY KEY (client_id, sender_id)
) WITHOUT ROWID;
-- Up to trimmed_seq a chat has no dense events any more. What earlier versions left there is removed by the next trims.
UPDATE chats SET trimmed_seq = 0, trimmed_ordinal = 0;
