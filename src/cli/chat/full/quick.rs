//! Short prompts: a chat by a part of its name, and an emoji by its shortcode.

use super::model::{Model, Prompt, PromptKind};
use crate::domain::chat::channel_key;
use crate::domain::ids::{ChatId, MessageId};

/// Names that are shown.
const NAMES: usize = 8;

impl Model {
    /// Returns the chats with a number or with a part of the name, the best ones first: names that
    /// begin with the text, then unread chats.
    fn matching(&self, text: &str) -> Vec<ChatId> {
        let text = channel_key(text.trim().trim_start_matches(['@', '#']));
        let number = text.parse::<usize>().ok();
        let mut found: Vec<_> = self
            .store
            .order()
            .into_iter()
            .filter_map(|id| {
                let title = channel_key(self.store.title(id).trim_start_matches('@'));
                let at = title.find(&text)?;
                let unread = self.store.chats.get(&id).map_or(0, |chat| chat.unread);
                Some((at > 0, title != text, unread == 0, id))
            })
            .collect();
        found.sort_by_key(|(inside, longer, is_read, _)| (*inside, *longer, *is_read));
        let numbered = number.and_then(|number| self.store.numbered(number.checked_sub(1)?));
        let others = found.into_iter().map(|(.., id)| id).filter(|id| Some(*id) != numbered);
        numbered.into_iter().chain(others).collect()
    }

    /// Returns the names of chats for a part of a name.
    pub(super) fn switch_names(&self, text: &str) -> String {
        let names = self.matching(text).into_iter().take(NAMES).map(|id| {
            let number = self.store.number_of(id).unwrap_or(0);
            format!("{number}:{}", self.store.title(id))
        });
        let names = names.collect::<Vec<_>>().join("  ");
        if names.is_empty() { "no chat has this name".to_owned() } else { format!("Enter: {names}") }
    }

    /// Opens the first chat that matches.
    pub(super) fn switch_to(&mut self, text: &str) {
        match self.matching(text).first() {
            Some(id) => self.open_chat(*id),
            None => self.problem(format!("no chat in your list is called {text}")),
        }
    }

    /// Returns emoji whose shortcodes begin with a text.
    pub(super) fn emoji_names(&self, text: &str) -> String {
        let prefix = text.trim_matches(':');
        if prefix.is_empty() {
            return "an emoji, or the beginning of its name and Tab; Esc: back".to_owned();
        }
        let names: Vec<_> =
            super::complete::emoji(prefix).into_iter().take(NAMES).map(|found| found.shown).collect();
        names.join("  ")
    }

    /// Completes the text of a short prompt by the first name that fits.
    pub(super) fn complete_prompt(&mut self) {
        let Some(prompt) = &mut self.prompt else { return };
        let text = prompt.editor.text().to_owned();
        let completed = match prompt.kind {
            PromptKind::React(_) => {
                super::complete::emoji(text.trim_matches(':')).into_iter().next().map(|found| found.text)
            }
            PromptKind::Switch => self.matching(&text).first().map(|id| self.store.title(*id)),
            PromptKind::Search => None,
        };
        if let (Some(completed), Some(prompt)) = (completed, &mut self.prompt) {
            prompt.editor.show(completed);
        }
    }

    /// Reacts by an emoji or its shortcode. A text that is neither stays in the prompt.
    pub(super) fn react_by_name(&mut self, message: MessageId, text: &str) {
        match emoji_of(text) {
            Some(emoji) => self.react(message, &emoji, false),
            None => {
                let mut editor = super::editor::Editor::default();
                editor.show(text.to_owned());
                self.prompt = Some(Prompt { kind: PromptKind::React(message), editor });
                self.problem("this is not an emoji: Tab completes the names of emoji");
            }
        }
    }
}

/// Returns the emoji of a text: an emoji, a shortcode with or without colons, or a name of
/// reactions that has no emoji.
pub(super) fn emoji_of(text: &str) -> Option<String> {
    let name = text.trim().trim_matches(':');
    if let Some(found) = emojis::get_by_shortcode(name).or_else(|| emojis::get(text.trim())) {
        return Some(found.as_str().to_owned());
    }
    // Emoji that are newer than the table of this client are decided by the server.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
    (!name.is_empty() && !name.chars().all(is_name) && !name.is_ascii()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reactions_are_emoji_or_their_names() {
        for (text, emoji) in
            [(":tada:", Some("🎉")), ("tada", Some("🎉")), ("🎉", Some("🎉")), ("+1", Some("👍"))]
        {
            assert_eq!(emoji_of(text).as_deref(), emoji, "{text}");
        }
        assert_eq!((emoji_of("nosuchemoji"), emoji_of("a b"), emoji_of("")), (None, None, None));
    }
}
