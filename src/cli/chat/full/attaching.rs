//! `/attach` on the full screen: the upload runs beside everything else, one file at a time.

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::draft::Purpose;
use super::model::{Focus, Model, Pane, Then};
use crate::cli::chat::attach::{After, Attachment, Fault};

impl Model {
    /// Begins to upload a file for the open chat, or the open thread.
    pub(super) fn attach(&mut self, path: &str, text: &str) {
        let Some(chat) = self.open else {
            return self.problem("no chat is open: /open NAME, /dm USER or /join CHANNEL opens one");
        };
        if let Some(running) = &self.attaching {
            let name = running.name();
            return self.problem(format!("{name} is being uploaded: wait for its end, or press Esc"));
        }
        let reply = match &self.pane {
            Pane::Thread(thread) => Some(thread.root),
            _ => None,
        };
        match Attachment::new(chat, path, text, reply) {
            Ok(attachment) => self.attaching = Some(attachment),
            Err(mistake) => self.problem(mistake),
        }
    }

    /// Handles the answer of a step of the upload.
    pub(super) fn attached(&mut self, answer: Result<Value, Fault>, now: Instant) {
        // Otherwise the history was replaced meanwhile: the answer is that of an earlier upload.
        if let Some(attaching) = self.attaching.as_mut().filter(|attaching| attaching.is_running()) {
            let after = attaching.answered(answer, now);
            self.continue_attaching(after);
        }
    }

    /// Cancels the upload, and returns whether there was one.
    pub(super) fn cancel_attachment(&mut self) -> bool {
        if self.focus != Focus::Compose || self.purpose != Purpose::Message {
            return false;
        }
        let Some(attaching) = &mut self.attaching else { return false };
        match attaching.cancel() {
            Some(after) => self.continue_attaching(after),
            None => self.info("cancelling the upload…"),
        }
        true
    }

    fn continue_attaching(&mut self, after: After) {
        let (note, file) = match after {
            After::Continue => return,
            After::Sent { .. } => {
                let name = self.attaching.take().map(|sent| sent.name()).unwrap_or_default();
                return self.info(format!("{name} was sent"));
            }
            After::Ended { reason, file } => (reason, file),
        };
        self.attaching = None;
        self.problem(note);
        if let Some(id) = file.filter(|_| self.is_online()) {
            // Otherwise the server removes it after a day.
            self.call(Method::DELETE, format!("/api/files/{id}"), None, Then::Aside);
        }
    }
}
