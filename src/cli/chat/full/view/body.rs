//! The text of a message as lines: time, name and content, with everything that belongs to it.
//!
//! Invariant: every text of the server is cleaned here before it becomes a span.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use super::wrap::{Piece, cut, fit, wrap};
use crate::cli::chat::files::with_files;
use crate::cli::chat::full::model::{Model, Pane};
use crate::cli::chat::full::sending::State;
use crate::cli::chat::text::{clean, clean_line, shorten};
use crate::core::plural::plural;
use crate::domain::ids::MessageId;
use crate::domain::mention::Mentions;
use crate::domain::message::{Message, Reaction};

/// Characters of the message that a reply quotes.
const QUOTE_CHARACTERS: usize = 60;
/// Names in a reaction; further users are counted.
const REACTION_NAMES: usize = 3;
/// Lines of a message that are shown; a thread of 16 KiB of line feeds would fill the screen.
const LINES_MAX: usize = 400;

/// How a message is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) selected: bool,
    /// The message follows another one of the same sender.
    pub(super) follows: bool,
}

/// Columns of the parts of a row.
struct Columns {
    time: usize,
    name: usize,
    text: usize,
}

fn columns(model: &Model, width: usize) -> Columns {
    let time = model.config.clock(crate::domain::timestamp::Timestamp(0)).width();
    let name = model.widths.name;
    Columns { time, name, text: width.saturating_sub(1 + time + 1 + name + 3).max(4) }
}

/// Returns the lines of a message. `state` is absent for messages of the history.
pub(super) fn lines(
    model: &Model,
    message: &Message,
    state: Option<&State>,
    look: Look,
) -> Vec<Line<'static>> {
    let columns = columns(model, look.width);
    let own = message.sender_id == model.store.me;
    let mentions = Mentions::of(&message.content);
    let names_me = !own && is_meant(&mentions, &model.username);
    let text = content(model, message, state, &mentions, columns.text);
    let gutter = match (look.selected, names_me) {
        (true, _) => Span::styled(">", style::REVERSE),
        (false, true) => Span::styled("▌", style::new_line(model)),
        (false, false) => Span::raw(" "),
    };
    let time = Span::styled(fit(&model.config.clock(message.created_at), columns.time), style::DIM);
    let name = clean_line(&model.store.names.of(message.sender_id));
    let name = cut(&name, columns.name);
    let padding = " ".repeat(columns.name.saturating_sub(name.width()));
    let name = if look.follows { " ".repeat(columns.name) } else { padding + &name };
    let name_style = style::name(model, message.sender_id);
    let name_style = if look.selected { name_style.patch(style::REVERSE) } else { name_style };
    let indent = " ".repeat(1 + columns.time + 1 + columns.name);
    let rows = text.into_iter().take(LINES_MAX).enumerate().map(|(index, line)| {
        let mut spans = if index == 0 {
            vec![gutter.clone(), time.clone(), Span::raw(" "), Span::styled(name.clone(), name_style)]
        } else {
            vec![Span::raw(indent.clone())]
        };
        spans.push(Span::styled(" │ ", style::DIM));
        spans.extend(line.spans);
        Line::from(spans)
    });
    rows.collect()
}

fn is_meant(mentions: &Mentions, username: &str) -> bool {
    let username = username.to_lowercase();
    mentions.all || mentions.names.iter().any(|mention| mention.candidates().any(|name| name == username))
}

/// Returns the rows right of the name.
fn content(
    model: &Model,
    message: &Message,
    state: Option<&State>,
    mentions: &Mentions,
    width: usize,
) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    let is_in_thread = |id| matches!(&model.pane, Pane::Thread(thread) if thread.root == id);
    if let Some(reply_to) = message.reply_to.filter(|id| !is_in_thread(*id)) {
        rows.push(Line::styled(cut(&quote(model, reply_to), width), style::DIM));
    }
    if message.deleted {
        rows.push(Line::styled("(deleted)", style::DIM));
        return rows;
    }
    let text = clean(&with_files(&message.content, message, &model.server));
    let (mut in_fence, last) = (false, text.split('\n').count().saturating_sub(1));
    for (index, line) in text.split('\n').enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        let mut pieces = if in_fence || is_fence {
            vec![(line.to_owned(), style::code(model))]
        } else if line.starts_with('>') {
            vec![(line.to_owned(), style::DIM)]
        } else {
            styled(model, line, mentions)
        };
        in_fence ^= is_fence;
        if let Some(search) = &model.search {
            pieces = highlighted(pieces, &search.query);
        }
        if index == last {
            pieces.extend(marks(model, message, state));
        }
        rows.extend(wrap(&pieces, width));
    }
    if !message.reactions.is_empty() {
        let pieces: Vec<_> = message.reactions.iter().map(|one| reaction(model, one)).collect();
        rows.extend(wrap(&pieces, width));
    }
    rows
}

