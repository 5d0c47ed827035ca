//! Routes of the control socket, for the operator of the machine.
//!
//! HTTP and JSON like the API, on a Unix socket that only the operator can open. No login is
//! required.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::admin::{AuditAnswer, ManagedUser};
use super::token::{AccessTokenAnswer, TokenBody};
use super::user::RegisterBody;
use crate::domain::chat::ChatKind;
use crate::domain::ids::{AccessTokenId, ChatId, UserId};
use crate::http::error::HttpResult;
use crate::http::extract::{Body, Path, Query};
use crate::protocol::view::EventView;
use crate::services::Services;
use crate::services::storage_nodes::{ListedNode, TakenOver};
use crate::storage::rows::chat::ListedChat;

/// Items per page.
const PAGE: i64 = 500;
/// Events per page: with messages of 16 KiB each, some megabytes.
const EXPORT_PAGE: usize = 200;

/// Registers every route of the socket.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/users").get(users).post(add_user))
        .service(web::resource("/users/{username}").patch(change_user))
        .service(
            web::resource("/users/{username}/tokens").get(tokens).post(create_token).delete(revoke_tokens),
        )
        .service(web::resource("/users/{username}/tokens/{id}").delete(revoke_token))
        .service(web::resource("/chats").get(chats))
        .service(web::resource("/chats/{id}/events").get(events))
        .service(web::resource("/chats/{id}/retention").put(set_retention))
        .service(web::resource("/audit").get(audit))
        .service(web::resource("/nodes").get(nodes))
        .service(web::resource("/nodes/replace").post(replace_node))
        .service(web::resource("/verify").post(verify))
        .service(web::resource("/forwarders").get(forwarders));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    #[serde(default)]
    after: i64,
}

#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
}

fn items<T: Serialize>(items: Vec<T>) -> HttpResult {
    Ok(HttpResponse::Ok().json(Items { items }))
}

async fn users(query: Query<After>, services: web::Data<Services>) -> HttpResult {
    let found = services.users(None, UserId(query.0.after), String::new(), PAGE).await?;
    items(found.into_iter().map(ManagedUser::from).collect())
}

/// A chat as the operator sees it: without its messages.
#[derive(Serialize)]
struct ManagedChat {
    id: ChatId,
    kind: ChatKind,
    name: Option<String>,
    /// The users of a direct chat.
    between: Option<(UserId, UserId)>,
    participants: i64,
    messages: i64,
    archived: bool,
    retention: Option<i64>,
}

impl From<ListedChat> for ManagedChat {
    fn from(ListedChat { chat, participants }: ListedChat) -> Self {
        Self {
            id: chat.id,
            kind: chat.kind,
            between: chat.between,
            participants,
            messages: chat.last_ordinal,
            archived: chat.archived,
            retention: chat.retention,
            name: chat.name,
        }
    }
}

async fn chats(query: Query<After>, services: web::Data<Services>) -> HttpResult {
    let found = services.chats_of_all(ChatId(query.0.after), PAGE).await?;
    items(found.into_iter().map(ManagedChat::from).collect())
}

#[derive(Deserialize)]
struct NewUser {
    #[serde(flatten)]
    user: RegisterBody,
    #[serde(default)]
    is_admin: bool,
}

async fn add_user(body: Body<NewUser>, services: web::Data<Services>) -> HttpResult {
    let NewUser { user, is_admin } = body.0;
    let made = services.add_user(user.into(), is_admin).await?;
    Ok(HttpResponse::Created().json(ManagedUser::from(made)))
}

/// Exactly one change of a user.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum UserChange {
    Active(bool),
    IsAdmin(bool),
    Password(String),
    Username(String),
}

