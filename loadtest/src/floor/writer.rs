//! The writer of the floor: takes all queued rows, commits them in one transaction, and returns
//! them.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use rusqlite::Connection;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The batch size of NetBit.
const ROWS_PER_COMMIT: usize = 512;

/// A row of the table, with the connection and request to acknowledge.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) connection: usize,
    pub(super) request_id: u64,
    pub(super) id: i64,
    pub(super) chat: i64,
    pub(super) seq: i64,
    pub(super) sender: i64,
    pub(super) client_id: [u8; 16],
    pub(super) content: String,
    pub(super) created_at: i64,
}

pub(super) type Batches = UnboundedReceiver<Vec<Row>>;

pub(super) fn open(directory: &Path) -> anyhow::Result<(Sender<Row>, Batches)> {
    let db = Connection::open(directory.join("floor.db")).context("cannot open the floor's database")?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE IF NOT EXISTS messages (
             id INTEGER PRIMARY KEY, chat INTEGER NOT NULL, seq INTEGER NOT NULL, sender INTEGER NOT NULL,
             client_id BLOB NOT NULL, content TEXT NOT NULL, created_at INTEGER NOT NULL);",
    )?;
    let (sender, receiver) = channel();
    let (committed, written) = unbounded_channel();
    std::thread::Builder::new().name("floor-writer".to_owned()).spawn(move || {
        if let Err(error) = write(&db, &receiver, &committed) {
            eprintln!("floor: {error:#}");
            std::process::exit(1);
        }
    })?;
    Ok((sender, written))
}

fn write(db: &Connection, rows: &Receiver<Row>, committed: &UnboundedSender<Vec<Row>>) -> anyhow::Result<()> {
    let mut begin = db.prepare("BEGIN IMMEDIATE")?;
    let mut commit = db.prepare("COMMIT")?;
    let mut insert = db.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    while let Ok(first) = rows.recv() {
        let mut batch = vec![first];
        batch.extend(rows.try_iter().take(ROWS_PER_COMMIT - 1));
        begin.execute(())?;
        for row in &batch {
            let Row { id, chat, seq, sender, client_id, content, created_at, .. } = row;
            insert.execute((id, chat, seq, sender, client_id, content, created_at))?;
        }
        commit.execute(())?;
        if committed.send(batch).is_err() {
            break;
        }
    }
    Ok(())
}
