//! The last lines of the channel of a project, beside its repositories.

use crate::domain::access::Credential;
use crate::domain::ids::ChatId;
use crate::services::Services;
use crate::services::chat_start::NewestEvents;
use crate::web::shown::Moment;

/// Messages in the list.
const LINES_SHOWN: usize = 5;
/// Characters of a message in the list.
const LINE_CHARS: usize = 160;

/// A message in one line.
pub(super) struct ChannelLine {
    /// The address of the message in the chat program.
    pub(super) href: String,
    pub(super) sender: String,
    /// Escaped by the template, as all texts are.
    pub(super) text: String,
    pub(super) at: Moment,
}

/// Returns the newest lines, in ascending order. A visitor who may not read the channel, or a
/// server that is too busy, yields none: they are a part of a page only.
pub(super) async fn channel_lines(services: &Services, who: Credential, channel: ChatId) -> Vec<ChannelLine> {
    match services.newest_events(who, channel, LINES_SHOWN, true).await {
        Ok(Some(newest)) => lines_of(&newest),
        Ok(None) => Vec::new(),
        Err(error) => {
            error.log_causes();
            Vec::new()
        }
    }
}

fn lines_of(newest: &NewestEvents) -> Vec<ChannelLine> {
    let messages = newest.page.events.iter().filter_map(|event| event.message());
    let shown = messages.filter(|message| !message.deleted);
    let line = shown.map(|message| ChannelLine {
        href: format!("/chat/{}/{}", message.chat_id, message.seq),
        sender: newest.user(message.sender_id).map(|user| user.display_name.clone()).unwrap_or_default(),
        text: one_line(&message.content),
        at: Moment::of(message.created_at),
    });
    line.collect()
}

/// Returns the beginning of a text with single spaces.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * LINE_CHARS {
            break;
        }
    }
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_one_line_of_limited_length() {
        assert_eq!(one_line(" a\n\n  b\tc "), "a b c");
        let long = one_line(&"ä".repeat(10_000));
        assert_eq!(long.chars().count(), LINE_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(one_line(&"x ".repeat(LINE_CHARS * 3)).chars().count(), LINE_CHARS + 1);
    }
}
