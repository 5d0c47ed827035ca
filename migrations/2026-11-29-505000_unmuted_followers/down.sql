DROP INDEX thread_followers_unmuted;
