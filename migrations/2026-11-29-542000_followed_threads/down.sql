DROP INDEX thread_followers_by_user;
