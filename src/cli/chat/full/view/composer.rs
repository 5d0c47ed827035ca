//! The title above the history, and below it the state line and the prompt.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tokio::time::Instant;
use unicode_width::UnicodeWidthStr;

use super::list::{hotlist, peer_presence, presence};
use super::style;
use super::wrap::{cut, fit};
use crate::cli::chat::full::draft::Purpose;
use crate::cli::chat::full::history::Row;
use crate::cli::chat::full::model::{Connection, Focus, Model, Pane, PromptKind, Question};
use crate::cli::chat::text::{clean_line, shorten};
use crate::core::plural::plural;
use crate::domain::chat::ChatKind;
use crate::domain::message::CONTENT_BYTES_MAX;
use crate::domain::presence::Shown;

/// Names of users who type.
const TYPING_NAMES: usize = 3;
/// Size of a text from which its bytes are counted.
const COUNT_FROM: usize = 15 * 1024;
/// Size of a text whose rows are not counted.
const LARGE_BYTES: usize = 8 * 1024;
/// Candidates of a completion that are shown.
const CANDIDATES: usize = 12;
/// Characters of the message that a reply refers to.
const QUOTE_CHARACTERS: usize = 40;

/// Time without an answer that is shown.
const SILENT: std::time::Duration = std::time::Duration::from_secs(10);

/// Returns the text before the prompt: the name of the open chat.
fn label(model: &Model, width: u16) -> String {
    let room = usize::from(width / 3).max(3);
    let name = match (&model.prompt, model.open) {
        (Some(prompt), _) => match prompt.kind {
            PromptKind::Search => "search".to_owned(),
            PromptKind::React(_) => "emoji".to_owned(),
            PromptKind::Switch => "go to".to_owned(),
        },
        (None, _) if model.focus == Focus::Navigate && has_selection(model) => "select".to_owned(),
        (None, Some(id)) => {
            let title = clean_line(&model.store.title(id));
            let is_channel = model.store.chats.get(&id).is_some_and(|chat| chat.kind == ChatKind::Channel);
            let title = if is_channel { format!("#{title}") } else { title };
            if matches!(model.pane, Pane::Thread(_)) { format!("{title} ▸ thread") } else { title }
        }
        (None, None) => "no chat".to_owned(),
    };
    format!("{}> ", cut(&name, room.saturating_sub(2)))
}

/// Returns whether letters act on a selected message.
fn has_selection(model: &Model) -> bool {
    matches!(model.pane, Pane::Chat | Pane::Thread(_))
}

pub(super) fn text_width(model: &Model, width: u16) -> usize {
    usize::from(width).saturating_sub(label(model, width).width())
}

/// Returns the number of rows that the prompt needs.
pub(super) fn rows(model: &Model, width: u16) -> usize {
    match &model.prompt {
        Some(_) => 1,
        // Such a text fills the prompt at any width, and its layout would take long.
        None if model.editor.text().len() > LARGE_BYTES => usize::MAX,
        None => model.editor.layout(text_width(model, width)).rows.len(),
    }
}

pub(super) fn draw_title(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let title = match (&model.pane, model.open) {
        (Pane::Help(top), _) => {
            let (columns, height) = super::timeline_size(model);
            let lines = super::help_lines(columns).len();
            let (page, pages) = ((top + height).div_ceil(height.max(1)), lines.div_ceil(height.max(1)));
            format!("Help, page {page} of {pages} (PageDown: next, Esc: back)")
        }
        (Pane::Inbox(_), _) => {
            format!("Notifications, {} unread (Enter: open, e: read, E: all read)", model.inbox.unread())
        }
        (Pane::Failed(_), _) => {
            format!("Not sent: {} (Enter: copy into the prompt, Delete: remove)", model.sending.failed())
        }
        (Pane::Found, _) => {
            let (found, more) = (&model.found, if model.found.has_more() { " and more" } else { "" });
            let query = clean_line(&found.query);
            format!("Found for \"{query}\": {}{more} (Enter: open, Esc: back)", found.hits.len())
        }
        (Pane::Thread(thread), _) => {
            format!("Thread in {} (Esc: back)", clean_line(&model.store.title(thread.chat)))
        }
        (Pane::Chat, Some(id)) => {
            let mut title = clean_line(&model.store.title(id));
            if let Some(chat) = model.store.chats.get(&id) {
                if let Some(shown) = peer_presence(model, chat) {
                    title = format!("{} {title}", presence(shown));
                }
                if !chat.is_open() {
                    title.push_str(if chat.archived { " (archived)" } else { " (deactivated user)" });
                }
            }
            title
        }
        (Pane::Chat, None) => format!("NetBit at {}, as {}", model.server, clean_line(&model.username)),
    };
    let (news, rest) = right_of_title(model);
    // The title needs its own columns; the rest is for what stands at the right.
    let least = (width / 2).max(width.saturating_sub(title.width() + 4));
    let news = cut(&news, least);
    let rest = cut(&rest, least.saturating_sub(news.width()));
    let room = width.saturating_sub(news.width() + rest.width() + 1);
    let line = Line::from(vec![
        Span::styled(fit(&format!(" {title}"), room), style::REVERSE),
        Span::styled(news, style::own_mention(model)),
        Span::styled(format!("{rest} "), style::REVERSE),
    ]);
    frame.render_widget(line, area);
}

