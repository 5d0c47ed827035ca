//! The state that the clients of a trial share with the test.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netbit::client::HttpClient;
use rand::RngExt;
use rand::rngs::StdRng;

use super::network::NODES;
use crate::durability::history::record::Record;

/// A node as its clients reach it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) http: HttpClient,
    pub(super) tcp: SocketAddr,
}

/// Measures the longest time without an acknowledgement.
struct Silence {
    /// Acknowledgements of this node do not count.
    except: Option<usize>,
    last: Instant,
    longest: Duration,
}

pub(super) struct World {
    pub(super) seed: u64,
    /// The chats of all clients.
    pub(super) chats: Vec<i64>,
    /// A chat without any of the clients as a member.
    pub(super) foreign: i64,
    nodes: RefCell<[Option<Address>; NODES]>,
    pub(super) record: RefCell<Record>,
    /// Acknowledged messages by node.
    acknowledged: RefCell<[u64; NODES]>,
    silence: RefCell<Silence>,
    /// No further messages: clients resend those without an answer.
    pub(super) quiet: Cell<bool>,
    /// Also, the owner and the visitor end, and clients that have everything.
    pub(super) ending: Cell<bool>,
    /// Clients without unanswered messages, after the end.
    pub(super) drained: Cell<usize>,
    /// The newest seq of each chat at the end. Clients stop when they have everything up to there.
    pub(super) heads: RefCell<Option<BTreeMap<i64, i64>>>,
}

impl World {
    pub(super) fn new(seed: u64, chats: Vec<i64>, foreign: i64) -> Self {
        let silence = Silence { except: None, last: Instant::now(), longest: Duration::ZERO };
        Self {
            seed,
            chats,
            foreign,
            nodes: RefCell::default(),
            record: RefCell::default(),
            acknowledged: RefCell::default(),
            silence: RefCell::new(silence),
            quiet: Cell::new(false),
            ending: Cell::new(false),
            drained: Cell::new(0),
            heads: RefCell::default(),
        }
    }

    /// Sets the address of a node; `None` while it is down.
    pub(super) fn moved(&self, node: usize, address: Option<Address>) {
        self.nodes.borrow_mut()[node] = address;
    }

    pub(super) fn address(&self, node: usize) -> Option<Address> {
        self.nodes.borrow()[node].clone()
    }

    /// Returns a node that runs, as far as is known, and its address.
    pub(super) async fn any_node(&self, chance: &mut StdRng) -> (usize, Address) {
        loop {
            let node = chance.random_range(0..NODES);
            if let Some(address) = self.address(node) {
                return (node, address);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn acknowledged(&self, node: usize) {
        self.acknowledged.borrow_mut()[node] += 1;
        let mut silence = self.silence.borrow_mut();
        if silence.except != Some(node) {
            silence.longest = silence.longest.max(silence.last.elapsed());
            silence.last = Instant::now();
        }
    }

    pub(super) fn acknowledged_by(&self, node: usize) -> u64 {
        self.acknowledged.borrow()[node]
    }

    pub(super) fn acknowledged_by_all(&self) -> u64 {
        self.acknowledged.borrow().iter().sum()
    }

    /// Begins to measure the longest time without an acknowledgement of the other nodes.
    pub(super) fn measure_silence(&self, except: Option<usize>) {
        *self.silence.borrow_mut() = Silence { except, last: Instant::now(), longest: Duration::ZERO };
    }

    pub(super) fn longest_silence(&self) -> Duration {
        let silence = self.silence.borrow();
        silence.longest.max(silence.last.elapsed())
    }
}
