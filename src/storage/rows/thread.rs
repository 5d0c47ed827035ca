//! Selections of threads.

use std::collections::HashMap;

use crate::domain::ids::{ChatId, Seq};
use crate::domain::thread::ThreadPlace;

/// The threads of a list.
#[derive(Debug, Clone)]
pub struct ThreadRange {
    /// The chats whose threads are listed, with the user's read cursors.
    pub cursors: HashMap<ChatId, Seq>,
    /// Only threads with replies above the cursor.
    pub unread: bool,
    pub place: ThreadPlace,
}
