//! `/attach`: uploads a file of this machine, and sends a message that shows it.
//!
//! [`Attachment`] decides the next request and needs no runtime; [`Step::run`] performs it. The
//! file is sent in pieces, each with a request of its own, so the login can be renewed in between,
//! and a broken connection costs at most a piece. The message has a `client_id`, so it is written
//! once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::attached_file::{measure, read_piece};
use super::rest::{Rest, RestError};
use super::text::clean_line;
use crate::core::plural::size as size_text;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::{CONTENT_BYTES_MAX, ClientId, Content, InvalidContent};

/// Bytes of the first piece. The next has twice as many while pieces are quick: other requests wait
/// for the end of a piece, also on a slow line.
const PIECE_BYTES: u64 = 64 * 1024;
const PIECE_BYTES_MAX: u64 = 1024 * 1024;
/// After a piece that took less, the next is larger; after one that took longer, it is smaller.
const QUICK: Duration = Duration::from_millis(250);
const SLOW: Duration = Duration::from_secs(1);
/// Attempts without a new byte, after which an upload has failed.
const TRIES_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Names of a folder that are read for Tab, and the time for it.
const NAMES_MAX: usize = 2000;
const NAMES_PATIENCE: Duration = Duration::from_millis(500);

/// A request for an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Measure {
        path: PathBuf,
    },
    Announce {
        chat: ChatId,
        name: String,
        size: u64,
    },
    /// How much of the file has arrived.
    Ask {
        id: i64,
    },
    Send {
        id: i64,
        path: PathBuf,
        offset: u64,
        /// The largest number of bytes of the piece.
        most: u64,
        size: u64,
        version: String,
    },
    Post {
        chat: ChatId,
        body: Value,
    },
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot be read. Before it is announced, the sentence names its path.
    File(String),
    Rest(RestError),
}

impl Step {
    pub(super) async fn run(self, rest: &mut Rest) -> Result<Value, Fault> {
        let answer = match self {
            Self::Measure { path } => return measure(&path).await,
            Self::Announce { chat, name, size } => {
                let (path, body) = (format!("/api/chats/{chat}/files"), json!({"name": name, "size": size}));
                rest.ask(Method::POST, &path, Some(&body)).await
            }
            Self::Ask { id } => rest.ask(Method::GET, &format!("/api/files/{id}/upload"), None).await,
            Self::Send { id, path, offset, most, size, version } => {
                let piece = read_piece(&path, (offset, most), (size, &version)).await?;
                let range = match u64::try_from(piece.len()).unwrap_or(0) {
                    0 => format!("bytes */{size}"),
                    bytes => format!("bytes {offset}-{}/{size}", offset.saturating_add(bytes) - 1),
                };
                rest.put_bytes(&format!("/api/files/{id}/upload"), piece, &range).await
            }
            Self::Post { chat, body } => {
                rest.ask(Method::POST, &format!("/api/chats/{chat}/messages"), Some(&body)).await
            }
        };
        answer.map_err(Fault::Rest)
    }
}

/// State of an attachment after a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    Continue,
    /// The message was written.
    Sent {
        seq: Option<Seq>,
    },
    /// The attachment has ended; an announced file shall be removed.
    Ended {
        reason: String,
        file: Option<i64>,
    },
}

#[derive(Debug)]
pub(super) struct Attachment {
    path: PathBuf,
    name: String,
    chat: ChatId,
    text: String,
    reply_to: Option<MessageId>,
    client_id: ClientId,
    size: Option<u64>,
    /// Of the contents, when the file was measured.
    version: String,
    id: Option<i64>,
    offset: u64,
    /// Bytes of the next piece.
    piece: u64,
    /// The begin of the running request, if it sends a piece.
    piece_begun: Option<Instant>,
    /// Whether the offset of the server is known.
    is_known: bool,
    is_complete: bool,
    /// The message may have been written: the answer to its request is missing.
    is_doubtful: bool,
    tries: u32,
    pause_until: Option<Instant>,
    /// A request is running.
    is_running: bool,
    is_cancelled: bool,
}

impl Attachment {
    /// Prepares a message for a chat.
    ///
    /// # Errors
    /// A sentence about the path or the text.
    pub(super) fn new(
        chat: ChatId,
        path: &str,
        text: &str,
        reply_to: Option<MessageId>,
    ) -> Result<Self, String> {
        let path = expand(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| format!("/attach: {} is not a file", path.display()))?;
        let text = match Content::parse(text.to_owned()) {
            _ if text.is_empty() => String::new(),
            Ok(content) => content.into_string(),
            Err(InvalidContent::TooLarge) => {
                return Err(format!("not sent: the message is larger than {CONTENT_BYTES_MAX} bytes"));
            }
            Err(InvalidContent::Invalid(reason)) => return Err(format!("not sent: {reason}")),
        };
        Ok(Self {
            path,
            name,
            chat,
            text,
            reply_to,
            client_id: ClientId::fresh(),
            size: None,
            version: String::new(),
            id: None,
            offset: 0,
            piece: PIECE_BYTES,
            piece_begun: None,
            is_known: false,
            is_complete: false,
            is_doubtful: false,
            tries: 0,
            pause_until: None,
            is_running: false,
            is_cancelled: false,
        })
    }

