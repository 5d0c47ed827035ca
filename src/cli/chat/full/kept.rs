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
use super::switch::NO_CHAT;
use crate::cli::chat::outgoing::Unsent;
use crate::cli::remote::user_folder;
use crate::core::plural::plural;
use crate::core::private_file;
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::ClientId;
use crate::domain::timestamp::Timestamp;

/// Clients of a user that keep their state at once; further ones keep nothing.
const CLIENTS_MAX: usize = 16;
/// Damaged files that are kept beside the file; the last one is replaced.
const DAMAGED_MAX: u32 = 9;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Epoch of the history that the ids belong to.
    pub(super) epoch: Option<i64>,
    pub(super) open: Option<ChatId>,
    #[serde(default)]
    unsent: Vec<KeptMessage>,
    #[serde(default)]
    drafts: BTreeMap<ChatId, KeptDraft>,
    /// Lines that were sent, each with its chat, for Up in the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<(ChatId, String)>,
    /// Chats by their number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) numbers: Vec<ChatId>,
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
    /// The message that the text edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edit: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beneath: Vec<Self>,
}

impl KeptDraft {
    fn of(draft: &Draft) -> Self {
        let (reply_to, edit) = match draft.purpose {
            Purpose::Message => (None, None),
            Purpose::Reply(id) => (Some(id), None),
            Purpose::Edit(id) => (None, Some(id)),
        };
        let beneath = draft.beneath.iter().map(Self::of).collect();
        Self { text: draft.text.clone(), reply_to, edit, beneath }
    }

    fn draft(&self) -> Draft {
        let purpose = match (self.edit, self.reply_to) {
            (Some(id), _) => Purpose::Edit(id),
            (None, Some(id)) => Purpose::Reply(id),
            (None, None) => Purpose::Message,
        };
        let beneath = self.beneath.iter().map(|kept| Draft { beneath: Vec::new(), ..kept.draft() });
        Draft { text: self.text.clone(), purpose, beneath: beneath.collect() }
    }
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
        let drafts = drafts.iter().filter(|(_, draft)| !draft.is_empty());
        let drafts = drafts.map(|(chat, draft)| (*chat, KeptDraft::of(draft)));
        Self { epoch, open, unsent: unsent.collect(), drafts: drafts.collect(), ..Self::default() }
    }

    pub(super) fn drafts(&self) -> HashMap<ChatId, Draft> {
        self.drafts.iter().map(|(chat, kept)| (*chat, kept.draft())).collect()
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
        if is_same_history {
            self.lines.extend(other.lines);
        }
        for (chat, kept) in other.drafts {
            let chat = if is_same_history { chat } else { NO_CHAT };
            let mut other = kept.draft();
            if !is_same_history {
                other.refer_to_nothing();
            }
            let mut own = self.drafts.get(&chat).map(KeptDraft::draft).unwrap_or_default();
            if own != other {
                own.extend(other);
                self.drafts.insert(chat, KeptDraft::of(&own));
            }
        }
    }

    /// Returns sentences about the texts that were not sent, for the end of the client: what
    /// remains, and in which file.
    pub(super) fn remains(&self, file: Option<&Path>) -> Vec<String> {
        let failed = self.unsent.iter().filter(|kept| kept.failure.is_some()).count();
        let waiting = self.unsent.len() - failed;
        let drafts: usize = self.drafts.values().map(|kept| kept.draft().texts().count()).sum();
        let Some(file) = file else {
            let lost = plural(waiting + failed + drafts, "text was", "texts were");
            let lost = format!("{lost} not sent and not kept: this client has no folder for its files");
            return Some(lost).filter(|_| waiting + failed + drafts > 0).into_iter().collect();
        };
        let mut remains = Vec::new();
        if waiting > 0 {
            let count = plural(waiting, "message is", "messages are");
            remains.push(format!("{count} not sent yet, and will be sent at the next start"));
        }
        if failed > 0 {
            remains.push(format!(
                "{} not accepted; /failed lists them",
                plural(failed, "text was", "texts were")
            ));
        }
        if drafts > 0 {
            remains.push(format!("{} kept for the next start", plural(drafts, "draft is", "drafts are")));
        }
        if !remains.is_empty() {
            remains.push(format!("they are in {}", file.display()));
        }
        remains
    }
}

