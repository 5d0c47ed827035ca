//! Which limits make no sense.

use super::Limits;

impl Limits {
    /// The first limit that would make the server useless, with what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let at_least_one = [
            ("cache_queries", self.cache_queries),
            ("writer_commands", self.writer_commands),
            ("commands_per_user", self.commands_per_user),
            ("queries_per_user", self.queries_per_user),
            ("batch_commands", self.batch_commands),
            ("batch_bytes", self.batch_bytes),
            ("in_flight", self.in_flight),
            ("outbox_frames", self.outbox_frames),
            ("welcome_chats", self.welcome_chats),
            ("resume_chats", self.resume_chats),
            ("replay_page", self.replay_page),
            ("marks_per_command", self.marks_per_command),
            ("page_default", self.page_default),
            ("page_max", self.page_max),
            ("users_scanned", self.users_scanned),
            ("connections", self.connections),
            ("strangers", self.strangers),
            ("strangers_per_address", self.strangers_per_address),
            ("create_participants", self.create_participants),
            ("git_reads", self.git_reads),
            ("git_writes", self.git_writes),
            ("git_advertisements", self.git_advertisements),
            ("git_visitors", self.git_visitors),
            ("git_archives", self.git_archives),
            ("git_bulk", self.git_bulk),
            ("logins", self.logins),
            ("logins_per_address", self.logins_per_address),
            ("logins_delayed", self.logins_delayed),
            ("logins_delayed_per_address", self.logins_delayed_per_address),
            ("http_connections", self.http_connections),
            ("git_updates", self.git_updates),
            ("udp_tickets", self.udp_tickets),
            ("uri_bytes", self.uri_bytes),
            ("left_per_command", self.left_per_command),
            ("mentions_per_message", self.mentions_per_message),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err((key, "a number of at least 1"));
        }
        if self.page_default > self.page_max {
            return Err(("page_default", "a number not above limits.page_max"));
        }
        if self.page_max > 100 {
            return Err(("page_max", "a number from 1 to 100"));
        }
        if self.left_per_command > 80 {
            return Err(("left_per_command", "a number from 1 to 80 (a command writes at most 500 rows)"));
        }
        if self.create_participants > 100 {
            return Err((
                "create_participants",
                "a number from 1 to 100 (a command writes at most 500 rows)",
            ));
        }
        let rows_bound = [
            ("repositories_per_project", self.repositories_per_project, 400, "a number from 1 to 400"),
            ("notifications_per_user", self.notifications_per_user, 400, "a number from 1 to 400"),
            ("notifications_per_command", self.notifications_per_command, 200, "a number from 1 to 200"),
            ("notifications_per_message", self.notifications_per_message, 50, "a number from 1 to 50"),
            ("trimmed_per_command", self.trimmed_per_command, 100, "a number from 1 to 100"),
        ];
        // A command writes at most 500 rows.
        if let Some((key, _, _, allowed)) =
            rows_bound.iter().find(|(_, value, max, _)| !(1..=*max).contains(value))
        {
            return Err((key, allowed));
        }
        if self.frame_bytes < 32 * 1024 || self.frame_bytes > 16 * 1024 * 1024 {
            return Err(("frame_bytes", "32768 to 16777216 bytes (a message has up to 16 KiB)"));
        }
        if self.server_frame_bytes < 64 * 1024 || self.outbox_bytes < 64 * 1024 {
            return Err(("server_frame_bytes", "at least 65536 bytes, as limits.outbox_bytes"));
        }
        if self.answer_small_bytes < 32 * 1024 {
            return Err(("answer_small_bytes", "at least 32768 bytes (a message has up to 20 KiB)"));
        }
        if !(1..=3650).contains(&self.token_default_days) {
            return Err(("token_default_days", "a number of days from 1 to 3650"));
        }
        if self.token_use_write_ms == 0 {
            return Err(("token_use_write_ms", "a number of at least 1"));
        }
        for (key, value) in [
            ("messages_per_second", self.messages_per_second),
            ("messages_burst", self.messages_burst),
            ("changes_per_second", self.changes_per_second),
            ("changes_burst", self.changes_burst),
            ("strangers_added_per_hour", self.strangers_added_per_hour),
            ("strangers_added_burst", self.strangers_added_burst),
            ("added_by_strangers_per_hour", self.added_by_strangers_per_hour),
            ("added_by_strangers_burst", self.added_by_strangers_burst),
            ("added_per_hour", self.added_per_hour),
            ("added_burst", self.added_burst),
            ("added_by_one_per_hour", self.added_by_one_per_hour),
            ("added_by_one_burst", self.added_by_one_burst),
            ("everybody_mentions_per_hour", self.everybody_mentions_per_hour),
            ("everybody_mentions_burst", self.everybody_mentions_burst),
            ("udp_tickets_per_minute", self.udp_tickets_per_minute),
            ("udp_tickets_burst", self.udp_tickets_burst),
            ("logged_refusals_per_second", self.logged_refusals_per_second),
            ("registrations_burst", self.registrations_burst),
            ("registrations_per_minute", self.registrations_per_minute),
        ] {
            if value == 0 {
                return Err((key, "a number of at least 1 (limits.rates = false switches rates off)"));
            }
        }
        Ok(())
    }
}
