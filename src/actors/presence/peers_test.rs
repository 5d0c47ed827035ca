//! Messages between nodes: numbers, gaps, and nodes that end.

use super::*;

const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const SECOND: Origin = Origin { node: 2, instance: 20 };

/// A node and what it received so far.
struct Node {
    peers: Peers,
    now: Instant,
}

impl Node {
    fn new() -> Self {
        let now = Instant::now();
        Self { peers: Peers::new(1, &Limits::default(), now), now }
    }

    fn receive(&mut self, message: NodeMessage) -> Vec<PeerChange> {
        self.receive_from(SECOND, message)
    }

    fn receive_from(&mut self, from: Origin, message: NodeMessage) -> Vec<PeerChange> {
        let mut changes = Vec::new();
        self.peers.receive(from, message, self.now, &mut changes);
        changes
    }

    /// Advances the time, then returns the changes and the messages.
    fn pass(&mut self, time: Duration) -> (Vec<PeerChange>, Vec<NodeMessage>) {
        self.now += time;
        let mut changes = Vec::new();
        self.peers.run(self.now, &mut changes);
        (changes, self.peers.take_messages())
    }

    /// Connects the bus, and waits until all reachable nodes count as known.
    fn connect(&mut self) {
        self.peers.after_gap(self.now);
        self.now += self.peers.beat * BEATS_UNTIL_SETTLED;
    }

    fn asks(&mut self) -> bool {
        self.pass(WHOLE_PAUSE).1.contains(&NodeMessage::Ask(2))
    }
}

fn whole(number: u64, users: &[UserId]) -> NodeMessage {
    let part = Part { is_first: true, is_last: true };
    NodeMessage::Whole(number, part, users.iter().map(|user| (*user, 1)).collect())
}

fn online(user: UserId) -> PeerChange {
    PeerChange::Status(2, user, Some(Status::Online))
}

fn gone(user: UserId) -> PeerChange {
    PeerChange::Status(2, user, None)
}

#[test]
fn whole_is_requested_until_it_arrives_and_after_a_gap() {
    let mut node = Node::new();
    node.connect();
    assert_eq!(node.receive(NodeMessage::Beat(7)), []);
    assert!(node.asks() && node.asks(), "the request is repeated");
    assert_eq!(node.receive(whole(8, &[ALICE, BOB])), [online(ALICE), online(BOB)]);
    assert_eq!(node.receive(NodeMessage::Beat(8)), []);
    assert!(!node.asks() && node.peers.is_complete());
    assert_eq!(node.receive(NodeMessage::Changed(9, vec![(BOB, 0)])), [gone(BOB)]);
    assert!(!node.asks());
    // The change 10 was lost. The change 11 is applied all the same.
    assert_eq!(
        node.receive(NodeMessage::Changed(11, vec![(ALICE, 3)])),
        [PeerChange::Status(2, ALICE, Some(Status::Dnd))]
    );
    assert!(node.asks() && !node.peers.is_complete());
    assert_eq!(node.receive(whole(12, &[BOB])).len(), 2, "bob comes and alice is gone");
    assert_eq!(node.receive(NodeMessage::Beat(14)), [], "13 and 14 were lost");
    assert!(node.asks());
}

#[test]
fn whole_in_parts_replaces_users_once_all_parts_are_there() {
    let mut node = Node::new();
    node.receive(whole(1, &[UserId(500)]));
    let part = |number, is_first, is_last, user| {
        NodeMessage::Whole(number, Part { is_first, is_last }, vec![(user, 1)])
    };
    assert_eq!(node.receive(part(2, true, false, ALICE)), [online(ALICE)]);
    assert_eq!(node.receive(part(4, false, true, BOB)), [], "the part 3 is missing");
    assert!(node.asks());
    node.receive(part(5, true, false, ALICE));
    assert_eq!(node.receive(part(6, false, true, BOB)), [online(BOB), gone(UserId(500))]);
    assert!(!node.asks());
}

#[test]
fn large_whole_is_sent_in_parts_that_fit_a_message() {
    let mut node = Node::new();
    let users: Vec<_> = (0..1_000).map(|n| (UserId(i64::MAX - n), Status::Invisible)).collect();
    node.peers.send_whole(&users, node.now);
    let messages = node.peers.take_messages();
    assert_eq!(messages.len(), 3);
    let mut other = Node::new();
    other.connect();
    other.pass(Duration::ZERO);
    let mut changes = Vec::new();
    for message in messages {
        let body = rmp_serde::to_vec(&message).unwrap();
        assert!(body.len() <= crate::core::bus::BODY_BYTES_MAX, "{} bytes", body.len());
        changes.extend(other.receive(rmp_serde::from_slice(&body).unwrap()));
    }
    assert_eq!(changes.len(), users.len());
    assert!(other.peers.is_complete());
}

