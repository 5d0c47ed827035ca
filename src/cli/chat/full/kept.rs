//! State that survives the end of the client: unsent messages, drafts and the open chat.
//!
//! A file for each server and user below `$XDG_STATE_HOME/netbit` or `~/.local/state/netbit`, which
//! only its owner can read. Several clients of a user may run at once: each locks a file of its own
//! and takes over the files that ended clients left.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::draft::{Draft, Purpose};
use super::sending::Sending;
use crate::cli::chat::outgoing::Unsent;
use crate::cli::remote::user_folder;
use crate::core::private_file;
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::ClientId;
use crate::domain::timestamp::Timestamp;

/// Clients of a user that keep their state at once; further ones keep nothing.
const CLIENTS_MAX: usize = 16;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Epoch of the history that the ids belong to.
    pub(super) epoch: Option<i64>,
    pub(super) open: Option<ChatId>,
    #[serde(default)]
    unsent: Vec<KeptMessage>,
    #[serde(default)]
    drafts: BTreeMap<ChatId, KeptDraft>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptMessage {
    chat: ChatId,
    client_id: ClientId,
    content: String,
    reply_to: Option<MessageId>,
    created_at: Timestamp,
    /// Present if the server refused the message.
    failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptDraft {
    text: String,
    reply_to: Option<MessageId>,
}

impl Kept {
    pub(super) fn of(
        epoch: Option<i64>,
        open: Option<ChatId>,
        drafts: &HashMap<ChatId, Draft>,
        sending: &Sending,
    ) -> Self {
        let unsent = sending.unsent().map(|(unsent, failure)| KeptMessage {
            chat: unsent.chat,
            client_id: unsent.client_id,
            content: unsent.content.clone(),
            reply_to: unsent.reply_to,
            created_at: unsent.created_at,
            failure: failure.map(str::to_owned),
        });
        let drafts = drafts.iter().filter(|(_, draft)| !draft.text.is_empty()).map(|(chat, draft)| {
            let reply_to = if let Purpose::Reply(id) = draft.purpose { Some(id) } else { None };
            (*chat, KeptDraft { text: draft.text.clone(), reply_to })
        });
        Self { epoch, open, unsent: unsent.collect(), drafts: drafts.collect() }
    }

    pub(super) fn drafts(&self) -> HashMap<ChatId, Draft> {
        let draft = |kept: &KeptDraft| Draft {
            text: kept.text.clone(),
            purpose: kept.reply_to.map_or(Purpose::Message, Purpose::Reply),
        };
        self.drafts.iter().map(|(chat, kept)| (*chat, draft(kept))).collect()
    }

    /// Returns the unsent messages, each with the reason if the server refused it.
    pub(super) fn messages(&self) -> impl Iterator<Item = (Unsent, Option<String>)> {
        self.unsent.iter().map(|kept| {
            let content = kept.content.clone();
            let again = Unsent::again(kept.chat, kept.client_id, content, kept.reply_to, kept.created_at);
            (again, kept.failure.clone())
        })
    }

    fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.drafts.is_empty()
    }

    /// Adds the state of another client of the same user.
    fn absorb(&mut self, other: Self) {
        if self.is_empty() && self.open.is_none() {
            *self = other;
            return;
        }
        let is_same_history = self.epoch == other.epoch;
        self.unsent.extend(other.unsent.into_iter().map(|mut kept| {
            if !is_same_history {
                kept.failure.get_or_insert_with(|| "the server's history was replaced".to_owned());
            }
            kept
        }));
        for (chat, draft) in other.drafts {
            let chat = if is_same_history { chat } else { ChatId(0) };
            match self.drafts.get_mut(&chat) {
                Some(own) if own.text != draft.text => own.text = format!("{}\n{}", own.text, draft.text),
                Some(_) => {}
                None => drop(self.drafts.insert(chat, draft)),
            }
        }
    }
}

/// The file of this client.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    /// Held while the client runs.
    _lock: File,
    written: Kept,
}