/// Returns the texts at the right: messages below the screen, and the rest.
fn right_of_title(model: &Model) -> (String, String) {
    let (mut news, mut parts) = (String::new(), Vec::new());
    if model.scroll_rest != 0 {
        parts.push("Loading…".to_owned());
    }
    if let (Some((seq, _)), Some(chat), Pane::Chat) = (model.anchor, model.open_state(), &model.pane) {
        let history = &chat.history;
        if let Some(row) = history.index_at(seq).and_then(|index| history.get(index)).map(Row::at) {
            news = match model.news_below() {
                (0, _) => String::new(),
                (count, 0) => format!(" ↓ {count} new "),
                (count, mentions) => format!(" ↓ {count} new, {mentions} @you "),
            };
            parts.push(format!("↓ Ctrl-End · {}", model.config.date(row)));
        }
    }
    match model.store.people.presence(model.store.me) {
        shown @ (Shown::Away | Shown::Dnd) => parts.push(format!("{} {}", presence(shown), model.username)),
        Shown::Online | Shown::Offline => {}
    }
    if model.inbox.unread() > 0 && !matches!(model.pane, Pane::Inbox(_)) {
        parts.push(format!("F2: {}", plural(model.inbox.unread(), "notification", "notifications")));
    }
    (news, format!(" {}", parts.join(" · ")))
}