/// The state at the start.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// `None`: the user has no home directory, or too many clients run. Then nothing is kept.
    pub(super) file: Option<KeptFile>,
    pub(super) kept: Kept,
    /// Sentences about files that could not be read.
    pub(super) warnings: Vec<String>,
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
    /// Opens the file for a user of a server and reads it.
    pub(super) fn open(server: &str, user: &str) -> anyhow::Result<Opened> {
        let Some(folder) = user_folder("XDG_STATE_HOME", ".local/state") else {
            return Ok(Opened::default());
        };
        Self::open_in(&folder, server, user).with_context(|| folder.display().to_string())
    }

    fn open_in(folder: &Path, server: &str, user: &str) -> anyhow::Result<Opened> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let key = xxh3_64(format!("{server}\n{}", user.to_lowercase()).as_bytes());
        let (mut own, mut kept): (Option<(PathBuf, File)>, _) = (None, Kept::default());
        let mut warnings = Vec::new();
        for client in 1..=CLIENTS_MAX {
            let path = folder.join(format!("chat-{key:016x}-{client}.json"));
            let lock = private_file::open_lock(&path.with_extension("lock"))?;
            if lock.try_lock().is_err() {
                continue;
            }
            match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
                Ok(Ok(left)) => kept.absorb(left),
                Ok(Err(error)) => warnings.push(put_aside(&path, &error)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
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
        Ok(Opened { file, kept, warnings })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
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

/// Moves a damaged file aside, so that the client can start and the user can still read the file.
/// Returns a sentence about it.
fn put_aside(path: &Path, error: &serde_json::Error) -> anyhow::Result<String> {
    let free = |number: &u32| !path.with_extension(format!("damaged-{number}")).exists();
    let number = (1..=DAMAGED_MAX).find(free).unwrap_or(DAMAGED_MAX);
    let aside = path.with_extension(format!("damaged-{number}"));
    fs::rename(path, &aside).with_context(|| path.display().to_string())?;
    Ok(format!(
        "the file of unsent messages and drafts is damaged ({error}) and was moved to {}",
        aside.display()
    ))
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
        let draft = Draft::new("half a thought".into(), Purpose::Reply(MessageId(7)));
        Kept::of(Some(5), Some(ChatId(3)), &HashMap::from([(ChatId(4), draft)]), &sending)
    }

    fn opened(folder: &Path, user: &str) -> (KeptFile, Kept) {
        let opened = KeptFile::open_in(folder, "http://h", user).unwrap();
        (opened.file.unwrap(), opened.kept)
    }

    #[test]
    fn state_survives_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let open = || opened(folder.path(), "Alice");
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
        let open = || opened(folder.path(), "alice");
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
        assert_eq!(opened(folder.path(), "bob").1, Kept::default());
    }

    #[test]
    fn edit_and_the_text_beneath_it_survive() {
        let mut draft = Draft::new("a better text".into(), Purpose::Edit(MessageId(7)));
        draft.put_beneath(Draft::new("being written".into(), Purpose::Reply(MessageId(8))));
        let drafts = HashMap::from([(ChatId(4), draft.clone())]);
        let kept = Kept::of(Some(5), None, &drafts, &Sending::default());
        let read: Kept = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(read.drafts()[&ChatId(4)], draft);
        assert_eq!(
            read.remains(Some(Path::new("/state/file"))),
            ["2 drafts are kept for the next start", "they are in /state/file"]
        );
        assert_eq!(read.remains(None).len(), 1);
        assert!(Kept::default().remains(None).is_empty());
    }

    /// A damaged file ended the start.
    #[test]
    fn damaged_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = opened(folder.path(), "alice");
        file.write(kept("hello")).unwrap();
        let path = file.path.clone();
        drop(file);
        for round in 1..=DAMAGED_MAX + 1 {
            fs::write(&path, format!("{{\"epoch\": {round}, \"uns")).unwrap();
            let found = KeptFile::open_in(folder.path(), "http://h", "alice").unwrap();
            assert_eq!((found.warnings.len(), &found.kept), (1, &Kept::default()));
            let aside = path.with_extension(format!("damaged-{}", round.min(DAMAGED_MAX)));
            assert!(found.warnings[0].contains(&aside.display().to_string()), "{:?}", found.warnings);
            assert!(fs::read_to_string(aside).unwrap().contains(&round.to_string()));
        }
    }
}
