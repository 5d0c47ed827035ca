DROP TABLE thread_followers;