async fn change_user(
    username: Path<String>,
    body: Body<UserChange>,
    services: web::Data<Services>,
) -> HttpResult {
    match body.0 {
        UserChange::Active(active) => drop(services.activate_user(username.0, active).await?),
        UserChange::Username(new) => drop(services.rename_user(username.0, &new).await?),
        UserChange::IsAdmin(is_admin) => services.set_admin(username.0, is_admin).await?,
        UserChange::Password(password) => services.reset_password(username.0, password).await?,
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn tokens(username: Path<String>, services: web::Data<Services>) -> HttpResult {
    let found = services.tokens_of(username.0).await?;
    items(found.iter().map(|token| AccessTokenAnswer::new(token, None)).collect())
}

async fn create_token(
    username: Path<String>,
    body: Body<TokenBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let (request, _) = body.0.into_parts();
    let (token, secret) = services.create_token_for(username.0, request).await?;
    Ok(HttpResponse::Created().json(AccessTokenAnswer::new(&token, Some(secret))))
}

async fn revoke_token(path: Path<(String, i64)>, services: web::Data<Services>) -> HttpResult {
    let (username, id) = path.0;
    services.revoke_token_of(username, AccessTokenId(id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Serialize)]
struct Revoked {
    revoked: usize,
}

async fn revoke_tokens(username: Path<String>, services: web::Data<Services>) -> HttpResult {
    let revoked = services.revoke_tokens_of(username.0).await?;
    Ok(HttpResponse::Ok().json(Revoked { revoked }))
}

async fn events(id: Path<i64>, query: Query<After>, services: web::Data<Services>) -> HttpResult {
    let found = services.export(ChatId(id.0), query.0.after, EXPORT_PAGE).await?;
    items(found.iter().map(|event| EventView::listed(event)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retention {
    keep: Option<i64>,
}

async fn set_retention(id: Path<i64>, body: Body<Retention>, services: web::Data<Services>) -> HttpResult {
    services.set_retention(None, ChatId(id.0), body.0.keep).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Below {
    below: Option<i64>,
}

async fn audit(query: Query<Below>, services: web::Data<Services>) -> HttpResult {
    let found = services.audit(None, query.0.below.unwrap_or(i64::MAX), PAGE).await?;
    items(found.into_iter().map(AuditAnswer::from).collect())
}

/// A node of the database.
#[derive(Serialize)]
struct ManagedNode {
    name: String,
    address: String,
    is_own: bool,
    is_running: bool,
    /// `None` after an orderly stop.
    silent_ms: Option<i64>,
    repositories: i64,
    /// Repositories whose deletion has not ended.
    deleting: i64,
    /// Why the node does not reach itself at its address; known of the own node only.
    address_problem: Option<Arc<str>>,
}

async fn nodes(services: web::Data<Services>) -> HttpResult {
    let shown = |node: ListedNode| ManagedNode {
        name: node.name,
        address: node.address,
        is_own: node.is_own,
        is_running: node.is_running,
        silent_ms: node.silent_ms,
        repositories: node.repositories,
        deleting: node.deleting,
        address_problem: node.address_problem,
    };
    items(services.nodes().await?.into_iter().map(shown).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    old: String,
    new: String,
}

#[derive(Serialize)]
struct Replaced {
    moved: usize,
    missing: usize,
    older: usize,
    settled: usize,
    deleting: usize,
    lfs_missing: usize,
}

/// Makes this node the storage node of the repositories of another one that has ended.
async fn replace_node(body: Body<Replacement>, services: web::Data<Services>) -> HttpResult {
    let Replacement { old, new } = body.0;
    let taken = services.replace_node(&old, &new).await?;
    let TakenOver { moved, missing, older, settled, deleting, lfs_missing, uncopied: _ } = taken;
    Ok(HttpResponse::Ok().json(Replaced { moved, missing, older, settled, deleting, lfs_missing }))
}

#[derive(Serialize)]
struct Differences {
    /// Whether the read models and the database could be compared.
    compared: bool,
    differences: Vec<String>,
}

/// Returns the differences between the read models and the database.
async fn verify(services: web::Data<Services>) -> HttpResult {
    let found = services.compare_with_database().await?;
    let compared = found.is_some();
    Ok(HttpResponse::Ok().json(Differences { compared, differences: found.unwrap_or_default() }))
}

#[derive(Serialize)]
struct Forwarders {
    private: Vec<std::net::IpAddr>,
    public_count: usize,
}

/// Returns peers that send `X-Forwarded-For` without being trusted.
async fn forwarders(services: web::Data<Services>) -> HttpResult {
    let seen = &services.forwarders;
    Ok(HttpResponse::Ok().json(Forwarders { private: seen.private(), public_count: seen.public_count() }))
}
