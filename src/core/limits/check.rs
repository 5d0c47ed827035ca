//! Finds limits that would make the server useless.

use super::Limits;

/// A key and its allowed values, for a limit that would make the server useless.
type Mistake = (&'static str, &'static str);

/// A larger number is a typing mistake: 2^50, a million times a thousand million.
const ANYTHING_MAX: u64 = 1 << 50;

const AT_LEAST_ONE: &str = "a number of at least 1";
const RATE: &str = "a number of at least 1 (limits.rates = false switches rates off)";

/// Lists the limits that are 0 or less.
macro_rules! below_one {
    ($limits:ident, $allowed:expr, $($name:ident)*) => {
        [$((stringify!($name), $limits.$name < 1)),*].into_iter().filter(|(_, wrong)| *wrong).map(|(key, _)| (key, $allowed))
    };
}

/// Lists the limits that are above a number.
macro_rules! above {
    ($limits:ident, $($name:ident $max:literal,)*) => {
        [$((stringify!($name), concat!("a number of at most ", $max), $limits.$name > $max)),*]
            .into_iter()
            .filter(|(.., wrong)| *wrong)
            .map(|(key, allowed, _)| (key, allowed))
    };
}

impl Limits {
    /// Returns every limit that would make the server useless, with its allowed values.
    pub fn check(&self) -> Vec<(String, &'static str)> {
        let mut mistakes: Vec<Mistake> = Vec::new();
        mistakes.extend(below_one!(
            self, AT_LEAST_ONE,
            cache_queries writer_commands commands_per_user queries_per_user batch_commands batch_bytes readers
            lane_bytes connections strangers strangers_per_address hello_timeout_ms heartbeat_ms silence_ms
            frame_timeout_ms write_stall_ms sessions_per_user in_flight outbox_frames answer_bytes
            marks_per_command resume_chats replay_page welcome_chats presence_ttl_ms presence_tick_ms presence_beat_ms
            presence_batch presence_queries presence_queries_per_user udp_ticket_seconds udp_tickets_per_user udp_tickets
            udp_batch_datagrams udp_resend_ms page_default page_max users_scanned
            memberships_scanned chats_compared body_bytes uri_bytes http_connections
            http_handshakes tls_handshake_ms http_unsent_bytes request_head_ms request_body_ms logins
            logins_per_address logins_delayed logins_delayed_per_address login_failures_tracked
            access_token_seconds refresh_token_seconds logins_per_user token_use_write_ms left_per_command
            chats_per_user participants_per_chat create_participants purged_per_command trim_ms git_reads git_advertisements
            git_visitors git_writes git_archives git_bulk git_access_ms git_head_ms git_idle_ms git_total_ms
            git_head_bytes git_updates git_push_objects git_pushed_objects git_commit_bytes git_tree_bytes
            git_blob_bytes git_delta_bytes git_unpacked_bytes git_child_bytes git_cpu_seconds git_cpu_bytes
            git_refs git_gzip_push_bytes git_request_bytes git_spool_bytes git_compute_ms git_archive_ms
            git_archive_entries git_archive_path_bytes git_archive_bytes maintenance_pushes maintenance_ms
            checkpoint_bytes wal_bytes read_only_probe_ms commit_wait_ms shutdown_ms repositories_per_project notifications_per_user
            notifications_per_command notifications_attempts notifications_per_message notifying_messages_per_user mentions_per_message
            trimmed_per_command proxied_requests proxied_requests_per_node proxy_connect_ms proxy_idle_ms
            proxy_catch_up_ms searches search_rows search_ms search_checked search_batch search_retry_ms
            search_checked_bytes search_check_ms search_batch_bytes search_lag_ms search_compare_ms
            search_code_file_bytes search_code_files search_code_bytes search_code_lines search_code_checked_bytes
            search_code_check_ms search_commits search_plan_ms search_step_rows search_step_bytes search_step_ms
            search_code_file_terms search_code_terms search_repositories search_reads search_step_terms
            search_reads_wait_ms search_index_bytes search_code_dense_bytes search_code_dense_checked_bytes
            file_bytes files_per_message files_user_bytes files_server_bytes files_unbound_per_user uploads
            uploads_per_user upload_idle_ms downloads
            files_s3_request_ms files_s3_retry_ms files_s3_put_ms files_s3_put_retry_ms files_s3_requests
            files_s3_puts files_s3_parts files_s3_listed
            thumbnail_pixels thumbnail_memory_bytes
            thumbnail_cpu_seconds thumbnail_ms thumbnails thumbnails_patience_ms avatar_bytes
            lfs_object_bytes lfs_repository_bytes lfs_account_bytes
            lfs_batch_objects lfs_body_bytes lfs_uploads_per_user lfs_link_seconds lfs_staged_seconds
            lfs_locks_per_repository lfs_wait_ms lfs_upload_grace_ms
        ));
        mistakes.extend(below_one!(
            self, RATE,
            messages_per_second messages_burst changes_per_second changes_burst strangers_added_per_hour
            strangers_added_burst added_by_strangers_per_hour added_by_strangers_burst added_per_hour added_burst
            added_by_one_per_hour added_by_one_burst everybody_mentions_per_hour everybody_mentions_burst udp_tickets_per_minute udp_tickets_burst
            udp_datagrams_per_second udp_datagrams_burst logged_refusals_per_second registrations_burst
            lookups_per_second lookups_burst searches_per_second searches_burst
            registrations_per_minute
        ));
        mistakes.extend(above!(
            self,
            repositories_per_project 400,
            notifications_per_user 400,
            notifications_per_command 200,
            notifications_per_message 50,
            trimmed_per_command 100,
            page_max 100,
            files_per_message 50,
            left_per_command 80,
            lfs_batch_objects 2000,
            logins_per_user 1000,
            create_participants 100,
            readers 1024,
            session_threads 1024,
            http_workers 1024,
            hashes_running 1024,
            git_browses 1024,
            files_s3_requests 192,
            files_s3_puts 192,
            files_s3_parts 1024,
            files_s3_retries 10_000,
            thumbnails 256,
        ));
        mistakes.extend(self.out_of_range());
        let mut mistakes: Vec<_> =
            mistakes.into_iter().map(|(key, allowed)| (key.to_owned(), allowed)).collect();
        mistakes.extend(self.beyond_anything());
        mistakes
    }

