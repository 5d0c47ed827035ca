//! The panes that replace the history: a thread, the notifications, messages that were found, the
//! help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::body::{self, Look};
use super::style;
use super::wrap::{cut, cut_pieces};
use crate::cli::chat::full::inbox::Loading;
use crate::cli::chat::full::model::{Focus, Model};
use crate::cli::chat::full::sending::State;
use crate::cli::chat::full::thread::Thread;
use crate::cli::chat::hits;
use crate::cli::chat::text::clean_line;
use crate::domain::timestamp::Timestamp;

/// Width below which notifications have no date and no kind.
const NARROW: usize = 70;
/// Characters before the first match in the line of a message that was found.
const BEFORE_MATCH: usize = 20;

pub(super) fn draw_thread(model: &Model, thread: &Thread, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = Vec::new();
    let above = match (thread.is_loading, thread.has_more) {
        (true, _) if thread.messages.is_empty() || thread.has_more => "Loading…",
        (_, true) if thread.can_load_older() => "Older messages: Up or PageUp",
        (_, true) => "Older messages are in the chat.",
        (_, false) if thread.messages.is_empty() => "The messages are not loaded.",
        (_, false) => "",
    };
    if !above.is_empty() {
        lines.push(Line::styled(cut(above, width), style::DIM));
    }
    // The last line that must be on the screen: of the selected message, or the newest one.
    let mut end = None;
    for (index, message) in thread.messages.iter().enumerate() {
        let selected = model.focus == Focus::Navigate && index == thread.selected;
        lines.extend(body::lines(model, message, None, Look { width, selected, follows: false }));
        if selected {
            end = Some(lines.len());
        }
        if end.is_some() && lines.len() >= height {
            break;
        }
    }
    if model.focus == Focus::Compose {
        let own = model.sending.of_chat(thread.chat).into_iter();
        let own = own.filter(|(unsent, _)| unsent.reply_to == Some(thread.root));
        lines.extend(own.map(|(unsent, state)| {
            let content = clean_line(&unsent.content);
            let (text, look) = match state {
                State::Sending => (format!("  … {content}"), style::DIM),
                State::Kept(_) => (format!("  ✓ {content}"), style::DIM),
                State::Failed(reason) => {
                    let reason = clean_line(&reason);
                    (format!("  ✗ {content} ({reason}): /retry or /discard"), style::problem(model))
                }
            };
            Line::styled(cut(&text, width), look)
        }));
    }
    let above = end.unwrap_or(lines.len()).saturating_sub(height);
    lines.drain(..above);
    lines.truncate(height);
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn draw_inbox(model: &Model, selected: usize, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let first = (selected + 1).saturating_sub(height);
    let today = model.config.date(Timestamp::now());
    let shown = model.inbox.newest_first().enumerate().skip(first).take(height);
    let mut lines: Vec<_> = shown
        .map(|(index, item)| {
            let is_unread = item.read_at.is_none();
            let chat =
                item.chat_id.map_or_else(String::new, |chat| format!(" [{}]", model.store.title(chat)));
            let mark = if is_unread { "●" } else { " " };
            let (time, date) = (model.config.clock(item.created_at), model.config.date(item.created_at));
            let date = if date == today { String::new() } else { format!("{date} ") };
            let quote = item.message_id.and_then(|id| model.inbox.excerpt(id));
            let quote = quote.map_or_else(String::new, |quote| format!(": {quote}"));
            let text = if width < NARROW {
                format!("{mark} {time}{chat} {}{quote}", item.text)
            } else {
                format!("{mark} {date}{time} {:<8}{chat} {}{quote}", item.kind.as_str(), item.text)
            };
            let look = if is_unread { style::BOLD } else { style::DIM };
            let look = if index == selected { look.patch(style::REVERSE) } else { look };
            Line::styled(cut(&clean_line(&text), width), look)
        })
        .collect();
    match &model.inbox.loading {
        Loading::Failed(reason) => {
            let text = format!("The notifications cannot be read (F2: try again): {reason}");
            lines.insert(0, Line::styled(cut(&clean_line(&text), width), style::problem(model)));
        }
        Loading::Running if lines.is_empty() => lines.push(Line::styled(cut("Loading…", width), style::DIM)),
        Loading::Done if lines.is_empty() => {
            lines.push(Line::styled(cut("No notifications.", width), style::DIM));
        }
        _ => {}
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Draws the texts that were not sent, each with its chat and the reason.
pub(super) fn draw_failed(model: &Model, selected: usize, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let selected = selected.min(model.sending.failed().saturating_sub(1));
    let first = (selected + 1).saturating_sub(height);
    let shown = model.sending.failures().enumerate().skip(first).take(height);
    let mut lines: Vec<_> = shown
        .map(|(index, (unsent, reason))| {
            let time = model.config.clock(unsent.created_at);
            let chat = model.store.title(unsent.chat);
            let content = clean_line(&unsent.content);
            let text = format!("✗ {time} [{chat}] {content} ({reason})");
            let look = if index == selected { style::REVERSE } else { Style::new() };
            Line::styled(cut(&clean_line(&text), width), look)
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::styled(cut("Every message was sent.", width), style::DIM));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Draws the messages that were found, each with its number, its chat and its matches.
pub(super) fn draw_found(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let list = &model.found;
    let first = (list.selected + 1).saturating_sub(height);
    let today = model.config.date(Timestamp::now());
    let shown = list.hits.iter().enumerate().skip(first).take(height);
    let mut lines: Vec<_> = shown
        .map(|(index, hit)| {
            let (time, date) = (model.config.clock(hit.created_at), model.config.date(hit.created_at));
            let date = if date == today || width < NARROW { String::new() } else { format!("{date} ") };
            let (number, chat) = (index + 1, hits::place(&hit.chat));
            let head = format!("{number:>3} {date}{time} [{chat}] {}: ", hit.sender);
            let look = if index == list.selected { style::REVERSE } else { Style::new() };
            let parts = hits::parts(hit, BEFORE_MATCH).into_iter();
            let parts =
                parts.map(|(text, is_match)| (text, if is_match { look.patch(style::BOLD) } else { look }));
            let pieces: Vec<_> = std::iter::once((clean_line(&head), look)).chain(parts).collect();
            cut_pieces(&pieces, width)
        })
        .collect();
    let others = list.others.iter().take(height.saturating_sub(lines.len()));
    lines.extend(others.map(|line| Line::raw(cut(line, width))));
    let note = match &list.loading {
        Loading::Failed(reason) => {
            let text = format!("The search failed: {reason}");
            lines.insert(0, Line::styled(cut(&clean_line(&text), width), style::problem(model)));
            ""
        }
        Loading::Running => "Loading…",
        Loading::Done if list.is_incomplete && !list.has_more() => {
            "The server did not search everything yet: some results may be missing."
        }
        Loading::Done if lines.is_empty() => "No message is found.",
        Loading::Done => "",
    };
    if !note.is_empty() {
        lines.push(Line::styled(cut(note, width), style::DIM));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn draw_help(top: usize, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let lines = super::help_lines(width).into_iter().skip(top).take(height);
    let lines: Vec<_> = lines.map(|line| Line::raw(cut(&line, width))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}
