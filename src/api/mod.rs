//! The HTTP edge: routes, shapes and conventions. Every handler asks a service; none holds state.
//!
//! The route table is [`routes`]. Errors are RFC 9457 problems everywhere ([`error`]); every answer carries a request id
//! and the security headers ([`observe`]).

mod chat;
mod error;
mod extract;
mod message;
pub mod observe;
mod operations;
mod page;
mod server;
mod user;

use actix_web::web;
pub use operations::{Operations, Readiness, routes as operations_routes};
pub use server::ServerInfo;

/// Every route of the public listener, on one screen.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api/server").get(server::info))
        .service(web::resource("/api/users/register").post(user::register))
        .service(web::resource("/api/users/login").post(user::login))
        .service(web::resource("/api/users/refresh").post(user::refresh))
        .service(web::resource("/api/users/logout").post(user::logout))
        .service(web::resource("/api/users/me").get(user::me).patch(user::update_me))
        .service(web::resource("/api/users/me/password").post(user::change_password))
        .service(web::resource("/api/users/{username}").get(user::by_name))
        .service(web::resource("/api/chats").get(chat::list).post(chat::create))
        .service(web::resource("/api/chats/{id}").get(chat::get).patch(chat::update))
        .service(web::resource("/api/chats/{id}/participants").get(chat::participants))
        .service(
            web::resource("/api/chats/{id}/participants/{username}")
                .put(chat::put_participant)
                .delete(chat::remove_participant),
        )
        .service(web::resource("/api/chats/{id}/read").post(chat::mark_read))
        .service(web::resource("/api/chats/{id}/messages").get(message::list).post(message::post))
        .service(web::resource("/api/chats/{id}/events").get(message::events))
        .default_service(web::to(error::no_route));
}