    /// Returns mistakes in limits that have a range, or depend on another limit.
    fn out_of_range(&self) -> impl Iterator<Item = Mistake> {
        let rules = [
            (self.page_default > self.page_max, "page_default", "a number not above limits.page_max"),
            (
                !(32 * 1024..=16 * 1024 * 1024).contains(&self.frame_bytes),
                "frame_bytes",
                "32768 to 16777216 bytes (a message has up to 16 KiB)",
            ),
            (
                self.stranger_frame_bytes < 1024 || self.stranger_frame_bytes > self.frame_bytes,
                "stranger_frame_bytes",
                "1024 bytes up to limits.frame_bytes (a Hello has some hundred bytes)",
            ),
            (
                !(5 * 1024 * 1024..=256 * 1024 * 1024).contains(&self.files_s3_part_bytes),
                "files_s3_part_bytes",
                "5242880 to 268435456 bytes",
            ),
            (
                !(64 * 1024..=64 * 1024 * 1024).contains(&self.files_s3_read_bytes),
                "files_s3_read_bytes",
                "65536 to 67108864 bytes",
            ),
            (self.stale_ms < 1000, "stale_ms", "at least 1000 (the state is compared every 300 ms)"),
            (
                self.lfs_staged_seconds.saturating_mul(1000) <= self.upload_idle_ms,
                "lfs_staged_seconds",
                "a number of seconds above limits.upload_idle_ms",
            ),
            (self.server_frame_bytes < 64 * 1024, "server_frame_bytes", "at least 65536 bytes"),
            (self.outbox_bytes < 64 * 1024, "outbox_bytes", "at least 65536 bytes"),
            (
                self.answer_small_bytes < 32 * 1024,
                "answer_small_bytes",
                "at least 32768 bytes (a message has up to 20 KiB)",
            ),
            (
                !(1..=3650).contains(&self.token_default_days),
                "token_default_days",
                "a number of days from 1 to 3650",
            ),
        ];
        rules.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, key, allowed)| (key, allowed))
    }

    /// Returns limits that no machine reaches, and that overflow where they are summed up.
    fn beyond_anything(&self) -> Vec<(String, &'static str)> {
        let written = serde_json::to_value(self).unwrap_or_default();
        let numbers = written.as_object().into_iter().flatten();
        let beyond = numbers.filter(|(_, value)| value.as_u64().is_some_and(|value| value > ANYTHING_MAX));
        beyond.map(|(key, _)| (key.clone(), "a number of at most 1125899906842624")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_user_gets_at_most_a_quarter_of_a_gate() {
        let limits = Limits::default();
        for (permits, per_user) in [
            (limits.writer_commands, limits.commands_per_user),
            (limits.cache_queries, limits.queries_per_user),
            (limits.presence_queries, limits.presence_queries_per_user),
        ] {
            assert!(per_user <= permits / 4, "{per_user} of {permits}");
        }
    }

    #[test]
    fn all_impossible_limits_are_named_at_once() {
        assert_eq!(Limits::default().check(), []);
        let limits = Limits {
            readers: 0,
            page_max: 500,
            access_token_seconds: -1,
            udp_datagrams_burst: 0,
            connections: usize::MAX,
            ..Limits::default()
        };
        let keys: Vec<_> = limits.check().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            ["readers", "access_token_seconds", "udp_datagrams_burst", "page_max", "connections"]
        );
    }
}
