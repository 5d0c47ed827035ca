//! The history of the open chat: rows from the anchor upwards, so the cost of a drawing does not
//! depend on the size of the history.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::body::{self, Look};
use super::style;
use super::wrap::{cut, wrap};
use crate::cli::chat::full::history::Row;
use crate::cli::chat::full::model::Model;
use crate::cli::chat::full::store::Chat;
use crate::cli::chat::outgoing::Unsent;
use crate::cli::chat::sentence::sentence;
use crate::cli::chat::text::clean_line;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::protocol::view::EventData;

/// Messages of one sender within this time share a name.
const TOGETHER_MS: i64 = 5 * 60_000;
/// Commits of a push that are listed.
const COMMITS: usize = 5;

/// Returns the number of lines of a row of the open chat.
pub(in crate::cli::chat::full) fn row_height(model: &Model, index: usize) -> usize {
    let width = super::areas(model).main.width;
    model.open_state().map_or(0, |chat| row(model, chat, index, width.into(), false).len())
}

/// Returns the lines of a row, with the day and the New line above it. The row at the top of the
/// screen has the name of its sender in any case.
fn row(model: &Model, chat: &Chat, index: usize, width: usize, is_top: bool) -> Vec<Line<'static>> {
    let Some(row) = chat.history.get(index) else { return Vec::new() };
    let before = index.checked_sub(1).and_then(|before| chat.history.get(before));
    let mut lines = Vec::new();
    if before.is_none() && chat.history.is_at_start() {
        lines.push(rule("beginning of the chat", width, style::DIM));
    }
    let day = model.config.date(row.at());
    let is_new_day = before.is_none_or(|before| model.config.date(before.at()) != day);
    if is_new_day {
        lines.push(rule(&day, width, style::DIM));
    }
    let is_first_new = |row: &Row| model.new_after.is_some_and(|read| row.seq() > read);
    let is_new =
        is_first_new(row) && before.map_or(chat.history.is_at_start(), |before| !is_first_new(before));
    if is_new {
        lines.push(rule("New", width, style::new_line(model)));
    }
    match row {
        Row::Message(message) => {
            let selected = model.selected == Some(message.seq);
            let earlier = before.and_then(Row::message);
            let follows = !is_top
                && !is_new_day
                && !is_new
                && earlier.is_some_and(|earlier| belongs_to(message, earlier));
            lines.extend(body::lines(model, message, None, Look { width, selected, follows }));
        }
        Row::Change(event) => lines.extend(change(model, event, width)),
    }
    lines
}

fn belongs_to(message: &Message, earlier: &Message) -> bool {
    let pause = message.created_at.0 - earlier.created_at.0;
    message.sender_id == earlier.sender_id && (0..TOGETHER_MS).contains(&pause)
}

/// Returns a horizontal line with a text in its middle.
pub(super) fn rule(text: &str, width: usize, look: ratatui::style::Style) -> Line<'static> {
    let text = cut(&format!(" {text} "), width);
    let rest = width.saturating_sub(text.width());
    let (left, right) = ("─".repeat(rest / 2), "─".repeat(rest - rest / 2));
    Line::styled(format!("{left}{text}{right}"), look)
}

/// Returns the lines of an event that is not a message.
fn change(model: &Model, event: &EventData, width: usize) -> Vec<Line<'static>> {
    let name = |user| model.store.names.of(user);
    if event.kind == "push" {
        let actor = event.actor_id.map_or_else(|| "a user".to_owned(), name);
        return push(model, event, &actor, width);
    }
    let text = sentence(event, name).unwrap_or_default();
    let time = event.created_at.map_or_else(String::new, |at| model.config.clock(at));
    wrap(&[(format!(" {time} * {}", clean_line(&text)), style::DIM)], width)
}