    pub(super) fn name(&self) -> String {
        clean_line(&self.name)
    }

    /// Returns name and progress, for the state line.
    pub(super) fn progress(&self) -> String {
        let name = self.name();
        match self.size {
            None => format!("⇡ {name}"),
            Some(_) if self.is_complete => format!("⇡ {name}, sending"),
            Some(size) => {
                let percent = self.offset.saturating_mul(100).checked_div(size).unwrap_or(0);
                format!("⇡ {name} {percent} % of {}", size_text(size))
            }
        }
    }

    /// Returns whether a request is running, so that an answer is expected.
    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Returns when the next request may run, if it must wait.
    pub(super) fn pause_until(&self) -> Option<Instant> {
        self.pause_until.filter(|_| !self.is_running)
    }

    /// Ends the attachment; a request that runs is completed first. Returns whether it has ended.
    pub(super) fn cancel(&mut self) -> Option<After> {
        self.is_cancelled = true;
        (!self.is_running).then(|| self.ended("cancelled".to_owned()))
    }

    /// Returns the request to send now, and marks it as running.
    pub(super) fn next(&mut self, now: Instant) -> Option<Step> {
        if self.is_running || self.pause_until.is_some_and(|until| until > now) {
            return None;
        }
        self.pause_until = None;
        self.is_running = true;
        let (chat, path) = (self.chat, self.path.clone());
        Some(match (self.size, self.id) {
            (None, _) => Step::Measure { path },
            (Some(size), None) => Step::Announce { chat, name: self.name.clone(), size },
            (_, Some(id)) if self.is_complete => {
                let mut body = json!({"client_id": self.client_id, "content": self.text, "files": [id]});
                if let (Some(reply_to), Some(body)) = (self.reply_to, body.as_object_mut()) {
                    body.insert("reply_to".to_owned(), json!(reply_to));
                }
                Step::Post { chat, body }
            }
            (_, Some(id)) if !self.is_known => Step::Ask { id },
            (Some(size), Some(id)) => {
                self.piece_begun = Some(now);
                let (offset, most, version) = (self.offset, self.piece, self.version.clone());
                Step::Send { id, path, offset, most, size, version }
            }
        })
    }

    /// Handles the answer to the running request.
    pub(super) fn answered(&mut self, answer: Result<Value, Fault>, now: Instant) -> After {
        self.is_running = false;
        self.fit_piece(&answer, now);
        match answer {
            Ok(answer) => self.succeeded(&answer),
            Err(Fault::File(reason)) if self.size.is_none() => {
                After::Ended { reason: format!("/attach: {reason}"), file: None }
            }
            Err(Fault::File(reason)) => self.ended(reason),
            Err(Fault::Rest(RestError::LoginNeeded)) => {
                self.ended("the login is not valid any more".to_owned())
            }
            Err(Fault::Rest(RestError::Failed { status, reason })) => self.failed(status, reason, now),
        }
    }

    /// Chooses the size of the next piece after a piece.
    fn fit_piece(&mut self, answer: &Result<Value, Fault>, now: Instant) {
        let Some(begun) = self.piece_begun.take() else { return };
        let took = now.saturating_duration_since(begun);
        self.piece = match answer {
            Ok(_) if took < QUICK => self.piece.saturating_mul(2).min(PIECE_BYTES_MAX),
            Ok(_) if took < SLOW => self.piece,
            Ok(_) => (self.piece / 2).max(PIECE_BYTES),
            Err(_) => PIECE_BYTES,
        };
    }

    fn succeeded(&mut self, answer: &Value) -> After {
        let number = |key: &str| answer.get(key).and_then(Value::as_u64);
        let was_complete = self.is_complete;
        if self.size.is_none() {
            self.size = number("size");
            self.version = answer.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        } else if !was_complete {
            self.id = self.id.or_else(|| answer.get("id").and_then(Value::as_i64));
            self.is_complete = answer.get("complete").and_then(Value::as_bool) == Some(true);
            let offset = number("offset").unwrap_or(0);
            if offset > self.offset || self.is_complete {
                self.tries = 0;
            }
            self.offset = offset;
            self.is_known = true;
        }
        match (was_complete, self.is_cancelled) {
            (true, _) => After::Sent { seq: answer.get("seq").and_then(Value::as_i64) },
            (false, true) => self.ended("cancelled".to_owned()),
            (false, false) => After::Continue,
        }
    }

