//! Decides when the repositories of a node that has ended may be taken over.
//!
//! Invariant: the rows of the nodes alone never decide. After an outage of the database the rows of
//! all nodes are old, also those of nodes that run. So this node must find another one silent in
//! each read for [`EndedNodes::expires`], by its own monotonic clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::storage_nodes::ListedNode;

/// The nodes that this node finds not to run.
#[derive(Debug)]
pub(super) struct EndedNodes {
    since: HashMap<String, Instant>,
    last_read: Option<Instant>,
    /// A node that is not found to run for this long has ended.
    expires: Duration,
    /// Maximum time between two reads that see the same silence.
    gap_max: Duration,
}

impl EndedNodes {
    pub(super) fn new(expires: Duration, gap_max: Duration) -> Self {
        Self { since: HashMap::new(), last_read: None, expires, gap_max }
    }

    /// Records that the nodes could not be read: other nodes may not have reached the database
    /// either.
    pub(super) fn read_failed(&mut self) {
        self.since.clear();
    }

    /// Records a read of all nodes; returns those that have ended and have repositories. A node is
    /// returned again after a further [`EndedNodes::expires`]: repositories without usable files
    /// stay with it, and comparing them takes reads of the database and of the disk.
    pub(super) fn read(&mut self, listed: Vec<ListedNode>, now: Instant) -> Vec<String> {
        let before = self.last_read.replace(now);
        let is_late = before.is_some_and(|before| now.saturating_duration_since(before) > self.gap_max);
        // A node whose own row is old cannot judge the rows of others.
        let is_fresh = listed.iter().any(|node| node.is_own && node.is_running);
        if is_late || !is_fresh {
            self.since.clear();
        }
        if !is_fresh {
            return Vec::new();
        }
        let silent: Vec<_> = listed.into_iter().filter(|node| !node.is_running && !node.is_own).collect();
        self.since.retain(|name, _| silent.iter().any(|node| node.name == *name));
        let mut ended = Vec::new();
        for node in silent {
            let since = *self.since.entry(node.name.clone()).or_insert(now);
            if node.repositories > 0 && now.saturating_duration_since(since) >= self.expires {
                self.since.insert(node.name.clone(), now);
                ended.push(node.name);
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, is_running: bool) -> ListedNode {
        ListedNode {
            name: name.to_owned(),
            address: String::new(),
            silent_ms: Some(if is_running { 100 } else { 60_000 }),
            is_running,
            is_own: name == "own",
            repositories: 1,
            deleting: 0,
            address_problem: None,
        }
    }

    /// Reads `own` and `other` each 5 s, from second 0 on; returns the second of the first
    /// take-over.
    fn first_taken(reads: &[Option<(bool, bool)>]) -> Option<usize> {
        let mut ended = EndedNodes::new(Duration::from_secs(30), Duration::from_secs(15));
        let start = Instant::now();
        let taken = reads.iter().enumerate().position(|(number, read)| {
            let now = start + Duration::from_secs(5) * u32::try_from(number).unwrap();
            match read {
                None => {
                    ended.read_failed();
                    false
                }
                Some((own, other)) => {
                    !ended.read(vec![node("other", *other), node("own", *own)], now).is_empty()
                }
            }
        });
        taken.map(|number| number * 5)
    }

    #[test]
    fn node_has_ended_after_silence_in_each_read() {
        let silent = Some((true, false));
        assert_eq!(first_taken(&[silent; 8]), Some(30));
        assert_eq!(first_taken(&[[silent; 3], [Some((true, true)); 3]].concat().repeat(4)), None);
    }

    /// Copies that are older than the database were compared, and reported, every 5 s.
    #[test]
    fn node_whose_repositories_stay_is_returned_at_intervals() {
        let mut ended = EndedNodes::new(Duration::from_secs(30), Duration::from_secs(15));
        let start = Instant::now();
        let mut read = |seconds| {
            let listed = vec![node("a", false), node("own", true)];
            !ended.read(listed, start + Duration::from_secs(seconds)).is_empty()
        };
        let returned: Vec<_> = (0..=90).step_by(5).filter(|seconds| read(*seconds)).collect();
        assert_eq!(returned, [30, 60, 90]);
    }

    #[test]
    fn outage_of_the_database_ends_no_node() {
        let (silent, away, all_old) = (Some((true, false)), None, Some((false, false)));
        // The reads fail; then all rows are old; then only the own row is fresh.
        let after = [away, away, all_old, silent, Some((true, true))];
        assert_eq!(first_taken(&[[silent; 5], after].concat().repeat(3)), None);
        // A silence from before the outage does not count.
        assert_eq!(first_taken(&[&[silent; 5][..], &[away], &[silent; 8]].concat()), Some(60));
        assert_eq!(first_taken(&[&[silent; 5][..], &[all_old], &[silent; 8]].concat()), Some(60));
    }

    #[test]
    fn pause_between_reads_does_not_count_as_silence() {
        let mut ended = EndedNodes::new(Duration::from_secs(30), Duration::from_secs(15));
        let read = |ended: &mut EndedNodes, now| ended.read(vec![node("a", false), node("own", true)], now);
        let start = Instant::now();
        assert_eq!(read(&mut ended, start), [""; 0]);
        assert_eq!(read(&mut ended, start + Duration::from_secs(60)), [""; 0]);
        for seconds in [70, 80] {
            assert_eq!(read(&mut ended, start + Duration::from_secs(seconds)), [""; 0]);
        }
        assert_eq!(read(&mut ended, start + Duration::from_secs(90)), ["a"]);
    }
}
