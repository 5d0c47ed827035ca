//! The chats of the floor: heads, the last messages as encoded bytes, and members.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::mpsc::Sender;
use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::FloorConnection;
use super::encode::{Encoded, ack, event, stub};
use super::writer::Row;

/// Messages kept for each chat.
const KEPT: usize = 100;

#[derive(Debug)]
pub(super) struct Chats {
    chats: RefCell<HashMap<i64, FloorChat>>,
    connections: RefCell<HashMap<usize, Weak<FloorConnection>>>,
    next_connection: Cell<usize>,
    next_id: Cell<i64>,
    writer: Sender<Row>,
}

#[derive(Debug, Default)]
struct FloorChat {
    head: i64,
    members: Vec<Rc<FloorConnection>>,
    recent: VecDeque<Encoded>,
}

impl Chats {
    pub(super) fn new(writer: Sender<Row>) -> Self {
        // The floor reads no data of an earlier run, so ids begin after those.
        let now = i64::try_from(now_ms()).unwrap_or(0);
        Self {
            chats: RefCell::default(),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            next_id: Cell::new(now << 16),
            writer,
        }
    }

    pub(super) fn join(&self, connection: &Rc<FloorConnection>, chats: &[i64]) -> usize {
        let number = self.next_connection.replace(self.next_connection.get() + 1);
        self.connections.borrow_mut().insert(number, Rc::downgrade(connection));
        for chat in chats {
            self.chats.borrow_mut().entry(*chat).or_default().members.push(connection.clone());
        }
        number
    }

    pub(super) fn leave(&self, connection: &Rc<FloorConnection>, chats: &[i64], number: usize) {
        self.connections.borrow_mut().remove(&number);
        for chat in chats {
            if let Some(chat) = self.chats.borrow_mut().get_mut(chat) {
                chat.members.retain(|member| !Rc::ptr_eq(member, connection));
            }
        }
    }

    /// Sends a message to the writer.
    pub(super) fn submit(
        &self,
        connection: usize,
        request_id: u64,
        chat: i64,
        client_id: [u8; 16],
        content: &str,
    ) {
        let id = self.next_id.replace(self.next_id.get() + 1) + 1;
        let mut chats = self.chats.borrow_mut();
        let of_chat = chats.entry(chat).or_default();
        of_chat.head += 1;
        let row = Row {
            connection,
            request_id,
            id,
            chat,
            seq: of_chat.head,
            sender: i64::try_from(connection).unwrap_or(0),
            client_id,
            content: content.to_owned(),
            created_at: i64::try_from(now_ms()).unwrap_or(0),
        };
        if self.writer.send(row).is_err() {
            eprintln!("floor: the writer has stopped");
        }
    }

    /// Acknowledges and delivers a committed batch.
    pub(super) fn publish(&self, batch: Vec<Row>) {
        let connections = self.connections.borrow();
        let mut chats = self.chats.borrow_mut();
        for row in batch {
            let sender = connections.get(&row.connection).and_then(Weak::upgrade);
            if let Some(sender) = &sender {
                sender.send(&ack(&row));
            }
            let Some(chat) = chats.get_mut(&row.chat) else { continue };
            let (pushed, message) = event(&row);
            for member in &chat.members {
                let own = sender.as_ref().is_some_and(|sender| Rc::ptr_eq(sender, member));
                if own {
                    member.send(&stub(&row));
                } else {
                    member.send(&pushed);
                }
            }
            if chat.recent.len() == KEPT {
                chat.recent.pop_front();
            }
            chat.recent.push_back(message);
        }
    }

    /// Passes the newest messages of a chat to `with`, with their number and the head.
    pub(super) fn newest(
        &self,
        chat: i64,
        limit: usize,
        with: impl FnOnce(&mut dyn Iterator<Item = &Encoded>, usize, i64),
    ) {
        let chats = self.chats.borrow();
        let Some(chat) = chats.get(&chat) else { return with(&mut std::iter::empty(), 0, 0) };
        let skip = chat.recent.len().saturating_sub(limit);
        with(&mut chat.recent.iter().skip(skip), chat.recent.len() - skip, chat.head);
    }

    pub(super) fn head(&self, chat: i64) -> i64 {
        self.chats.borrow().get(&chat).map_or(0, |chat| chat.head)
    }
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis())
}
