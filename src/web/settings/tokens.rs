//! `/settings/tokens`: the visitor's access tokens.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use askama::Template;

use super::shell;
use crate::domain::access::{AccessToken, Scope};
use crate::domain::ids::AccessTokenId;
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::protocol::code::Code;
use crate::services::Services;
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::{Moment, count};
use crate::web::visitor::Visitor;

/// Returns the permission of a scope in words.
pub(super) fn in_words(scope: Scope) -> &'static str {
    match scope {
        Scope::RepoRead => "read repositories",
        Scope::RepoWrite => "push to repositories",
        Scope::ChatRead => "read chats",
        Scope::ChatWrite => "write in chats",
        Scope::Admin => "manage projects",
        Scope::ServerAdmin => "administer the server",
    }
}

struct TokenRow {
    id: AccessTokenId,
    name: String,
    scopes: String,
    repositories: String,
    created: Moment,
    used: Option<Moment>,
    expires: Option<Moment>,
    is_expired: bool,
}

impl TokenRow {
    fn new(token: &AccessToken, now: Timestamp) -> Self {
        let scopes: Vec<_> = token.scopes.iter().map(|scope| in_words(*scope)).collect();
        let chosen = token.repositories.as_ref().map(|chosen| chosen.len());
        Self {
            id: token.id,
            name: token.name.clone(),
            scopes: scopes.join(", "),
            repositories: chosen
                .map(|number| count(number, "repository", "repositories"))
                .unwrap_or_default(),
            created: Moment::of(token.created_at),
            used: token.last_used_at.map(Moment::of),
            expires: token.expires_at.map(Moment::of),
            is_expired: !token.is_live(now),
        }
    }
}

#[derive(Template)]
#[template(path = "settings/tokens.html")]
struct TokensPage {
    shell: Shell,
    tokens: Vec<TokenRow>,
}

/// Returns the list.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let tokens: Vec<Arc<AccessToken>> = services.tokens(visitor.required()?).await?;
    let now = Timestamp::now();
    let page = TokensPage {
        shell: shell(&request, &visitor, "Access tokens"),
        tokens: tokens.iter().map(|token| TokenRow::new(token, now)).collect(),
    };
    layout::page(&request, &page).await
}

/// Revokes a token.
pub(in crate::web) async fn revoke(
    visitor: Visitor,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    match services.revoke_token(visitor.required()?, AccessTokenId(id.0)).await {
        // It was revoked or has expired meanwhile.
        Err(error) if error.code == Code::NotFound => {}
        outcome => outcome?,
    }
    Ok(see_other("/settings/tokens"))
}
