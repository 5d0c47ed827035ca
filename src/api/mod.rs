//! The HTTP edge: routes, shapes and conventions. Every handler calls a service; handlers hold no
//! state.
//!
//! The route table is [`routes`]. Errors are RFC 9457 problems everywhere ([`error`]). Every
//! response has a request id and the security headers ([`observe`]).

mod admin;
mod avatar;
mod browse;
mod chat;
mod control;
pub mod docs;
mod file;
mod file_thumbnail;
mod git;
mod git_refusal;
mod history;
mod lfs;
mod lfs_locks;
mod login;
mod message;
mod message_update;
mod notification;
pub mod openapi;
mod operations;
mod page;
mod people;
mod presence;
mod project;
mod remote_archives;
mod repo;
mod schemas;
mod search;
mod server;
mod talk;
mod thread;
mod token;
mod user;

use actix_web::error::QueryPayloadError;
use actix_web::{HttpRequest, guard, web};

use crate::http::error::HttpError;
use crate::http::lfs_error::LfsError;

pub use control::routes as control_routes;
pub use operations::{Operations, OpsState, Readiness, routes as operations_routes};
pub use server::ServerInfo;

/// Registers every route of the public listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api/server").get(server::info))
        .service(web::resource("/api/users").get(people::users))
        .service(web::resource("/api/users/register").post(user::register))
        .service(web::resource("/api/users/login").post(user::login))
        .service(web::resource("/api/users/refresh").post(user::refresh))
        .service(web::resource("/api/users/logout").post(user::logout))
        .service(web::resource("/api/users/me").get(user::me).patch(user::update_me))
        .service(web::resource("/api/users/me/password").post(user::change_password))
        .service(web::resource("/api/users/me/logins").get(login::list))
        .service(web::resource("/api/users/me/logins/{id}").delete(login::end))
        .service(web::resource("/api/users/me/tokens").get(token::list).post(token::create))
        .service(web::resource("/api/users/me/tokens/{id}").delete(token::revoke))
        .service(web::resource("/api/users/me/blocks").get(people::blocks))
        .service(web::resource("/api/users/me/blocks/{username}").put(people::block).delete(people::unblock))
        .service(web::resource("/api/users/me/avatar").put(avatar::set_own).delete(avatar::remove_own))
        .service(web::resource("/api/users/{username}").get(user::by_name))
        .service(web::resource("/api/users/{username}/avatar").get(avatar::of_user))
        .service(web::resource("/api/admin/chats/{id}/take-over").post(admin::take_over_chat))
        .service(
            web::resource("/api/admin/projects/{user}/{project}/take-over").post(admin::take_over_project),
        )
        .service(web::resource("/api/admin/users").get(admin::users))
        .service(web::resource("/api/admin/users/{username}").patch(admin::update_user))
        .service(web::resource("/api/admin/audit").get(admin::audit))
        .service(web::resource("/api/admin/health").get(admin::health))
        .service(web::resource("/api/chats").get(chat::list).post(chat::create))
        .service(web::resource("/api/chats/read").post(chat::mark_all_read))
        .service(web::resource("/api/chats/leave").post(people::leave_chats))
        .service(web::resource("/api/chats/threads").get(thread::list))
        .service(web::resource("/api/chats/{id}").get(chat::get).patch(chat::update).delete(chat::delete))
        .service(web::resource("/api/chats/{id}/participants").get(chat::participants))
        .service(
            web::resource("/api/chats/{id}/participants/{username}")
                .put(chat::put_participant)
                .delete(chat::remove_participant),
        )
        .service(web::resource("/api/chats/{id}/notify").put(chat::set_notify_level))
        .service(web::resource("/api/chats/{id}/read").post(chat::mark_read))
        .service(web::resource("/api/chats/{id}/unread").post(chat::mark_unread))
        .service(web::resource("/api/chats/{id}/hidden").put(chat::hide).delete(chat::show))
        .service(web::resource("/api/chats/{id}/messages").get(message::list).post(message::post))
        .service(
            web::resource("/api/chats/{id}/messages/{message_id}")
                .patch(message_update::edit)
                .delete(message_update::delete),
        )
        .service(
            web::resource("/api/chats/{id}/messages/{message_id}/reactions/{emoji}")
                .put(message_update::react)
                .delete(message_update::unreact),
        )
        .service(
            web::resource("/api/chats/{id}/messages/{message_id}/follow")
                .put(message_update::follow)
                .delete(message_update::mute),
        )
        .service(
            web::resource("/api/chats/{id}/messages/{message_id}/pin")
                .put(message_update::pin)
                .delete(message_update::unpin),
        )
        .service(web::resource("/api/chats/{id}/events").get(message::events))
        .service(web::resource("/api/chats/{id}/seq").get(message::seq_at))
        .service(
            web::resource("/api/chats/{id}/avatar")
                .get(avatar::of_chat)
                .put(avatar::set_of_chat)
                .delete(avatar::remove_of_chat),
        )
        .service(web::resource("/api/chats/{id}/files").post(file::create))
        .service(web::resource("/api/files/{id}").get(file::get).delete(file::delete))
        .service(web::resource("/api/files/{id}/thumbnail").get(file_thumbnail::get))
        .service(web::resource("/api/files/{id}/upload").get(file::upload_state).put(file::upload))
        .service(web::resource("/api/search").get(search::search))
        .service(web::resource("/api/presence").get(presence::look))
        .service(web::resource("/api/udp/ticket").post(presence::issue_ticket))
        .service(web::resource("/api/notifications").get(notification::list))
        .service(web::resource("/api/notifications/read").post(notification::mark_all_read))
        .service(web::resource("/api/notifications/{id}/read").post(notification::mark_read))
        .service(web::resource("/api/openapi.json").get(openapi::json))
        .service(web::resource("/docs").get(docs::folder))
        .service(web::resource("/docs/{file:.*}").get(docs::file))
        .configure(projects)
        .configure(browsing)
        .configure(git_over_http)
        .configure(git_lfs);
}

