//! The nodes of the database as this node knows them.
//!
//! The task that records that this node runs reads all of them, every few seconds or on request. It
//! owns the [`NodeFeed`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::node::NodeName;
use crate::storage::nodes::Node;

/// How long a request waits for a node that is not known yet, or has no address yet.
const UNKNOWN_NODE_WAIT: Duration = Duration::from_secs(1);
/// Minimum time between two reads that requests cause.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// Publishes the nodes.
#[derive(Debug)]
pub struct NodeFeed {
    known: watch::Sender<Arc<[Node]>>,
    refresh: Arc<Notify>,
}

/// The nodes. Clones share them.
#[derive(Debug, Clone)]
pub struct OtherNodes {
    known: watch::Receiver<Arc<[Node]>>,
    refresh: Arc<Notify>,
}

/// Returns both ends; no node is known at first.
pub fn channel() -> (NodeFeed, OtherNodes) {
    let (sender, known) = watch::channel(Arc::from([]));
    let refresh = Arc::new(Notify::new());
    (NodeFeed { known: sender, refresh: refresh.clone() }, OtherNodes { known, refresh })
}

impl NodeFeed {
    pub fn publish(&self, nodes: Vec<Node>) {
        self.known.send_replace(nodes.into());
    }

    /// Resolves when a request needs the nodes to be read again.
    pub async fn requested(&self) {
        self.refresh.notified().await;
        tokio::time::sleep(REFRESH_PAUSE).await;
    }
}

impl OtherNodes {
    /// Requests another read: a node may have started again at another address.
    pub(super) fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Returns the node of this name, if it has an address.
    pub(super) async fn find(&self, name: &NodeName) -> Option<Node> {
        let mut known = self.known.clone();
        if let Some(node) = named(name, &known.borrow_and_update()) {
            return Some(node);
        }
        self.refresh();
        let is_known = known.wait_for(|nodes| named(name, nodes).is_some());
        let found = tokio::time::timeout(UNKNOWN_NODE_WAIT, is_known).await;
        found.ok()?.ok().and_then(|nodes| named(name, &nodes))
    }

    /// Requests another read, and returns the node of this name as it is then. Waits for at most
    /// [`UNKNOWN_NODE_WAIT`].
    pub(super) async fn find_again(&self, name: &NodeName) -> Option<Node> {
        let mut known = self.known.clone();
        known.mark_unchanged();
        self.refresh();
        tokio::time::timeout(UNKNOWN_NODE_WAIT, known.changed()).await.ok()?.ok()?;
        let nodes = known.borrow();
        named(name, &nodes)
    }
}

fn named(name: &NodeName, nodes: &[Node]) -> Option<Node> {
    nodes.iter().find(|node| node.name == name.as_str() && !node.address.is_empty()).cloned()
}
