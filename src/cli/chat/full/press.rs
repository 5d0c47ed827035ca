//! Keys, pastes and the mouse.

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tokio::time::Instant;

use super::decoder::PASTE_BYTES_MAX;
use super::draft::Purpose;
use super::model::{Focus, Model, Order, Pane, Prompt, PromptKind, Question};
use super::view;
use crate::cli::chat::commands::is_message;
use crate::cli::chat::config::Enter;
use crate::cli::chat::link::packet_of;
use crate::protocol::packet::MessagePacket;

/// Minimum interval between two typing notices.
const TYPING_EVERY: std::time::Duration = std::time::Duration::from_millis(2_500);
/// Lines that the wheel of the mouse scrolls.
const WHEEL_LINES: isize = 3;

impl Model {
    /// Returns whether keys go to the message in the prompt.
    pub(super) fn is_composing(&self) -> bool {
        let has_prompt = matches!(self.pane, Pane::Chat | Pane::Thread(_));
        self.prompt.is_none() && self.question.is_none() && has_prompt && self.focus == Focus::Compose
    }

    pub(super) fn is_submit(&self, key: KeyEvent) -> bool {
        let with_modifier = key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SHIFT);
        key.code == KeyCode::Enter && with_modifier == (self.config.enter == Enter::Newline)
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Event::Paste(text) => {
                self.end_bare();
                self.paste(&text);
            }
            // The bare view has no places to click.
            Event::Mouse(mouse) if !self.is_bare => self.mouse(mouse),
            _ => {}
        }
    }

    fn key(&mut self, key: KeyEvent) {
        if self.end_bare() {
            return;
        }
        if is_plain_escape(key) && self.close_message() {
            return;
        }
        if !self.hold {
            self.note = None;
        }
        if key.code != KeyCode::PageUp && key.code != KeyCode::PageDown {
            self.report.clear();
            self.scroll_rest = 0;
        }
        if let Some(question) = self.question.take()
            && self.answer_question(question, key)
        {
            return;
        }
        if self.global_key(key) {
            return;
        }
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        // A chord that is not bound must not act as its letter.
        if is_chord(key) && !self.is_composing() {
            return;
        }
        match self.pane {
            Pane::Help(_) => self.help_key(key),
            Pane::Inbox(_) => self.inbox_key(key),
            Pane::Failed(_) => self.failed_key(key),
            Pane::Found => self.found_key(key),
            _ if self.focus == Focus::Navigate => self.navigation_key(key),
            _ => self.compose_key(key),
        }
    }

    /// Esc first closes what is above the prompt: a running search, a list or a note. It selects a
    /// message only if there is none of them. Returns whether something was closed.
    fn close_message(&mut self) -> bool {
        if self.question.is_some() || self.prompt.is_some() {
            return false;
        }
        if self.search.as_ref().is_some_and(|search| search.is_running) {
            self.stop_search();
            return true;
        }
        let closes_note = self.note.is_some() && self.focus == Focus::Compose;
        if self.report.is_empty() && !closes_note {
            return self.cancel_attachment();
        }
        self.report.clear();
        self.note = None;
        true
    }

    /// Answers a question by a key. Returns `false` if the key is not an answer: then it is handled
    /// as without a question. A letter that led to the question is text if another letter
    /// follows it.
    fn answer_question(&mut self, question: Question, key: KeyEvent) -> bool {
        let letter = self.question_letter.take();
        let is_twin = matches!(question, Question::Twin { .. });
        let is_plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Char('y' | 'Y') if is_plain => self.confirm(question),
            // The text was meant for the new chat.
            _ if is_twin => {
                self.no_chat_opened();
                let is_answer = matches!(key.code, KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter);
                if is_answer && is_plain {
                    self.next_draft();
                }
                return is_answer && is_plain;
            }
            // The same key again.
            KeyCode::Char('c' | 'q') if question == Question::Quit && !is_plain => self.confirm(question),
            KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter if is_plain => match question {
                Question::Split(_) => self.info("not sent: the text is still here"),
                _ => self.info("nothing was done"),
            },
            KeyCode::Char(_) if is_plain => {
                if let Some(letter) = letter {
                    self.return_to_prompt();
                    self.write(letter.encode_utf8(&mut [0; 4]));
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    /// Leaves the selected message, or the pane in place of the history, for the prompt.
    pub(super) fn return_to_prompt(&mut self) {
        match self.pane {
            Pane::Thread(_) => self.focus = Focus::Compose,
            Pane::Chat if self.focus == Focus::Navigate => self.stop_navigating(),
            Pane::Chat => {}
            Pane::Inbox(_) | Pane::Failed(_) | Pane::Found | Pane::Help(_) => {
                self.pane = Pane::Chat;
                self.stop_navigating();
            }
        }
    }

    /// Handles a key that works everywhere.
    fn global_key(&mut self, key: KeyEvent) -> bool {
        let (control, alt) =
            (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
        match key.code {
            KeyCode::F(1) => self.pane = Pane::Help(0),
            KeyCode::F(2) => self.open_inbox(),
            KeyCode::F(3) => {
                self.list_hidden = !self.list_hidden;
                self.measure();
            }
            KeyCode::Char('q') if control => self.quit(),
            KeyCode::Char('c') if control => self.interrupt(),
            KeyCode::Char('f') if control => self.ask(PromptKind::Search),
            KeyCode::Char('r') if control => self.reconnect(),
            KeyCode::Char('l') if control => self.orders.push_back(Order::Repaint),
            KeyCode::Up if alt => self.step_chat(false),
            KeyCode::Down if alt => self.step_chat(true),
            KeyCode::Char('l') if alt => self.show_bare(),
            KeyCode::Char('a') if alt => self.open_unread(),
            KeyCode::Char('n') if alt => self.go_to_mention(),
            KeyCode::Char('j') if alt => self.ask(PromptKind::Switch),
            KeyCode::Char(digit @ '1'..='9') if alt => {
                let index = digit.to_digit(10).map_or(0, |digit| digit.saturating_sub(1));
                if let Some(id) = usize::try_from(index).ok().and_then(|index| self.store.numbered(index)) {
                    self.open_chat(id);
                }
            }
            KeyCode::PageUp | KeyCode::PageDown if matches!(self.pane, Pane::Thread(_)) => {
                self.page_thread(key.code == KeyCode::PageDown);
            }
            KeyCode::PageUp | KeyCode::PageDown if matches!(self.pane, Pane::Chat) => {
                let page = isize::try_from(view::timeline_size(self).1.saturating_sub(1)).unwrap_or(1).max(1);
                self.scroll_far(if key.code == KeyCode::PageUp { page } else { -page });
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
            KeyCode::Char('d') if alt => editor.delete_next_word(),
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
            KeyCode::Up if key.modifiers.contains(KeyModifiers::SHIFT) => self.begin_selection(),
            KeyCode::Up => self.prompt_vertical(false),
            KeyCode::Down => self.prompt_vertical(true),
            KeyCode::Tab => self.complete(true),
            KeyCode::BackTab => self.complete(false),
            KeyCode::Esc => self.escape(),
            _ => {}
        }
        self.is_unsaved = true;
    }

    /// Inserts text and notifies the others that the user types.
    pub(super) fn write(&mut self, text: &str) {
        if !self.editor.insert(text) {
            return self.problem("the text is too long: a part was not inserted");
        }
        self.is_unsaved = true;
        let recently = self.typing_sent_at.is_some_and(|at| at.elapsed() < TYPING_EVERY);
        if recently || self.hold || !is_message(self.editor.text()) {
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
            Some(prompt) => drop(prompt.editor.insert(&text.replace('\n', " "))),
            None => {
                self.completion = None;
                self.return_to_prompt();
                self.write(&text);
            }
        }
    }

    fn escape(&mut self) {
        match (&self.pane, self.purpose) {
            (_, Purpose::Edit(_)) => {
                self.editor.set(String::new());
                self.next_draft();
                self.info("not changed; Ctrl-Z brings the edited text back");
            }
            (_, Purpose::Reply(_)) => {
                self.purpose = Purpose::Message;
                self.is_unsaved = true;
            }
            (Pane::Chat, _) => self.begin_selection(),
            _ => self.pane = Pane::Chat,
        }
    }

    /// Ctrl-C empties the prompt, and quits when it is empty. Ctrl-Z brings the text back.
    fn interrupt(&mut self) {
        self.prompt = None;
        if self.search.as_ref().is_some_and(|search| search.is_running) {
            return self.stop_search();
        }
        if self.editor.is_empty() {
            self.question = Some(Question::Quit);
            return;
        }
        self.editor.set(String::new());
        self.next_draft();
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
            KeyCode::Tab => self.complete_prompt(),
            KeyCode::Char('u') if control => editor.delete_to_line_start(),
            KeyCode::Char('w') if control => editor.delete_word(),
            KeyCode::Char(character) if !is_chord(key) => {
                editor.insert(character.encode_utf8(&mut [0; 4]));
            }
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
        let page = view::timeline_size(self).1;
        let Pane::Help(top) = &mut self.pane else { return };
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => *top += 1,
            KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => *top += page,
            KeyCode::PageUp => *top = top.saturating_sub(page),
            _ => self.back_to_chat(key),
        }
        let (width, height) = view::timeline_size(self);
        let last = view::help_lines(width).len().saturating_sub(height);
        if let Pane::Help(top) = &mut self.pane {
            *top = (*top).min(last);
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

    /// Closes the help or another pane. A letter is the beginning of a message.
    pub(super) fn back_to_chat(&mut self, key: KeyEvent) {
        self.return_to_prompt();
        if matches!(key.code, KeyCode::Char(_)) {
            self.compose_key(key);
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.scroll_far(WHEEL_LINES),
            MouseEventKind::ScrollDown => self.scroll_far(-WHEEL_LINES),
            MouseEventKind::Down(MouseButton::Left) => {
                if let Some(id) = view::chat_at(self, mouse.column, mouse.row) {
                    self.open_chat(id);
                } else if matches!(self.pane, Pane::Chat)
                    && self.prompt.is_none()
                    && let Some(seq) = view::message_at(self, mouse.column, mouse.row)
                {
                    self.selected = Some(seq);
                    self.focus = Focus::Navigate;
                }
            }
            _ => {}
        }
    }
}

/// Returns whether the key is a letter with Ctrl or Alt.
fn is_chord(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char(_)) && !key.modifiers.difference(KeyModifiers::SHIFT).is_empty()
}

fn is_plain_escape(key: KeyEvent) -> bool {
    key.code == KeyCode::Esc && key.modifiers.is_empty()
}