#[test]
fn users_of_a_silent_stopped_or_restarted_node_are_disconnected() {
    let mut node = Node::new();
    let beat = Duration::from_millis(Limits::default().presence_beat_ms);
    node.receive(whole(1, &[ALICE]));
    assert_eq!(node.pass(beat * 2).0, []);
    node.receive(NodeMessage::Beat(1));
    assert_eq!(node.pass(beat * 2).0, []);
    assert_eq!(node.pass(beat).0, [gone(ALICE)]);
    node.receive(whole(5, &[ALICE]));
    assert_eq!(node.receive(NodeMessage::Stopped), [gone(ALICE)]);
    node.receive(whole(5, &[ALICE]));
    let later = Origin { instance: 21, ..SECOND };
    assert_eq!(node.receive_from(later, NodeMessage::Beat(0)), [gone(ALICE)]);
    assert!(node.asks());
}

#[test]
fn idle_node_sends_beats_and_answers_requests_once_a_second() {
    let mut node = Node::new();
    let beat = Duration::from_millis(Limits::default().presence_beat_ms);
    assert_eq!(node.pass(beat).1, [NodeMessage::Beat(0)]);
    node.peers.send_typing(ChatId(1), ALICE);
    assert_eq!(node.peers.take_messages(), [], "no other node is known");
    node.peers.send_changes(&[(ALICE, Some(Status::Away))], node.now);
    assert_eq!(node.peers.take_messages(), [NodeMessage::Changed(1, vec![(ALICE, 2)])]);
    assert_eq!(node.pass(beat - Duration::from_secs(1)).1, []);
    assert_eq!(node.pass(Duration::from_secs(1)).1, [NodeMessage::Beat(1)]);
    node.receive(whole(1, &[]));
    let is_due = |node: &mut Node| node.peers.run(node.now, &mut Vec::new());
    assert!(!is_due(&mut node));
    for asked in [NodeMessage::Ask(1), NodeMessage::Ask(0)] {
        node.receive(asked);
        assert!(is_due(&mut node));
        node.peers.send_whole(&[], node.now);
        node.receive(NodeMessage::Ask(1));
        assert!(!is_due(&mut node), "not twice in a second");
        node.now += WHOLE_PAUSE;
        assert!(is_due(&mut node));
        node.peers.send_whole(&[], node.now);
        node.now += WHOLE_PAUSE;
    }
    node.receive(NodeMessage::Ask(3));
    assert!(!is_due(&mut node), "another node was asked");
}

#[test]
fn codes_of_later_versions_and_wrong_bodies_are_ignored() {
    let mut node = Node::new();
    assert_eq!(node.receive(NodeMessage::Changed(1, vec![(ALICE, 200), (BOB, 1)])), [online(BOB)]);
    let mut bytes = rmp_serde::to_vec(&whole(3, &[ALICE, BOB])).unwrap();
    for at in 0..bytes.len() {
        assert!(rmp_serde::from_slice::<NodeMessage>(&bytes[..at]).is_err(), "{at} bytes");
    }
    bytes.fill(0xc1);
    assert!(rmp_serde::from_slice::<NodeMessage>(&bytes).is_err());
}

/// Marks of invisible users were sent while the bus was away: no known node means nothing.
#[test]
fn users_are_not_complete_without_bus_or_with_silent_node() {
    let mut node = Node::new();
    node.pass(node.peers.beat * 10);
    assert!(!node.peers.is_complete(), "the bus was never connected");
    node.peers.after_gap(node.now);
    node.pass(node.peers.beat);
    assert!(!node.peers.is_complete(), "another node may not have sent its first beat");
    node.pass(node.peers.beat);
    assert!(node.peers.is_complete(), "this node is alone");
    node.receive(whole(1, &[ALICE]));
    assert!(node.peers.is_complete());
    let (changes, _) = node.pass(node.peers.beat * BEATS_UNTIL_GONE);
    assert_eq!(changes, [gone(ALICE)]);
    assert!(!node.peers.is_complete(), "the silent node may have sessions");
    node.receive(NodeMessage::Beat(1));
    node.receive(whole(2, &[]));
    assert!(node.peers.is_complete(), "it was only cut off");
    node.pass(node.peers.beat * BEATS_UNTIL_GONE);
    assert_eq!(node.peers.next_deadline(), Some(node.peers.next_beat));
    node.pass(SILENT_MAX);
    assert!(node.peers.is_complete(), "a node that is silent for so long has ended");
    node.receive(NodeMessage::Beat(3));
    node.receive(NodeMessage::Stopped);
    assert!(node.peers.is_complete(), "an announced stop leaves no sessions");
}
