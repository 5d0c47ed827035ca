//! Keys, pastes and the mouse.

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tokio::time::Instant;

use super::model::{AHEAD_MAX, Focus, Model, Order, Pane, Prompt, PromptKind, Question};
use super::view;
use crate::cli::chat::commands::is_talk;
use crate::cli::chat::config::Enter;
use crate::cli::chat::link::packet_of;
use crate::protocol::packet::MessagePacket;

/// Minimum interval between two typing notices.
const TYPING_EVERY: std::time::Duration = std::time::Duration::from_millis(2_500);
/// Largest paste that is inserted; a larger one stays in the clipboard.
const PASTE_BYTES_MAX: usize = 1 << 20;
/// Letters that have a meaning with Alt.
const ALT_KEYS: &str = "abf123456789";
/// Pause after which input does not belong to text that was typed ahead.
const HOLD: std::time::Duration = std::time::Duration::from_millis(if cfg!(test) { 60_000 } else { 150 });
/// Lines that the wheel of the mouse scrolls.
const WHEEL_LINES: isize = 3;

impl Model {
    /// Handles an event of the terminal, after those that wait.
    pub(super) fn input(&mut self, event: Event) {
        match event {
            Event::Resize(width, height) => self.size = (width, height),
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
        // More of it may be on its way.
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

    /// Returns whether keys go to the message in the prompt.
    pub(super) fn is_composing(&self) -> bool {
        let has_prompt = matches!(self.pane, Pane::Chat | Pane::Thread(_));
        self.prompt.is_none() && self.question.is_none() && has_prompt && self.focus == Focus::Compose
    }

    fn is_submit(&self, key: KeyEvent) -> bool {
        let with_modifier = key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SHIFT);
        key.code == KeyCode::Enter && with_modifier == (self.config.enter == Enter::Newline)
    }

    fn handle(&mut self, event: Event) {
        match event {
            // Esc and a letter that follows it at once arrive as one key.
            Event::Key(KeyEvent {
                code: code @ KeyCode::Char(letter), modifiers: KeyModifiers::ALT, ..
            }) if !ALT_KEYS.contains(letter) => {
                self.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
                self.key(KeyEvent::new(code, KeyModifiers::NONE));
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Event::Paste(text) => self.paste(&text),
            Event::Mouse(mouse) => self.mouse(mouse),
            _ => {}
        }
    }

    fn key(&mut self, key: KeyEvent) {
        if !self.hold {
            self.note = None;
        }
        if key.code != KeyCode::PageUp && key.code != KeyCode::PageDown {
            self.report.clear();
        }
        if let Some(question) = self.question.take() {
            self.reply_to_question(question, key);
            if matches!(
                key.code,
                KeyCode::Char('y' | 'Y' | 'n' | 'N' | 'c' | 'q') | KeyCode::Esc | KeyCode::Enter
            ) {
                return;
            }
            // Not an answer: the key is not lost.
            self.note = None;
        }
        if self.global_key(key) {
            return;
        }
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        match self.pane {
            Pane::Help(_) => self.help_key(key),
            Pane::Inbox(_) => self.inbox_key(key),
            _ if self.focus == Focus::Navigate => self.navigation_key(key),
            _ => self.compose_key(key),
        }
    }

    /// Handles a key that works everywhere.
    fn global_key(&mut self, key: KeyEvent) -> bool {
        let (control, alt) =
            (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
        match key.code {
            KeyCode::F(1) => self.pane = Pane::Help(0),
            KeyCode::F(2) => self.pane = Pane::Inbox(0),
            KeyCode::F(3) => self.list_hidden = !self.list_hidden,
            KeyCode::Char('q') if control => self.quit(),
            KeyCode::Char('c') if control => self.interrupt(),
            KeyCode::Char('f') if control => self.ask(PromptKind::Search),
            KeyCode::Char('r') if control => self.reconnect(),
            KeyCode::Up if alt => self.step_chat(false, false),
            KeyCode::Down if alt => self.step_chat(true, false),
            KeyCode::Char('a') if alt => self.step_chat(true, true),
            KeyCode::Char(digit @ '1'..='9') if alt => {
                let index = digit.to_digit(10).map_or(0, |digit| digit.saturating_sub(1));
                let order = self.store.order();
                if let Some(id) = usize::try_from(index).ok().and_then(|index| order.get(index)) {
                    self.open_chat(*id);
                }
            }
            KeyCode::PageUp | KeyCode::PageDown if !matches!(self.pane, Pane::Help(_) | Pane::Inbox(_)) => {
                let page = isize::try_from(view::timeline_size(self).1.saturating_sub(1)).unwrap_or(1).max(1);
                self.scroll(if key.code == KeyCode::PageUp { page } else { -page });
            }
            KeyCode::End if control => self.go_to_end(),
            KeyCode::Home if control => self.go_to_start(),
            _ => return false,
        }
        true
    }

    pub(super) fn compose_key(&mut self, key: KeyEvent) {
        let (control, alt) =
            (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
        if key.code != KeyCode::Tab && key.code != KeyCode::BackTab {
            self.completion = None;
        }
        if key.code == KeyCode::Enter {
            return if self.is_submit(key) && !self.hold { self.submit() } else { self.write("\n") };
        }
        // The width is computed for the keys that need it only: a fast paste has many keys.
        let is_vertical = matches!(key.code, KeyCode::Up | KeyCode::Down);
        let width = if is_vertical { view::prompt_width(self) } else { 0 };
        let editor = &mut self.editor;
        match key.code {
            KeyCode::Char('j') if control => self.write("\n"),
            KeyCode::Char('a') if control => editor.home(),
            KeyCode::Char('e') if control => editor.end(),
            KeyCode::Char('b') if control => editor.left(),
            KeyCode::Char('k') if control => editor.delete_to_line_end(),
            KeyCode::Char('u') if control => editor.delete_to_line_start(),
            KeyCode::Char('w') if control => editor.delete_word(),
            KeyCode::Char('z' | '7' | '_') if control => editor.undo(),
            KeyCode::Char('d') if control && editor.is_empty() => self.quit(),
            KeyCode::Char('d') if control => editor.delete(),
            KeyCode::Char('b') if alt => editor.word_left(),
            KeyCode::Char('f') if alt => editor.word_right(),
            KeyCode::Char(character) if !control && !alt => self.write(character.encode_utf8(&mut [0; 4])),
            KeyCode::Left if control || alt => editor.word_left(),
            KeyCode::Right if control || alt => editor.word_right(),
            KeyCode::Left => editor.left(),
            KeyCode::Right => editor.right(),
            KeyCode::Home => editor.home(),
            KeyCode::End => editor.end(),
            KeyCode::Backspace if alt || control => editor.delete_word(),
            KeyCode::Backspace => editor.backspace(),
            KeyCode::Delete => editor.delete(),
            KeyCode::Up if editor.is_empty() => self.select(false),
            KeyCode::Up => drop(editor.vertical(false, width)),
            KeyCode::Down => drop(editor.vertical(true, width)),
            KeyCode::Tab => self.complete(true),
            KeyCode::BackTab => self.complete(false),
            KeyCode::Esc => self.escape(),
            _ => {}
        }
        self.is_unsaved = true;
    }

    /// Inserts text and notifies the others that the user types.
    fn write(&mut self, text: &str) {
        self.editor.insert(text);
        self.is_unsaved = true;
        let recently = self.typing_sent_at.is_some_and(|at| at.elapsed() < TYPING_EVERY);
        if recently || self.hold || !is_talk(self.editor.text()) {
            return;
        }
        if let Some(chat) = self.open.filter(|_| self.is_online()) {
            self.typing_sent_at = Some(Instant::now());
            let packet = MessagePacket { chat_id: Some(chat), ..packet_of("Typing") };
            self.send(packet, super::model::Asked::Aside);
        }
    }

    fn paste(&mut self, text: &str) {
        if text.len() > PASTE_BYTES_MAX {
            return self.problem("the pasted text is larger than 1 MiB and was not inserted");
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        match &mut self.prompt {
            Some(prompt) => prompt.editor.insert(&text.replace('\n', " ")),
            None => {
                self.completion = None;
                self.focus = Focus::Compose;
                if matches!(self.pane, Pane::Help(_) | Pane::Inbox(_)) {
                    self.pane = Pane::Chat;
                }
                self.write(&text);
            }
        }
    }

    fn escape(&mut self) {
        match (&self.pane, self.purpose) {
            (_, super::draft::Purpose::Edit(_)) => {
                self.editor.take();
                self.purpose = super::draft::Purpose::Message;
            }
            (_, super::draft::Purpose::Reply(_)) => self.purpose = super::draft::Purpose::Message,
            (Pane::Chat, _) => self.select(false),
            _ => self.pane = Pane::Chat,
        }
    }

    /// Ctrl-C empties the prompt, and quits when it is empty. Ctrl-Z brings the text back.
    fn interrupt(&mut self) {
        self.prompt = None;
        if self.search.as_ref().is_some_and(|search| search.is_running) {
            return self.pause_search();
        }
        if self.editor.is_empty() {
            self.question = Some(Question::Quit);
            return;
        }
        self.editor.set(String::new());
        self.purpose = super::draft::Purpose::Message;
        self.is_unsaved = true;
        self.info("the text was removed: Ctrl-Z brings it back");
    }

    pub(super) fn quit(&mut self) {
        self.hold = true;
        while let Some(event) = self.ahead.pop_front() {
            self.handle(event);
        }
        self.hold = false;
        self.orders.push_back(Order::Quit);
    }

    pub(super) fn ask(&mut self, kind: PromptKind) {
        self.pane = if matches!(self.pane, Pane::Thread(_)) && kind != PromptKind::Search {
            std::mem::replace(&mut self.pane, Pane::Chat)
        } else {
            Pane::Chat
        };
        self.prompt = Some(Prompt { kind, editor: super::editor::Editor::default() });
    }

    fn prompt_key(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(prompt) = &mut self.prompt else { return };
        let editor = &mut prompt.editor;
        match key.code {
            KeyCode::Enter => {
                let (kind, text) = (prompt.kind, editor.take());
                self.prompt = None;
                self.prompted(kind, text.trim());
            }
            KeyCode::Esc => self.prompt = None,
            KeyCode::Char('u') if control => editor.delete_to_line_start(),
            KeyCode::Char('w') if control => editor.delete_word(),
            KeyCode::Char(character) if !control => editor.insert(character.encode_utf8(&mut [0; 4])),
            KeyCode::Left => editor.left(),
            KeyCode::Right => editor.right(),
            KeyCode::Home => editor.home(),
            KeyCode::End => editor.end(),
            KeyCode::Backspace => editor.backspace(),
            KeyCode::Delete => editor.delete(),
            _ => {}
        }
    }

    fn help_key(&mut self, key: KeyEvent) {
        let Pane::Help(top) = &mut self.pane else { return };
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => *top += 1,
            KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => *top += 10,
            KeyCode::PageUp => *top = top.saturating_sub(10),
            _ => self.back_to_chat(key),
        }
        if let Pane::Help(top) = &mut self.pane {
            *top = (*top).min(view::help_lines().len().saturating_sub(1));
        }
    }

    fn inbox_key(&mut self, key: KeyEvent) {
        let Pane::Inbox(selected) = &mut self.pane else { return };
        let last = self.inbox.newest_first().count().saturating_sub(1);
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => *selected = (*selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => *selected = selected.saturating_sub(1),
            KeyCode::PageDown => *selected = (*selected + 10).min(last),
            KeyCode::PageUp => *selected = selected.saturating_sub(10),
            KeyCode::Enter => self.open_notification(),
            KeyCode::Char('e') => self.read_notification(),
            KeyCode::Char('E') => self.read_notifications(),
            _ => self.back_to_chat(key),
        }
    }

    /// Closes the help or the notifications. A letter is the beginning of a message.
    pub(super) fn back_to_chat(&mut self, key: KeyEvent) {
        self.pane = Pane::Chat;
        if matches!(key.code, KeyCode::Char(_)) {
            self.stop_navigating();
            self.compose_key(key);
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.scroll(WHEEL_LINES),
            MouseEventKind::ScrollDown => self.scroll(-WHEEL_LINES),
            MouseEventKind::Down(MouseButton::Left) => {
                if let Some(id) = view::chat_at(self, mouse.column, mouse.row) {
                    self.open_chat(id);
                }
            }
            _ => {}
        }
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