    /// Tries again if the same request may succeed later.
    fn failed(&mut self, status: Option<u16>, reason: String, now: Instant) -> After {
        // A part that arrived in part, or that another request has sent: the offset is asked for.
        let is_part = self.id.is_some() && self.is_known && !self.is_complete;
        let is_passing = match status {
            None | Some(429 | 500..) => true,
            Some(400 | 409) => is_part,
            Some(_) => false,
        };
        self.is_known = false;
        self.is_doubtful |= self.is_complete && matches!(status, None | Some(500..));
        self.tries += 1;
        if self.is_cancelled {
            return self.ended("cancelled".to_owned());
        }
        if !is_passing || self.tries >= TRIES_MAX {
            return self.ended(reason);
        }
        let pause = PAUSE.saturating_mul(1 << (self.tries - 1).min(5)).min(PAUSE_MAX);
        self.pause_until = Some(now + pause);
        After::Continue
    }

    /// Returns the end of the attachment, with the file to remove. The file of a message that may
    /// have been written stays.
    fn ended(&self, reason: String) -> After {
        let name = self.name();
        if self.is_doubtful {
            let next = "read the chat before you attach it again";
            return After::Ended {
                reason: format!("{name} may have been sent: {next} ({reason})"),
                file: None,
            };
        }
        After::Ended { reason: format!("{name} was not sent: {reason}"), file: self.id }
    }
}

/// Returns a path with the home directory in place of a leading `~/`.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Splits the arguments of `/attach` into path and text. A path with spaces stands in quotes, or
/// has a backslash before each, as terminals write a file that is dropped on them.
pub(super) fn arguments(rest: &str) -> Result<(String, String), String> {
    let Word { text: path, behind, is_closed } = first_word(rest);
    if !is_closed {
        return Err("a closing quote is missing".to_owned());
    }
    if path.is_empty() {
        return Err("usage: /attach PATH, or /attach PATH TEXT".to_owned());
    }
    Ok((path, behind.unwrap_or_default().trim().to_owned()))
}

/// Returns the path that the arguments of `/attach` end with, as folder and beginning of a name;
/// `None` if a text follows it.
pub(super) fn begun_path(rest: &str) -> Option<(String, String)> {
    let word = first_word(rest);
    if word.behind.is_some() {
        return None;
    }
    let at = word.text.rfind('/').map_or(0, |at| at + 1);
    let (folder, name) = word.text.split_at_checked(at)?;
    Some((folder.to_owned(), name.to_owned()))
}

/// Returns a path as [`arguments`] reads it.
pub(super) fn written(path: &str) -> String {
    let is_special = |c: char| c.is_whitespace() || matches!(c, '\\' | '"' | '\'');
    let mut text = String::new();
    for character in path.chars() {
        text.extend(is_special(character).then_some('\\'));
        text.push(character);
    }
    text
}

/// The first word of a text.
struct Word<'a> {
    text: String,
    /// The text after it; `None`: the text ends with the word.
    behind: Option<&'a str>,
    is_closed: bool,
}

fn first_word(text: &str) -> Word<'_> {
    let mut characters = text.trim_start().chars();
    let quote = characters.clone().next().filter(|c| matches!(c, '"' | '\''));
    if quote.is_some() {
        characters.next();
    }
    let mut word = String::new();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(quote), c) if c == quote => {
                return Word { text: word, behind: Some(characters.as_str()), is_closed: true };
            }
            (None, '\\') => word.extend(characters.next()),
            (None, c) if c.is_whitespace() => {
                return Word { text: word, behind: Some(characters.as_str()), is_closed: true };
            }
            (_, c) => word.push(c),
        }
    }
    Word { text: word, behind: None, is_closed: quote.is_none() }
}

/// Returns the names in a folder, sorted; those of folders end with `/`. A folder that cannot be
/// read in time has none.
pub(super) async fn names_in(folder: &str) -> Vec<String> {
    let path = if folder.is_empty() { PathBuf::from(".") } else { expand(folder) };
    let mut names = Vec::new();
    let reading = async {
        let Ok(mut entries) = tokio::fs::read_dir(path).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            // The kind of a link is that of its target.
            let is_folder = tokio::fs::metadata(entry.path()).await.is_ok_and(|facts| facts.is_dir());
            let Ok(name) = entry.file_name().into_string() else { continue };
            names.push(if is_folder { format!("{name}/") } else { name });
            if names.len() >= NAMES_MAX {
                return;
            }
        }
    };
    drop(tokio::time::timeout(NAMES_PATIENCE, reading).await);
    names.sort();
    names
}

#[cfg(test)]
#[path = "attach_test.rs"]
mod tests;
