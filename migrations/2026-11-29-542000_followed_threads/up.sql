-- The threads that a user follows, to find those with new replies.
CREATE INDEX thread_followers_by_user ON thread_followers (user_id, thread_id) WHERE NOT muted;
