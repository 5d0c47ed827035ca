//! `/chat`, the addresses below it, and `/inbox`.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::state::{State, data_of};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::http::address::base_url;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::services::Services;
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::visitor::Visitor;

/// Newest events of the open chat in a page: as many as the program requests at once.
const EVENTS_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "chat/show.html")]
struct ChatPage {
    shell: Shell,
    state: SafeHtml,
    /// The address of the server, for the terminal client.
    base_url: String,
}

/// Returns the program; it opens the chat that was open last in this browser.
pub(super) async fn last(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    page((&visitor, &request, &services), "Chat", None).await
}

/// Returns the program with a chat.
pub(super) async fn chat(
    visitor: Visitor,
    request: HttpRequest,
    chat: Path<ChatId>,
    services: web::Data<Services>,
) -> HttpResult {
    page((&visitor, &request, &services), "Chat", Some(chat.0)).await
}

/// Returns the program with a chat; it goes to the message at a position.
pub(super) async fn message(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<(ChatId, Seq)>,
    services: web::Data<Services>,
) -> HttpResult {
    page((&visitor, &request, &services), "Chat", Some(at.0.0)).await
}

/// Returns the program with a chat; it opens the thread of a message.
pub(super) async fn thread(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<(ChatId, MessageId)>,
    services: web::Data<Services>,
) -> HttpResult {
    page((&visitor, &request, &services), "Chat", Some(at.0.0)).await
}

/// Returns the program with the notifications of the visitor.
pub(super) async fn inbox(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    page((&visitor, &request, &services), "Inbox", None).await
}

/// Returns the shell with its data.
///
/// A chat that the visitor may not read yields the same page as a chat that does not exist; the
/// program shows "not found". The page is `private, no-cache` with a tag, as all pages are.
/// Browsers keep it for the Back button, which `no-store` would prevent in some, and the program
/// updates what it shows when its session is open again.
async fn page(
    (visitor, request, services): (&Visitor, &HttpRequest, &Services),
    title: &str,
    open: Option<ChatId>,
) -> HttpResult {
    let who = visitor.required()?;
    let me = services.me(who).await?;
    let first = services.first_chats(who).await?;
    let events = match open {
        Some(chat) => services.newest_events(who, chat, EVENTS_SHOWN, false).await?,
        None => None,
    };
    let state = State { me: &me, first: &first, open: open.zip(events.as_ref()) };
    let page = ChatPage {
        shell: Shell::new(request, visitor, title),
        state: data_of(&state),
        base_url: base_url(request, services),
    };
    layout::page(request, &page).await
}