pub(super) fn draw_report(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let lines: Vec<_> = model.report.iter().map(|line| Line::raw(cut(&clean_line(line), width))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn draw_state(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let (left, look) = state(model);
    let (right, right_look) = connection(model);
    // A question or an error is more important than the connection.
    let is_important = model.question.is_some() || model.note.is_some();
    let right = cut(&right, if is_important { width / 3 } else { width });
    let room = width.saturating_sub(right.width() + 1);
    let gap = if right.is_empty() { "" } else { " " };
    let line = Line::from(vec![
        Span::styled(fit(&clean_line(&left), room), look),
        Span::raw(gap),
        Span::styled(right, right_look),
    ]);
    frame.render_widget(line, area);
}

/// Returns the most important text about what the user does.
fn state(model: &Model) -> (String, Style) {
    if let Some(question) = &model.question {
        let text = match question {
            Question::Delete(..) => "Delete this message? y/n".to_owned(),
            Question::Pin { remove: false, .. } => "Pin this message for all? y/n".to_owned(),
            Question::Pin { remove: true, .. } => "Remove the pin of this message? y/n".to_owned(),
            Question::Unread(..) => "Mark as unread from here on, and close the chat? y/n".to_owned(),
            Question::Split(count) => format!("Above 16 KiB: send as {count} messages? y/n"),
            Question::Leave(chat) => format!("Leave {}? y/n", model.store.title(*chat)),
            Question::Twin { name, .. } => format!("A chat called {name} exists. Create another? y/n"),
            Question::Quit => "Quit? y/n".to_owned(),
        };
        return (text, style::BOLD);
    }
    if let Some(prompt) = &model.prompt {
        let text = match prompt.kind {
            PromptKind::Search => "Enter: search; Esc: back".to_owned(),
            PromptKind::React(_) => model.emoji_names(prompt.editor.text()),
            PromptKind::Switch => model.switch_names(prompt.editor.text()),
        };
        let note = model.note.as_ref().map(|note| (note.text.clone(), style::problem(model)));
        return note.unwrap_or((text, style::DIM));
    }
    if let Some(completion) = &model.completion {
        let shown =
            completion.candidates.iter().enumerate().skip(completion.chosen.saturating_sub(CANDIDATES / 2));
        let names = shown.take(CANDIDATES).map(|(index, candidate)| match index == completion.chosen {
            true => format!("[{}]", candidate.shown),
            false => candidate.shown.clone(),
        });
        return (names.collect::<Vec<_>>().join(" "), Style::new());
    }
    if let Some(note) = &model.note {
        return (note.text.clone(), if note.is_problem { style::problem(model) } else { Style::new() });
    }
    if !model.ahead.is_empty() {
        let what = model.busy.clone().unwrap_or_else(|| "waiting for the list of chats".to_owned());
        let keys = plural(model.ahead.len(), "key", "keys");
        return (format!("{what}… {keys} typed ahead (Ctrl-C: back into the prompt)"), style::BOLD);
    }
    if let Some(busy) = &model.busy {
        return (format!("{busy}…"), style::BOLD);
    }
    match model.purpose {
        Purpose::Edit(_) => {
            let text = format!("editing your message (Esc: leave it as it was){}", beneath(model));
            return (text, style::BOLD);
        }
        Purpose::Reply(id) => {
            let found = model.open_state().and_then(|chat| chat.history.message(id));
            let quoted = found.map_or_else(String::new, |message| {
                let name = model.store.names.of(message.sender_id);
                format!(" to {name}: {}", shorten(&clean_line(&message.content), QUOTE_CHARACTERS))
            });
            return (format!("reply{quoted} (Esc: no reply)"), style::BOLD);
        }
        Purpose::Message => {}
    }
    if model.focus == Focus::Compose && !model.beneath.is_empty() {
        return (beneath(model).trim_start_matches([';', ' ']).to_owned(), style::DIM);
    }
    if model.focus == Focus::Navigate {
        let keys = "r reply  t thread  e edit  + react  y copy  d delete  p pin  u unread  / n N search  ? help  Esc back";
        return (keys.to_owned(), style::DIM);
    }
    let size = model.editor.text().len();
    if size > COUNT_FROM {
        return (format!("{size} of {CONTENT_BYTES_MAX} bytes"), style::BOLD);
    }
    (typing(model), style::DIM)
}

/// Returns the number of texts that return to the prompt after the present one.
fn beneath(model: &Model) -> String {
    match model.beneath.len() {
        0 => String::new(),
        count => format!("; {} afterwards", plural(count, "text returns", "texts return")),
    }
}

fn typing(model: &Model) -> String {
    let Some(chat) = model.open else { return String::new() };
    let users = model.store.people.typing(chat, Instant::now());
    let names: Vec<_> = users.iter().take(TYPING_NAMES).map(|user| model.store.names.of(*user)).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!("{name} is typing…"),
        _ => format!("{} are typing…", names.join(", ")),
    }
}

/// Returns the state of the connection and of the user's messages.
fn connection(model: &Model) -> (String, Style) {
    let mut parts = Vec::new();
    if model.widths.list == 0 {
        parts.extend(hotlist(model));
    }
    if let Some(attaching) = &model.attaching {
        parts.push(format!("{} (Esc: cancel)", attaching.progress()));
    }
    if model.sending.failed() > 0 {
        parts.push(format!("✗ {} failed (/failed)", model.sending.failed()));
    }
    if model.sending.waiting() > 0 {
        parts.push(format!("… {} sending", model.sending.waiting()));
    }
    let silent = model.silent_since.map(|since| since.elapsed()).filter(|silent| *silent >= SILENT);
    if let Some(silent) = silent {
        parts.push(format!("no answer for {} s", silent.as_secs()));
    }
    match &model.connection {
        Connection::Online => {}
        Connection::Connecting => parts.push("connecting…".to_owned()),
        Connection::Waiting { until, reason } => {
            let seconds = until.saturating_duration_since(Instant::now()).as_secs() + 1;
            let reason = shorten(reason, QUOTE_CHARACTERS);
            parts.push(format!("not connected, again in {seconds} s (Ctrl-R: now): {reason}"));
        }
    }
    let look =
        if model.is_online() && model.sending.failed() == 0 { style::DIM } else { style::problem(model) };
    (parts.join(" · "), look)
}

/// Draws the prompt, and returns the place of the cursor.
pub(super) fn draw_prompt(model: &Model, frame: &mut Frame<'_>, area: Rect) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    let label = label(model, area.width);
    let (indent, width) = (label.width(), text_width(model, area.width));
    let layout = match &model.prompt {
        Some(prompt) => prompt.editor.layout(width.max(2)),
        None => model.editor.layout(width),
    };
    let (column, row) = layout.cursor;
    let height = usize::from(area.height);
    let first = (row + 1).saturating_sub(height);
    let rows = layout.rows.iter().enumerate().skip(first).take(height).map(|(index, text)| {
        let label = if index == 0 { label.clone() } else { " ".repeat(indent) };
        Line::from(vec![Span::styled(label, style::BOLD), Span::raw(text.clone())])
    });
    frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()), area);
    let x = area.x.saturating_add(u16::try_from(indent + column).unwrap_or(u16::MAX));
    let y = area.y.saturating_add(u16::try_from(row - first).unwrap_or(0));
    let has_cursor = model.focus == Focus::Compose || model.prompt.is_some();
    Some(Position { x, y }).filter(|place| has_cursor && area.contains(*place))
}
