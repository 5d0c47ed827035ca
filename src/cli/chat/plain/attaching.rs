//! `/attach` with lines: the next line is read when the message is sent.

use futures_util::FutureExt;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::line::Line;
use super::session::{Session, Stop};
use crate::cli::chat::attach::{After, Attachment};
use crate::cli::chat::link::Link;

impl Session {
    /// Uploads a file, and sends it to the open chat. Messages are received meanwhile.
    pub(super) async fn attach(&mut self, path: &str, text: &str) -> Result<(), Stop> {
        let Some(chat) = self.model.open else {
            return self.problem("no chat is open: /chats lists your chats, /open N opens one".to_owned());
        };
        let mut attachment = match Attachment::new(chat, path, text, None) {
            Ok(attachment) => attachment,
            Err(mistake) => return self.problem(mistake),
        };
        let epoch = self.epoch;
        // The order of the lines is that of the messages.
        self.send_waiting().await?;
        if self.screen.is_interactive() {
            self.show(&[Line::Info(format!("uploading {}…", attachment.name()))])?;
        }
        loop {
            if self.epoch != epoch {
                // The ids of the chat and of the file have other meanings now.
                let name = attachment.name();
                return self.problem(format!("{name} was not sent: the server's history was replaced"));
            }
            let pause = attachment.pause_until();
            let step = match &self.link {
                Link::Online { .. } => attachment.next(Instant::now()),
                Link::Offline(_) => None,
            };
            let (Some(step), Link::Online { rest, .. }) = (step, &mut self.link) else {
                // Until the connection is back, or the pause is over.
                let until = pause.unwrap_or_else(|| Instant::now() + super::session::READ_EVERY);
                tokio::select! {
                    happening = self.link.next() => self.happened(happening).await?,
                    () = tokio::time::sleep_until(until) => {}
                }
                continue;
            };
            let answer = step.run(rest).await;
            match attachment.answered(answer, Instant::now()) {
                After::Continue => {}
                After::Sent { seq } => {
                    self.acknowledged = seq.map(|seq| (chat, seq)).or(self.acknowledged);
                    return Ok(());
                }
                After::Ended { reason, file } => {
                    if let (Some(id), Link::Online { rest, .. }) = (file, &mut self.link) {
                        let path = format!("/api/files/{id}");
                        // If this fails, the server removes the file after a day.
                        drop(rest.ask::<Value>(Method::DELETE, &path, None).await);
                    }
                    return self.problem(reason);
                }
            }
            while let Some(happening) = self.link.next().now_or_never() {
                self.happened(happening).await?;
            }
        }
    }
}
