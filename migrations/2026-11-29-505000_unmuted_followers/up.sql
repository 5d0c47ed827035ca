-- Those who muted the thread are not read for each of its messages.
CREATE INDEX thread_followers_unmuted ON thread_followers (thread_id, user_id) WHERE NOT muted;
