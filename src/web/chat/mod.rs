//! The pages of the chat program: one shell for all of its addresses.
//!
//! The program (`web/js/chat/main.js`) draws chats, messages and notifications, and moves between
//! its addresses without loading a page. The server sends the shell with a block of data, from
//! which the program draws the first picture before its session is open.
//!
//! Deliberately absent: messages as HTML. They are drawn in one place only, by the program.

mod show;
mod state;

use actix_web::web;

/// Registers the addresses of the program.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(super::page("/chat").get(show::last))
        .service(super::page("/chat/{chat}").get(show::chat))
        .service(super::page("/chat/{chat}/{seq}").get(show::message))
        .service(super::page("/chat/{chat}/thread/{message}").get(show::thread))
        .service(super::page("/inbox").get(show::inbox));
}