/// Registers the routes of projects and repositories.
fn projects(config: &mut web::ServiceConfig) {
    const PROJECT: &str = "/api/projects/{user}/{project}";
    let project = |rest: &str| web::resource(format!("{PROJECT}{rest}"));
    #[expect(deprecated, reason = "the legacy routes are served as long as they are announced")]
    let (legacy_list, legacy_create) =
        (web::get().to(repo::legacy_list), web::post().to(repo::legacy_create));
    config
        .service(web::resource("/api/projects").get(project::list))
        .service(web::resource("/api/projects/create").post(project::create))
        .service(project("").get(project::get).patch(project::update).delete(project::delete))
        .service(project("/config").get(project::config).put(project::put_config))
        .service(
            project("/avatar")
                .get(avatar::of_project)
                .put(avatar::set_of_project)
                .delete(avatar::remove_of_project),
        )
        .service(project("/members").get(project::members))
        .service(project("/members/{username}").put(project::put_member).delete(project::remove_member))
        .service(project("/watch").put(project::watch).delete(project::unwatch))
        .service(project("/repos").get(repo::list))
        // Only for POST: a repository may have this name.
        .service(project("/repos/create").guard(guard::Post()).post(repo::create))
        .service(project("/repos/{repo}").get(repo::get).patch(repo::update).delete(repo::delete))
        .service(web::resource("/api/repos").route(legacy_list))
        .service(web::resource("/api/repos/create").route(legacy_create));
}

/// Registers the routes for repository contents. A ref is one percent-encoded segment; a path is
/// the rest.
fn browsing(config: &mut web::ServiceConfig) {
    const REPOSITORY: &str = "/api/projects/{user}/{project}/repos/{repo}";
    let repository = |rest: &str| web::resource(format!("{REPOSITORY}{rest}"));
    config
        .service(repository("/branches").get(browse::branches))
        .service(repository("/tags").get(browse::tags))
        .service(repository("/talks").get(talk::list))
        .service(repository("/visitors").post(presence::visit))
        .service(repository("/tree").get(browse::tree_of_default_branch))
        .service(repository("/tree/{ref}").get(browse::tree_of_ref))
        .service(repository("/tree/{ref}/{path:.*}").get(browse::tree))
        .service(repository("/files/{ref}").get(browse::files))
        .service(repository("/blob/{ref}/{path:.*}").get(browse::blob))
        .service(repository("/raw/{ref}/{path:.*}").get(browse::raw))
        .service(repository("/commits").get(history::commits))
        .service(repository("/commits/{oid}").get(history::commit))
        .service(repository("/compare/{base}...{head}").get(history::compare))
        .service(repository("/blame/{ref}/{path:.*}").get(history::blame))
        .service(repository("/archive/{ref}.tar.gz").get(browse::archive_tar_gz))
        .service(repository("/archive/{ref}.zip").get(browse::archive_zip));
}

/// Registers the routes of the git client.
fn git_over_http(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/{user}/{project}/{repo}/info/refs").get(git::info_refs))
        .service(web::resource("/{user}/{project}/{repo}/git-upload-pack").post(git::upload_pack))
        .service(web::resource("/{user}/{project}/{repo}/git-receive-pack").post(git::receive_pack))
        .service(
            web::resource("/{user}/{project}/{repo}/git-upload-archive")
                .post(remote_archives::upload_archive),
        );
}

/// Registers the routes of the Git LFS client.
fn git_lfs(config: &mut web::ServiceConfig) {
    const LFS: &str = "/{user}/{project}/{repo}/info/lfs";
    let refused = |error: QueryPayloadError, _: &HttpRequest| -> actix_web::Error {
        LfsError::from(HttpError::bad_request(format!("the query is not valid: {error}"))).into()
    };
    let of_lfs = |rest: &str| {
        web::resource(format!("{LFS}{rest}")).app_data(web::QueryConfig::default().error_handler(refused))
    };
    config
        .service(of_lfs("/objects/batch").post(lfs::batch))
        .service(of_lfs("/objects/verify").post(lfs::verify))
        .service(of_lfs("/objects/{oid}").get(lfs::download).put(lfs::upload))
        .service(of_lfs("/locks").get(lfs_locks::list).post(lfs_locks::create))
        .service(of_lfs("/locks/verify").post(lfs_locks::verify))
        .service(of_lfs("/locks/{id}/unlock").post(lfs_locks::unlock));
}
