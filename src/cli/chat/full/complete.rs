//! Completion by Tab: `@users`, `#chats`, `:emoji:`, `/commands` and their arguments, such as the
//! path of `/attach`.

use reqwest::Method;

use super::actions::JOINABLE;
use super::model::{Model, Order, Then};
use crate::cli::chat::attach::{begun_path, written};
use crate::cli::chat::commands;
use crate::cli::chat::text::clean_line;
use crate::domain::chat::channel_key;

/// Candidates that are offered.
const CANDIDATES_MAX: usize = 50;

/// A completion that further Tabs cycle through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    /// Byte position of the completed word.
    start: usize,
    pub(super) candidates: Vec<Candidate>,
    pub(super) chosen: usize,
}

/// A text that is inserted, and how it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) shown: String,
    pub(super) text: String,
}

impl Candidate {
    fn new(text: String) -> Self {
        Self { shown: text.clone(), text }
    }
}

impl Model {
    /// Completes the word before the cursor, or goes to the next or previous candidate.
    pub(super) fn complete(&mut self, forward: bool) {
        let completion = match self.completion.take() {
            Some(mut running) => {
                let count = running.candidates.len();
                let step = if forward { 1 } else { count.saturating_sub(1) };
                running.chosen = (running.chosen + step) % count.max(1);
                running
            }
            None if self.requests_names() => return,
            None => match self.candidates() {
                Some(found) => found,
                None if self.requests_channels() => return self.info("requesting the channels…"),
                None => return self.info("nothing to complete: @user, #chat, :emoji: or /command"),
            },
        };
        self.show_completion(completion);
    }

    /// Writes the chosen candidate into the prompt.
    fn show_completion(&mut self, mut completion: Completion) {
        completion.candidates.truncate(CANDIDATES_MAX);
        let is_only = completion.candidates.len() == 1;
        if let Some(candidate) = completion.candidates.get(completion.chosen) {
            // A path goes on behind a folder.
            let space = if is_only && !candidate.text.ends_with('/') { " " } else { "" };
            self.editor.replace_back_to(completion.start, &format!("{}{space}", candidate.text));
        }
        self.completion = (!is_only).then_some(completion);
    }

    /// Returns whether the cursor is in a path of `/attach`, and requests the names of its folder.
    fn requests_names(&mut self) -> bool {
        let before = self.editor.before();
        let Some((folder, _)) = before.strip_prefix("/attach ").and_then(begun_path) else { return false };
        self.orders.push_back(Order::Names(folder));
        true
    }

    /// Completes the path of `/attach` with the names in its folder.
    pub(super) fn complete_path(&mut self, folder: &str, names: &[String]) {
        let before = self.editor.before();
        let Some(rest) = before.strip_prefix("/attach ") else { return };
        let Some((now, begun)) = begun_path(rest).filter(|(now, _)| now == folder) else { return };
        let is_wanted =
            |name: &&String| name.starts_with(&begun) && (begun.starts_with('.') || !name.starts_with('.'));
        let candidates = names
            .iter()
            .filter(is_wanted)
            .map(|name| Candidate { shown: clean_line(name), text: written(&format!("{now}{name}")) });
        let candidates: Vec<_> = candidates.collect();
        if candidates.is_empty() {
            return self.info(format!("no file begins with {}", clean_line(&format!("{now}{begun}"))));
        }
        let start = before.len() - rest.trim_start().len();
        self.show_completion(Completion { start, candidates, chosen: 0 });
    }

    fn candidates(&self) -> Option<Completion> {
        let before = self.editor.before();
        let start =
            before.rfind(char::is_whitespace).map_or(0, |at| at + before.get(at..).map_or(0, first_len));
        let word = before.get(start..)?;
        let found = |candidates: Vec<Candidate>| {
            (!candidates.is_empty()).then_some(Completion { start, candidates, chosen: 0 })
        };
        if let Some(prefix) = word.strip_prefix('/').filter(|_| start == 0) {
            let mut names: Vec<_> = commands::names().filter(|name| name.starts_with(prefix)).collect();
            names.sort_unstable();
            return found(names.into_iter().map(|name| Candidate::new(format!("/{name}"))).collect());
        }
        if let Some(prefix) = word.strip_prefix('@') {
            let mut names = self.store.names.beginning_with(prefix);
            names.retain(|name| *name != self.username);
            names.extend(Some("all".to_owned()).filter(|all| !prefix.is_empty() && all.starts_with(prefix)));
            return found(names.into_iter().map(|name| Candidate::new(format!("@{name}"))).collect());
        }
        if let Some(prefix) = word.strip_prefix('#') {
            let chats = self.chats_beginning_with(prefix).into_iter();
            return found(chats.map(|name| Candidate::new(format!("#{name}"))).collect());
        }
        if let Some(prefix) = word.strip_prefix(':').filter(|prefix| !prefix.is_empty()) {
            return found(emoji(prefix));
        }
        match before.split_once(' ').map(|(command, _)| command) {
            Some(command @ ("/open" | "/join")) => {
                let prefix = before.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
                let start = before.len() - prefix.len();
                let chats = match command {
                    "/open" => self.chats_beginning_with(prefix),
                    _ => self.channels_beginning_with(prefix),
                };
                let chats = chats.into_iter();
                let candidates: Vec<_> = chats.map(Candidate::new).collect();
                (!candidates.is_empty()).then_some(Completion { start, candidates, chosen: 0 })
            }
            Some("/dm" | "/invite" | "/new") => {
                let names = self.store.names.beginning_with(word).into_iter();
                found(names.filter(|name| *name != self.username).map(Candidate::new).collect())
            }
            // A word of a message may be the beginning of a name.
            _ if word.is_empty() => None,
            _ => {
                let names = self.store.names.beginning_with(word).into_iter();
                let names = names.filter(|name| *name != self.username);
                found(names.map(|name| Candidate::new(format!("@{name}"))).collect())
            }
        }
    }

    fn channels_beginning_with(&self, prefix: &str) -> Vec<String> {
        let prefix = channel_key(prefix.trim_start_matches('#'));
        let names = self.joinable.iter().filter(|name| channel_key(name).starts_with(&prefix));
        names.cloned().collect()
    }

    /// Returns whether Tab needs the channels that the user can join, and requests them.
    fn requests_channels(&mut self) -> bool {
        let is_needed =
            self.joinable.is_empty() && self.is_online() && self.editor.before().starts_with("/join ");
        let is_request =
            |order: &Order| matches!(order, Order::Rest(call) if matches!(call.then, Then::Channels { .. }));
        if is_needed && !self.orders.iter().any(is_request) {
            self.call(Method::GET, JOINABLE.to_owned(), None, Then::Channels { show: false });
        }
        is_needed
    }

    fn chats_beginning_with(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.to_lowercase();
        let titles = self.store.order().into_iter().map(|id| self.store.title(id));
        titles.filter(|title| title.trim_start_matches('@').to_lowercase().starts_with(&prefix)).collect()
    }
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Returns emoji whose shortcodes begin with a text, the shortest first.
pub(super) fn emoji(prefix: &str) -> Vec<Candidate> {
    let mut found: Vec<(&str, &str)> = emojis::iter()
        .filter_map(|emoji| {
            let code = emoji.shortcodes().find(|code| code.starts_with(prefix))?;
            Some((code, emoji.as_str()))
        })
        .collect();
    found.sort_by_key(|(code, _)| (code.len(), *code));
    let candidates = found
        .into_iter()
        .map(|(code, emoji)| Candidate { shown: format!("{emoji} {code}"), text: emoji.to_owned() });
    candidates.take(CANDIDATES_MAX).collect()
}
