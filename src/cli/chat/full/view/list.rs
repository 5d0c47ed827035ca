//! The list of chats, with unread counts, mentions and presence.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use unicode_width::UnicodeWidthStr;

use super::style;
use super::wrap::fit;
use crate::cli::chat::full::model::Model;
use crate::cli::chat::full::store::Chat;
use crate::cli::chat::text::clean_line;
use crate::domain::chat::ChatKind;
use crate::domain::ids::ChatId;
use crate::domain::notification::NotifyLevel;
use crate::domain::presence::Shown;

/// Chats in the hotlist.
const HOTLIST: usize = 6;

enum Entry {
    Heading(&'static str),
    Chat(ChatId),
}

/// Returns the entries of the whole list.
fn entries(model: &Model) -> Vec<Entry> {
    let (mut entries, mut kind) = (Vec::new(), None);
    for id in model.store.order() {
        let Some(chat) = model.store.chats.get(&id) else { continue };
        if kind.replace(chat.kind) != Some(chat.kind) {
            entries.push(Entry::Heading(match chat.kind {
                ChatKind::Direct => "Direct",
                ChatKind::Group => "Groups",
                ChatKind::Channel => "Channels",
            }));
        }
        entries.push(Entry::Chat(id));
    }
    entries
}

/// Returns the index of the first entry on the screen: the open chat is in view.
fn first(model: &Model, entries: &[Entry], height: usize) -> usize {
    let is_open = |entry: &Entry| matches!(entry, Entry::Chat(id) if Some(*id) == model.open);
    let open = entries.iter().position(is_open).unwrap_or(0);
    open.saturating_sub(height.saturating_sub(1) / 2).min(entries.len().saturating_sub(height))
}

pub(super) fn chat_at(model: &Model, area: Rect, row: u16) -> Option<ChatId> {
    let entries = entries(model);
    let index = first(model, &entries, area.height.into()) + usize::from(row.saturating_sub(area.y));
    match entries.get(index)? {
        Entry::Chat(id) => Some(*id),
        Entry::Heading(_) => None,
    }
}

/// Returns the mark of a user's presence. Its shape has the meaning, with and without colours.
pub(super) fn presence(shown: Shown) -> &'static str {
    match shown {
        Shown::Online => "●",
        Shown::Away => "◐",
        Shown::Dnd => "⊖",
        Shown::Offline => "○",
    }
}

/// Returns the presence of the other user of a direct chat.
pub(super) fn peer_presence(model: &Model, chat: &Chat) -> Option<Shown> {
    let peer = chat.peer.as_ref().filter(|_| chat.kind == ChatKind::Direct)?;
    Some(model.store.names.id(peer).map_or(Shown::Offline, |user| model.store.people.presence(user)))
}

/// Returns a text about unread messages in entries that are not on the screen.
fn beyond(model: &Model, entries: &[Entry], arrow: char) -> Option<String> {
    let unread = |entry: &Entry| match entry {
        Entry::Chat(id) => model.store.chats.get(id).filter(|chat| chat.unread > 0).map(|chat| (*id, chat)),
        Entry::Heading(_) => None,
    };
    let chats: Vec<_> = entries.iter().filter_map(unread).collect();
    let mentions: usize = chats.iter().map(|(id, chat)| model.inbox.mentions(*id, chat.read_seq)).sum();
    let mark = if mentions > 0 { format!("@{mentions} ") } else { String::new() };
    (!chats.is_empty()).then(|| format!("{arrow} {mark}{} more", chats.len()))
}

/// Returns the numbers of chats with unread messages, for a screen without a list: those that name
/// the user first.
pub(super) fn hotlist(model: &Model) -> Option<String> {
    let unread = model.store.chats.iter().filter(|(id, chat)| {
        chat.unread > 0 && !chat.hidden && chat.notify != NotifyLevel::None && Some(**id) != model.open
    });
    let mut chats: Vec<_> = unread
        .map(|(id, chat)| {
            let number = model.store.number_of(*id).unwrap_or(0);
            (std::cmp::Reverse(model.inbox.mentions(*id, chat.read_seq)), number)
        })
        .collect();
    chats.sort_unstable();
    let more = if chats.len() > HOTLIST { "…" } else { "" };
    let numbers = chats.iter().take(HOTLIST).map(|(mentions, number)| match mentions.0 {
        0 => number.to_string(),
        _ => format!("{number}@"),
    });
    (!chats.is_empty()).then(|| format!("unread: {}{more}", numbers.collect::<Vec<_>>().join(" ")))
}

fn entry(model: &Model, id: ChatId, digits: usize, width: usize) -> Line<'static> {
    let Some(chat) = model.store.chats.get(&id) else { return Line::default() };
    let mark = match (chat.kind, peer_presence(model, chat)) {
        (_, Some(shown)) => presence(shown),
        (ChatKind::Channel, _) => "#",
        _ => "·",
    };
    let mentions = model.inbox.mentions(id, chat.read_seq);
    let count = match (chat.unread, mentions) {
        (unread, _) if unread <= 0 => String::new(),
        (unread, 0) => format!(" {unread}"),
        (unread, mentions) => format!(" @{mentions} {unread}"),
    };
    let draft = if model.drafts.get(&id).is_some_and(|draft| !draft.text.is_empty()) { "✎" } else { "" };
    let title = clean_line(&model.store.title(id));
    let title = title.strip_prefix('@').unwrap_or(&title);
    let room = width.saturating_sub(digits + 2 + count.width() + draft.width());
    let number = model.store.number_of(id).map_or_else(String::new, |number| number.to_string());
    let text = format!("{number:>digits$}{mark} {}{draft}", fit(title, room));
    let is_quiet = chat.notify == NotifyLevel::None || chat.archived;
    let look = match (chat.unread > 0, is_quiet) {
        (_, true) => style::DIM,
        (true, false) => style::BOLD,
        (false, false) => ratatui::style::Style::new(),
    };
    let look = if model.open == Some(id) { look.patch(style::REVERSE) } else { look };
    let count_look = if mentions > 0 { style::own_mention(model) } else { style::BOLD };
    Line::from(vec![Span::styled(text, look), Span::styled(count, count_look)])
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.width == 0 {
        return;
    }
    let (entries, width) = (entries(model), usize::from(area.width.saturating_sub(1)));
    let first = first(model, &entries, area.height.into());
    let height = usize::from(area.height);
    let digits = if model.store.numbers.len() > 9 { 2 } else { 1 };
    let lines = entries.iter().skip(first).take(height).map(|shown| match shown {
        Entry::Heading(text) => Line::styled(fit(text, width), style::DIM),
        Entry::Chat(id) => entry(model, *id, digits, width),
    });
    let mut lines: Vec<_> = lines.collect();
    // Unread chats beyond the edges.
    let above = entries.get(..first).unwrap_or_default();
    let below = entries.get(first + height..).unwrap_or_default();
    if let (Some(text), Some(line)) = (beyond(model, above, '↑'), lines.first_mut()) {
        *line = Line::styled(fit(&text, width), style::BOLD);
    }
    if let (Some(text), Some(line)) = (beyond(model, below, '↓'), lines.last_mut()) {
        *line = Line::styled(fit(&text, width), style::BOLD);
    }
    let border = Block::new().borders(Borders::RIGHT).border_style(style::DIM);
    frame.render_widget(Paragraph::new(lines).block(border), area);
}
