//! The lock that chooses the node which runs the chores of a database: expiry, retention, removal
//! of deleted chats.
//!
//! Every chore is a command, so two nodes that run the same chore only waste work. Work on the disk
//! of a node, and what a node has recorded itself, is not a chore of the database.

use std::sync::Arc;

use tokio::sync::watch;

/// Held unless it was taken away: a server that is alone with its database needs no lock. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct ChoreLock(Arc<watch::Sender<bool>>);

impl Default for ChoreLock {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl ChoreLock {
    pub fn is_held(&self) -> bool {
        *self.0.borrow()
    }

    /// Sets whether this node holds the lock.
    pub fn set(&self, held: bool) {
        self.0.send_if_modified(|current| std::mem::replace(current, held) != held);
    }

    /// Returns once this node holds the lock.
    pub async fn held(&self) {
        self.wait_for(true).await;
    }

    /// Returns once this node does not hold the lock.
    pub async fn lost(&self) {
        self.wait_for(false).await;
    }

    /// Returns at the next change.
    pub async fn changed(&self) {
        // The sender lives as long as `self`.
        self.0.subscribe().changed().await.ok();
    }

    async fn wait_for(&self, held: bool) {
        self.0.subscribe().wait_for(|current| *current == held).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn lock_is_held_until_it_is_taken_away() {
        let lock = ChoreLock::default();
        lock.held().await;
        let waiting = tokio::spawn({
            let lock = lock.clone();
            async move { lock.lost().await }
        });
        lock.set(false);
        waiting.await.unwrap();
        assert!(!lock.is_held());
        lock.set(true);
        lock.held().await;
    }
}
