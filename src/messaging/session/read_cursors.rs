//! Read and delivered cursors of a session, collected into few writes.
//!
//! A mark with a request id is submitted like every command. Marks without one are merged here,
//! with the furthest position kept, and written shortly after with the others. Marks that only move
//! the delivered cursor may wait longer. A crash may lose such marks: the client sends them again
//! with the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, WrapFuture};

use super::actor::SessionActor;
use crate::actors::writer::commands::Marks;
use crate::core::actor::Ctx;
use crate::domain::access::Credential;
use crate::domain::ids::ChatId;
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// Marks of a session that are not written yet.
#[derive(Default)]
pub(super) struct PendingCursors {
    who: Option<Credential>,
    chats: BTreeMap<ChatId, Marks>,
    /// Whether a write is scheduled after the short delay, and after the long one.
    soon: bool,
    later: bool,
}

impl SessionActor {
    pub(super) fn queue_cursor_update(
        &mut self,
        who: Credential,
        chat: ChatId,
        marks: Marks,
        ctx: &mut Ctx<Self>,
    ) {
        let limits = &self.services.limits;
        let (merge_ms, delivered_ms) = (limits.mark_merge_ms, limits.delivered_merge_ms);
        let full = self.read_cursors.chats.len() >= limits.marks_per_command;
        self.read_cursors.who = Some(who);
        self.read_cursors.chats.entry(chat).or_default().merge(marks);
        if full {
            self.flush_cursors(ctx);
        } else if marks.read.is_some() && !std::mem::replace(&mut self.read_cursors.soon, true) {
            ctx.run_later(Duration::from_millis(merge_ms), |session, ctx| {
                session.read_cursors.soon = false;
                session.flush_cursors(ctx);
            });
        } else if !std::mem::replace(&mut self.read_cursors.later, true) {
            ctx.run_later(Duration::from_millis(delivered_ms), |session, ctx| {
                session.read_cursors.later = false;
                session.flush_cursors(ctx);
            });
        }
    }

    fn take_cursors(&mut self) -> Option<(Credential, Vec<(ChatId, Marks)>)> {
        let marks: Vec<_> = std::mem::take(&mut self.read_cursors.chats).into_iter().collect();
        self.read_cursors.who.filter(|_| !marks.is_empty()).map(|who| (who, marks))
    }

    fn flush_cursors(&mut self, ctx: &mut Ctx<Self>) {
        let Some((who, marks)) = self.take_cursors() else { return };
        let (services, again) = (self.services.clone(), marks.clone());
        let merging = async move { services.merge_marks(who, marks).await };
        let settle =
            move |merged: Result<(), ServiceError>, session: &mut Self, ctx: &mut Ctx<Self>| match merged {
                Ok(()) => {}
                Err(error) if matches!(error.code, Code::Overloaded | Code::ReadOnly) => {
                    let marks = again.into_iter().take(session.services.limits.marks_per_command);
                    marks.for_each(|(chat, marks)| session.queue_cursor_update(who, chat, marks, ctx));
                }
                Err(error) => tracing::debug!(error = error.detail, "marks were not written"),
            };
        ctx.spawn(merging.into_actor(self).map(settle));
    }

    /// Writes the remaining marks at the end of the session, without waiting for the result.
    pub(super) fn flush_last_cursors(&mut self) {
        if let Some((who, marks)) = self.take_cursors() {
            self.services.merge_last_marks(who, marks);
        }
    }
}