fn push(model: &Model, event: &EventData, actor: &str, width: usize) -> Vec<Line<'static>> {
    let Some(push) = &event.push else { return Vec::new() };
    let time = event.created_at.map_or_else(String::new, |at| model.config.clock(at));
    let headline = format!(" {time} ⇪ {} {}", clean_line(actor), clean_line(&push.headline()));
    let mut lines = wrap(&[(headline, style::BOLD)], width);
    for commit in push.commits.iter().take(COMMITS) {
        let oid = commit.oid.get(..8).unwrap_or(&commit.oid);
        let text = format!("         {} {}", clean_line(oid), clean_line(&commit.summary));
        lines.push(Line::styled(cut(&text, width), style::DIM));
    }
    let more = push.commit_count.saturating_sub(push.commits.len().min(COMMITS));
    if more > 0 {
        lines.push(Line::styled(format!("         and {more} more"), style::DIM));
    }
    lines
}

/// Returns the lines of the user's own messages that are not in the history yet.
fn own(model: &Model, chat: &Chat, width: usize) -> Vec<Line<'static>> {
    let Some(id) = model.open else { return Vec::new() };
    let mut lines = Vec::new();
    let mut earlier = chat.history.rows().back().and_then(Row::message).cloned();
    for (unsent, state) in model.sending.of_chat(id) {
        let message = provisional(model, unsent);
        let follows = earlier.as_ref().is_some_and(|earlier| belongs_to(&message, earlier));
        lines.extend(body::lines(model, &message, Some(&state), Look { width, selected: false, follows }));
        earlier = Some(message);
    }
    lines
}

/// Returns an own message as it will be in the history.
fn provisional(model: &Model, unsent: &Unsent) -> Message {
    Message {
        id: MessageId(0),
        chat_id: unsent.chat,
        seq: 0,
        sender_id: model.store.me,
        client_id: unsent.client_id,
        content: unsent.content.clone(),
        reply_to: unsent.reply_to,
        metadata: None,
        created_at: unsent.created_at,
        edited_at: None,
        deleted: false,
        pinned: false,
        reactions: Vec::new(),
        thread_id: None,
        updated_seq: None,
        ordinal: 0,
    }
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let lines = match model.open_state() {
        Some(chat) => visible(model, chat, width, height),
        None => vec![Line::styled(cut("No chat is open. F1: help", width), style::DIM)],
    };
    // The newest line is at the bottom.
    let missing = u16::try_from(height.saturating_sub(lines.len())).unwrap_or(0);
    let place = Rect { y: area.y + missing, height: area.height.saturating_sub(missing), ..area };
    frame.render_widget(Paragraph::new(lines), place);
}

/// Returns the lines on the screen, at most `height`.
fn visible(model: &Model, chat: &Chat, width: usize, height: usize) -> Vec<Line<'static>> {
    let history = &chat.history;
    if !history.is_loaded() {
        let state =
            if model.is_online() { "Loading…" } else { "The history is loaded after the reconnect." };
        let mut lines = vec![Line::styled(cut(state, width), style::DIM)];
        lines.extend(own(model, chat, width));
        return last(lines, height);
    }
    let (mut index, mut lines) = match model.anchor {
        Some((seq, skip)) => {
            let Some(index) = history.index_at(seq) else { return Vec::new() };
            let mut lines = row(model, chat, index, width, false);
            lines.truncate(lines.len().saturating_sub(skip));
            (index, lines)
        }
        None => (history.rows().len(), own(model, chat, width)),
    };
    while lines.len() < height && index > 0 {
        index -= 1;
        let mut above = row(model, chat, index, width, false);
        if above.len() + lines.len() >= height {
            above = row(model, chat, index, width, true);
        }
        above.append(&mut lines);
        lines = above;
    }
    if lines.len() < height && index == 0 && !history.is_at_start() {
        lines.insert(0, rule("loading older messages…", width, style::DIM));
    }
    last(lines, height)
}

fn last(mut lines: Vec<Line<'static>>, height: usize) -> Vec<Line<'static>> {
    let surplus = lines.len().saturating_sub(height);
    lines.drain(..surplus);
    lines
}
