//! Styles. Without colours, attributes carry the meaning: bold, dim, reverse.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::chat::full::model::Model;
use crate::domain::ids::UserId;

/// Colours of names, all readable on black and on white.
const NAMES: [Color; 10] = [
    Color::Indexed(32),
    Color::Indexed(34),
    Color::Indexed(130),
    Color::Indexed(127),
    Color::Indexed(37),
    Color::Indexed(136),
    Color::Indexed(99),
    Color::Indexed(166),
    Color::Indexed(71),
    Color::Indexed(168),
];

pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const REVERSE: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Returns the style of a name: the same in every session.
pub(super) fn name(model: &Model, user: UserId) -> Style {
    let index = usize::try_from(user.0.unsigned_abs()).unwrap_or(0) % NAMES.len();
    match NAMES.get(index).filter(|_| model.config.has_colours()) {
        Some(colour) => BOLD.fg(*colour),
        None => BOLD,
    }
}

pub(super) fn problem(model: &Model) -> Style {
    if model.config.has_colours() { BOLD.fg(Color::Red) } else { BOLD }
}

/// Returns the style of a text that names the user.
pub(super) fn own_mention(model: &Model) -> Style {
    if model.config.has_colours() { BOLD.fg(Color::Black).bg(Color::Yellow) } else { REVERSE }
}

pub(super) fn mention(model: &Model) -> Style {
    if model.config.has_colours() { Style::new().fg(Color::Cyan) } else { BOLD }
}

pub(super) fn code(model: &Model) -> Style {
    if model.config.has_colours() { Style::new().fg(Color::Green) } else { Style::new() }
}

/// Returns the style of the New line.
pub(super) fn new_line(model: &Model) -> Style {
    if model.config.has_colours() { BOLD.fg(Color::Red) } else { BOLD }
}
