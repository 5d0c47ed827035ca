//! The screen: chat list at the left, then title, history, state line and prompt. Draws the model
//! and changes nothing.

mod body;
mod composer;
mod help;
mod list;
mod panes;
#[cfg(test)]
mod screen_test;
mod style;
mod timeline;
mod wrap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};

use super::model::{Model, Pane};
use crate::domain::ids::{ChatId, Seq};

pub(super) use self::help::lines as help_lines;
pub(super) use self::timeline::row_height;

/// Part of the height that the prompt may take: one of so many.
const PROMPT_PART: u16 = 3;

/// The places of the screen.
#[derive(Debug, Clone, Copy)]
struct Areas {
    /// Without width when the list is hidden.
    list: Rect,
    title: Rect,
    main: Rect,
    /// Lines of a longer answer.
    report: Rect,
    state: Rect,
    prompt: Rect,
}

fn areas(model: &Model) -> Areas {
    let (width, height) = model.size;
    let whole = Rect::new(0, 0, width, height);
    let [list, rest] =
        Layout::horizontal([Constraint::Length(model.widths.list), Constraint::Min(1)]).areas(whole);
    let rows = composer::rows(model, rest.width).min(usize::from((height / PROMPT_PART).max(1)));
    let prompt = u16::try_from(rows).unwrap_or(1);
    let room = height.saturating_sub(prompt + 4);
    let report = u16::try_from(model.report.len()).unwrap_or(u16::MAX).min(room);
    let [title, main, report, state, prompt] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(report),
        Constraint::Length(1),
        Constraint::Length(prompt),
    ])
    .areas(rest);
    Areas { list, title, main, report, state, prompt }
}

/// Returns the width and the height of the history.
pub(super) fn timeline_size(model: &Model) -> (usize, usize) {
    let main = areas(model).main;
    (main.width.into(), main.height.into())
}

/// Returns the width of the text in the prompt.
pub(super) fn prompt_width(model: &Model) -> usize {
    composer::text_width(model, areas(model).prompt.width)
}

/// Returns the chat in the list at a place of the screen.
pub(super) fn chat_at(model: &Model, column: u16, row: u16) -> Option<ChatId> {
    let list = areas(model).list;
    list.contains((column, row).into()).then(|| list::chat_at(model, list, row)).flatten()
}

/// Returns the message of the history at a place of the screen.
pub(super) fn message_at(model: &Model, column: u16, row: u16) -> Option<Seq> {
    let main = areas(model).main;
    main.contains((column, row).into()).then(|| timeline::message_at(model, main, row)).flatten()
}

/// Draws the screen, and returns the place of the cursor.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) -> Option<Position> {
    let mut sized = areas(model);
    // The terminal may be smaller than the model knows until its event arrives.
    let screen = frame.area();
    for area in [
        &mut sized.list,
        &mut sized.title,
        &mut sized.main,
        &mut sized.report,
        &mut sized.state,
        &mut sized.prompt,
    ] {
        *area = area.intersection(screen);
    }
    list::draw(model, frame, sized.list);
    composer::draw_title(model, frame, sized.title);
    match &model.pane {
        Pane::Chat => timeline::draw(model, frame, sized.main),
        Pane::Thread(thread) => panes::draw_thread(model, thread, frame, sized.main),
        Pane::Inbox(selected) => panes::draw_inbox(model, *selected, frame, sized.main),
        Pane::Failed(selected) => panes::draw_failed(model, *selected, frame, sized.main),
        Pane::Found => panes::draw_found(model, frame, sized.main),
        Pane::Help(top) => panes::draw_help(*top, frame, sized.main),
    }
    composer::draw_report(model, frame, sized.report);
    composer::draw_state(model, frame, sized.state);
    composer::draw_prompt(model, frame, sized.prompt)
}