impl KeptFile {
    /// Opens the file for a user of a server and reads it. `None`: the user has no home directory,
    /// or too many clients run.
    pub(super) fn open(server: &str, user: &str) -> anyhow::Result<Option<(Self, Kept)>> {
        let Some(folder) = user_folder("XDG_STATE_HOME", ".local/state") else { return Ok(None) };
        Self::open_in(&folder, server, user).with_context(|| folder.display().to_string())
    }

    fn open_in(folder: &Path, server: &str, user: &str) -> anyhow::Result<Option<(Self, Kept)>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let key = xxh3_64(format!("{server}\n{}", user.to_lowercase()).as_bytes());
        let (mut own, mut kept): (Option<(PathBuf, File)>, _) = (None, Kept::default());
        for client in 1..=CLIENTS_MAX {
            let path = folder.join(format!("chat-{key:016x}-{client}.json"));
            let lock = private_file::open_lock(&path.with_extension("lock"))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let left: Option<Kept> = match fs::read(&path) {
                Ok(bytes) => {
                    Some(serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?)
                }
                Err(_) => None,
            };
            kept.absorb(left.unwrap_or_default());
            match &own {
                None => own = Some((path, lock)),
                Some(_) => {
                    // The messages are in the own file before they are removed here.
                    if let Some((own, _)) = &own {
                        write(own, &kept)?;
                    }
                    drop(fs::remove_file(&path));
                }
            }
        }
        let file = own.map(|(path, lock)| Self { path, _lock: lock, written: kept.clone() });
        Ok(file.map(|file| (file, kept)))
    }

    /// Writes the state if it changed.
    pub(super) fn write(&mut self, kept: Kept) -> io::Result<()> {
        if kept != self.written {
            write(&self.path, &kept)?;
            self.written = kept;
        }
        Ok(())
    }
}

/// Replaces the file atomically. It survives the end of the client in every way; after a power cut
/// the last changes may be lost.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = private_file::create(&beside)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept(content: &str) -> Kept {
        let mut sending = Sending::default();
        sending.push(Unsent::new(ChatId(3), content.to_owned(), Some(MessageId(9))));
        let draft = Draft { text: "half a thought".into(), purpose: Purpose::Reply(MessageId(7)) };
        Kept::of(Some(5), Some(ChatId(3)), &HashMap::from([(ChatId(4), draft)]), &sending)
    }

    #[test]
    fn state_survives_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let open = || KeptFile::open_in(folder.path(), "http://h", "Alice").unwrap().unwrap();
        let (mut file, read) = open();
        assert_eq!(read, Kept::default());
        file.write(kept("hello")).unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let client_id = kept("hello").messages().next().unwrap().0.client_id;
        drop(file);
        let (_file, read) = open();
        let (unsent, failure) = read.messages().next().unwrap();
        assert_eq!((unsent.content.as_str(), unsent.reply_to, failure), ("hello", Some(MessageId(9)), None));
        assert_ne!(unsent.client_id, client_id, "each message has a client_id of its own");
        assert_eq!(read.drafts()[&ChatId(4)].purpose, Purpose::Reply(MessageId(7)));
        assert_eq!((read.epoch, read.open), (Some(5), Some(ChatId(3))));
    }

    #[test]
    fn client_takes_over_the_files_of_ended_clients() {
        let folder = tempfile::tempdir().unwrap();
        let open = || KeptFile::open_in(folder.path(), "http://h", "alice").unwrap().unwrap();
        let (mut first, _) = open();
        let (mut second, read) = open();
        assert_eq!(read, Kept::default(), "a running client keeps its messages");
        first.write(kept("one")).unwrap();
        second.write(kept("two")).unwrap();
        drop((first, second));
        let (_file, read) = open();
        let contents: Vec<_> = read.messages().map(|(unsent, _)| unsent.content).collect();
        assert_eq!(contents, ["one", "two"]);
        assert_eq!(read.drafts().len(), 1);
        let other = KeptFile::open_in(folder.path(), "http://h", "bob").unwrap().unwrap();
        assert_eq!(other.1, Kept::default());
    }
}
