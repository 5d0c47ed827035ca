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
use crate::domain::chat::ChatKind;
use crate::domain::ids::{MessageId, Seq};
use crate::domain::message::Message;
use crate::domain::metadata::Value;
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

/// Returns the message at a row of the screen.
pub(super) fn message_at(model: &Model, area: Rect, row: u16) -> Option<Seq> {
    let (chat, width) = (model.open_state()?, usize::from(area.width));
    let mut below = usize::from((area.y + area.height).checked_sub(row + 1)?);
    let (mut index, mut hidden) = match model.anchor {
        Some((seq, skip)) => (chat.history.index_at(seq)?, skip),
        None => {
            below = below.checked_sub(own(model, chat, width).len())?;
            (chat.history.rows().len().checked_sub(1)?, 0)
        }
    };
    loop {
        let lines = row_height(model, index).saturating_sub(std::mem::take(&mut hidden));
        if below < lines {
            return chat.history.get(index)?.message().map(|message| message.seq);
        }
        below -= lines;
        index = index.checked_sub(1)?;
    }
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
    let is_new = begins_news(model, chat, index);
    if is_new {
        lines.push(rule("New", width, style::new_line(model)));
    }
    match row {
        Row::Message(message) => {
            let announced = before.and_then(|before| announced(before, message)).is_some();
            let message = if announced { &with_address(model, message) } else { message };
            let selected = model.selected == Some(message.seq);
            let earlier = before.and_then(Row::message);
            let follows = !is_top
                && !is_new_day
                && !is_new
                && earlier.is_some_and(|earlier| belongs_to(message, earlier));
            lines.extend(body::lines(model, message, None, Look { width, selected, follows }));
        }
        // The message about a push shows the push.
        Row::Change(_) if next_announces(chat, index) => {}
        // The users of a direct chat are known.
        Row::Change(event) if chat.kind == ChatKind::Direct && event.kind == "join" => {}
        Row::Change(event) => lines.extend(change(model, event, width)),
    }
    lines
}

/// Returns whether the New line stands above a row: the first unread message of another user. Own
/// messages and events are never new.
fn begins_news(model: &Model, chat: &Chat, index: usize) -> bool {
    let Some(read) = model.new_after else { return false };
    let rows = chat.history.rows();
    let is_news = rows.get(index).is_some_and(|row| model.is_news(row));
    let mut earlier = rows.range(..index).rev().take_while(|row| row.seq() > read);
    is_news && chat.history.from() <= read && !earlier.any(|row| model.is_news(row))
}

fn belongs_to(message: &Message, earlier: &Message) -> bool {
    let pause = message.created_at.0 - earlier.created_at.0;
    message.sender_id == earlier.sender_id && (0..TOGETHER_MS).contains(&pause)
}

/// Returns the push that a message announces. Any user can write such metadata: the push must be
/// the event before the message, of the same user.
fn announced<'a>(before: &'a Row, message: &Message) -> Option<&'a EventData> {
    let Row::Change(event) = before else { return None };
    let seq = match message.metadata.as_ref()?.get("push_seq")? {
        Value::Integer(seq) => *seq,
        _ => return None,
    };
    let is_push = event.kind == "push" && event.actor_id == Some(message.sender_id);
    (is_push && !message.deleted && event.seq == seq && seq == message.seq - 1).then_some(event)
}

fn next_announces(chat: &Chat, index: usize) -> bool {
    let next = chat.history.get(index + 1).and_then(Row::message);
    let row = chat.history.get(index);
    row.zip(next).is_some_and(|(row, message)| announced(row, message).is_some())
}

/// Returns the message about a push with a mark, and with the whole address of its page.
fn with_address(model: &Model, message: &Message) -> Message {
    let mut message = message.clone();
    if let Some((text, path)) = message.content.rsplit_once('\n')
        && path.starts_with('/')
    {
        message.content = format!("{text}\n{}{path}", model.server.trim_end_matches('/'));
    }
    message.content.insert_str(0, "⇪ ");
    message
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
        files: Vec::new(),
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
