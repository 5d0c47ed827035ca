//! Typed input in its order: events that wait for the server, and text that arrives at once.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::time::Instant;

use super::draft::Purpose;
use super::model::{AHEAD_MAX, Model, Question};

/// Pause after which input does not belong to text that was typed ahead.
const HOLD: std::time::Duration = std::time::Duration::from_millis(if cfg!(test) { 60_000 } else { 150 });
/// Characters in one read from which they are text.
const BURST: usize = 3;

impl Model {
    /// Handles an event of the terminal, after those that wait.
    pub(super) fn input(&mut self, event: Event) {
        match event {
            Event::Resize(width, height) => {
                self.size = (width, height);
                self.measure();
            }
            Event::FocusGained => self.has_focus = true,
            Event::FocusLost => {
                self.has_focus = false;
                if self.is_at_bottom() {
                    self.new_after = self.open_state().map(|chat| chat.last);
                }
            }
            event if !self.ahead.is_empty() && is_interrupt(&event) => self.stop_waiting(),
            event if self.ahead.len() < AHEAD_MAX => {
                let now = Instant::now();
                self.hold = is_text(&event) && self.hold_until.is_some_and(|until| now < until);
                self.hold_until = self.hold.then(|| now + HOLD);
                self.ahead.push_back(event);
                self.run_ahead();
            }
            _ => self.problem("too much was typed ahead: the last keys are ignored"),
        }
    }

    /// Handles the events that wait, up to the first that needs the server.
    pub(super) fn run_ahead(&mut self) {
        while let Some(event) = self.ahead.front() {
            if self.must_wait(event) {
                return;
            }
            if let Some(event) = self.ahead.pop_front() {
                self.handle(event);
            }
        }
    }

    /// The chat that the waiting text was meant for could not be opened: the text goes into the
    /// prompt and is not sent.
    pub(super) fn stop_waiting(&mut self) {
        self.busy = None;
        self.hold = true;
        while let Some(event) = self.ahead.pop_front() {
            self.handle(event);
        }
        self.hold_on();
        if self.editor.is_empty() && self.purpose == Purpose::Message {
            self.next_draft();
        }
    }

    /// The user did not confirm a chat that the following text may be meant for.
    pub(super) fn no_chat_opened(&mut self) {
        self.problem("no chat was opened");
        self.hold_on();
    }

    /// More input for a chat that was not opened may be on its way: it is not sent.
    fn hold_on(&mut self) {
        self.hold = true;
        self.hold_until = Some(Instant::now() + HOLD);
    }

    fn must_wait(&self, event: &Event) -> bool {
        if (self.ready && self.busy.is_none()) || self.hold {
            return false;
        }
        let Event::Key(key) = event else { return false };
        let is_local = matches!(self.editor.text().trim(), "" | "/quit" | "/help" | "/reconnect");
        let is_submission = self.is_composing() && self.is_submit(*key) && !is_local;
        let is_switch = matches!(key.code, KeyCode::Up | KeyCode::Down | KeyCode::Char('a' | '1'..='9'));
        is_submission || (is_switch && key.modifiers.contains(KeyModifiers::ALT))
    }

    /// Handles a key of several that arrived at once, which only text does. A message that is
    /// pasted or typed fast does not act on the selected message, letter by letter.
    pub(super) fn input_text(&mut self, event: Event) {
        if self.ahead.is_empty()
            && let Some(question) = self.question.take()
        {
            if matches!(question, Question::Twin { .. }) {
                self.no_chat_opened();
            }
            let letter = self.question_letter.take();
            self.return_to_prompt();
            letter.into_iter().for_each(|letter| self.write(letter.encode_utf8(&mut [0; 4])));
        }
        let is_typing = self.prompt.is_some() || self.is_composing();
        if self.ahead.is_empty() && self.question.is_none() && !is_typing {
            self.return_to_prompt();
        }
        self.input(event);
    }
}

/// Whether the event writes text.
fn is_text(event: &Event) -> bool {
    match event {
        Event::Key(key) => {
            key.modifiers.difference(KeyModifiers::SHIFT).is_empty()
                && matches!(key.code, KeyCode::Char(_) | KeyCode::Enter | KeyCode::Tab | KeyCode::Backspace)
        }
        event => matches!(event, Event::Paste(_)),
    }
}

pub(super) fn is_interrupt(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'q'))
}

/// Marks the keys of texts that arrived at once: three or more characters, not of a key that is
/// held down. A user does not press keys that fast.
pub(super) fn bursts(events: Vec<Event>) -> Vec<(Event, bool)> {
    let character = |event: &Event| match event {
        Event::Key(KeyEvent { code: KeyCode::Char(character), modifiers, .. })
            if modifiers.difference(KeyModifiers::SHIFT).is_empty() =>
        {
            Some(*character)
        }
        _ => None,
    };
    let mut marked: Vec<(Event, bool)> = Vec::with_capacity(events.len());
    // The run of characters that continues: its place, its first one, and whether it is text.
    let (mut start, mut first, mut is_mixed, mut is_text) = (0, None, false, false);
    for (index, event) in events.into_iter().enumerate() {
        let typed = character(&event);
        if first.is_none() || typed.is_none() {
            (start, first, is_mixed, is_text) = (index, typed, false, false);
        }
        is_mixed |= typed != first;
        if !is_text && typed.is_some() && is_mixed && index + 1 - start >= BURST {
            is_text = true;
            marked.iter_mut().skip(start).for_each(|(_, marked)| *marked = true);
        }
        marked.push((event, is_text));
    }
    marked
}
