//! A session of a user: sends requests from a queue, and checks all received packets.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::stats::{Operation, TeamStats};
use super::transport::{SessionRequest, Transport};
use crate::wire::PacketView;

/// Runs until it is dropped or the session fails. A failed session is an error of the server.
pub(crate) async fn run_session(
    mut transport: Transport,
    user: usize,
    mut asks: UnboundedReceiver<(Instant, SessionRequest)>,
    stats: Rc<TeamStats>,
) {
    let (mut waiting, mut request_id) = (HashMap::new(), 0);
    loop {
        tokio::select! {
            packet = transport.next() => {
                let took = packet.and_then(|packet| transport.read(&packet).map(|view| take(user, &view, &mut waiting, &stats)));
                if let Err(error) = took {
                    return stats.outcome.borrow_mut().wrong(|| format!("the session of user {user} failed: {error:#}"));
                }
            }
            ask = asks.recv() => {
                let Some((due, ask)) = ask else { return };
                request_id += 1;
                waiting.insert(request_id, (due, ask.clone()));
                if let Err(error) = transport.ask(request_id, ask).await {
                    return stats.outcome.borrow_mut().wrong(|| format!("user {user} cannot send: {error:#}"));
                }
            }
        }
    }
}

fn take(
    user: usize,
    view: &PacketView<'_>,
    waiting: &mut HashMap<u64, (Instant, SessionRequest)>,
    stats: &TeamStats,
) {
    match (view.packet_type, view.request_id.and_then(|id| waiting.remove(&id))) {
        ("Event", None) => {
            let mut cursors = stats.cursors.borrow_mut();
            let received =
                stats.transcript.borrow_mut().received(user, cursors.entry(user).or_default(), view);
            match received {
                Ok(due) => stats.delivered(due),
                Err(reason) => stats.outcome.borrow_mut().wrong(|| reason),
            }
        }
        // Presence, typing users, read cursors of others, and notifications that reading has
        // cleared.
        ("Presence" | "Typing" | "Marks" | "NotificationsRead", None) => {}
        ("Ack", Some((due, SessionRequest::Send { chat, .. }))) if view.is_fresh_ack() => {
            stats.transcript.borrow_mut().acknowledged(chat);
            stats.done(Operation::Send, due);
        }
        ("Ack", Some((due, SessionRequest::Mark { .. }))) if view.success == Some(true) => {
            stats.done(Operation::Mark, due)
        }
        ("Ack", Some((due, SessionRequest::Typing { .. }))) if view.success == Some(true) => {
            stats.done(Operation::Typing, due)
        }
        ("Messages", Some((due, SessionRequest::Page { chat }))) => {
            let dense = view.messages.windows(2).all(|two| matches!(two, [one, next] if one.seq < next.seq))
                && view.chat_id == Some(chat);
            stats.outcome.borrow_mut().check(dense, || format!("a page of chat {chat}: {view:?}"));
            stats.done(Operation::Page, due);
        }
        (_, ask) => stats.outcome.borrow_mut().wrong(|| format!("user {user} gets {view:?} for {ask:?}")),
    }
}