/// Returns what stands behind the text: edited, pinned, and the state of an own message.
fn marks(model: &Model, message: &Message, state: Option<&State>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if message.edited_at.is_some() {
        pieces.push((" (edited)".to_owned(), style::DIM));
    }
    if message.pinned {
        pieces.push((" [pinned]".to_owned(), style::DIM));
    }
    let replies = model.open_state().map_or(0, |chat| chat.history.replies(message.id));
    if replies > 0 && matches!(model.pane, Pane::Chat) {
        pieces.push((format!(" ({}: t)", plural(replies, "reply", "replies")), style::DIM));
    }
    match state {
        Some(State::Sending) => pieces.push((" …".to_owned(), style::DIM)),
        Some(State::Failed(reason)) => {
            pieces.push((format!(" ✗ {reason}: /retry or /discard"), style::problem(model)));
        }
        Some(State::Kept(_)) => pieces.push((" ✓".to_owned(), style::DIM)),
        // The later message shows that the earlier ones were accepted, too.
        None if Some(message.seq) == model.newest_own => pieces.push((" ✓".to_owned(), style::DIM)),
        None => {}
    }
    pieces
}

fn quote(model: &Model, id: MessageId) -> String {
    let found = model.open_state().and_then(|chat| chat.history.message(id));
    match found {
        Some(message) => {
            let name = clean_line(&model.store.names.of(message.sender_id));
            let text = if message.deleted { "(deleted)".to_owned() } else { clean_line(&message.content) };
            format!("╭ {name}: {}", shorten(&text, QUOTE_CHARACTERS))
        }
        None => "╭ reply to an older message (t: thread)".to_owned(),
    }
}

/// Returns a line of text with its mentions and code spans.
fn styled(model: &Model, line: &str, mentions: &Mentions) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, part) in line.split('`').enumerate() {
        if index % 2 == 1 {
            pieces.push((format!("`{part}`"), style::code(model)));
            continue;
        }
        for word in part.split_inclusive(|c: char| c.is_whitespace()) {
            let name = word.trim_start_matches(|c: char| c != '@');
            pieces.push((word.to_owned(), word_style(model, name, mentions)));
        }
    }
    // An opening backtick without a closing one is an ordinary character.
    if line.matches('`').count() % 2 == 1
        && let Some((text, piece_style)) = pieces.last_mut()
        && text.ends_with('`')
    {
        text.pop();
        *piece_style = Style::new();
    }
    pieces
}

/// Returns the style of a word, given its part from the first `@`.
fn word_style(model: &Model, from_at: &str, mentions: &Mentions) -> Style {
    let Some(rest) = from_at.strip_prefix('@') else { return Style::new() };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = rest.chars().take_while(|c| is_name(*c)).collect::<String>().to_lowercase();
    let bare = name.trim_end_matches(['.', '_', '-']);
    if name == "all" && mentions.all {
        return style::own_mention(model);
    }
    let is_mention =
        mentions.names.iter().any(|mention| mention.candidates().any(|candidate| candidate == bare));
    match is_mention {
        true if bare == model.username.to_lowercase() => style::own_mention(model),
        true => style::mention(model),
        false => Style::new(),
    }
}

/// Marks the matches of a search.
fn highlighted(pieces: Vec<Piece>, query: &str) -> Vec<Piece> {
    let query = query.to_lowercase();
    let mut marked = Vec::new();
    for (text, piece_style) in pieces {
        let lower = text.to_lowercase();
        let mut done = 0;
        // Lower case may have other lengths; such texts are shown without marks.
        if lower.len() == text.len() && !query.is_empty() {
            for (at, found) in lower.match_indices(&query) {
                let (Some(before), Some(hit)) = (text.get(done..at), text.get(at..at + found.len())) else {
                    break;
                };
                marked.push((before.to_owned(), piece_style));
                marked.push((hit.to_owned(), piece_style.patch(style::REVERSE)));
                done = at + found.len();
            }
        }
        marked.push((text.get(done..).unwrap_or_default().to_owned(), piece_style));
    }
    marked
}

fn reaction(model: &Model, reaction: &Reaction) -> Piece {
    let emoji = clean_line(&reaction.emoji);
    let users = &reaction.user_ids;
    let is_own = users.contains(&model.store.me);
    let names: Vec<_> =
        users.iter().take(REACTION_NAMES).map(|user| clean_line(&model.store.names.of(*user))).collect();
    let more = users.len().saturating_sub(REACTION_NAMES);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    (format!("[{emoji} {}{more}] ", names.join(", ")), if is_own { style::BOLD } else { style::DIM })
}
