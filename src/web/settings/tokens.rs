//! `/settings/tokens`: the visitor's access tokens.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use askama::Template;

use super::shell;
use crate::core::plural::plural;
use crate::domain::access::{AccessToken, Scope};
use crate::domain::ids::AccessTokenId;
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::protocol::code::Code;
use crate::services::Services;
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::Moment;
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

/// Repositories that a token of the list is limited to and that are named; the others are counted.
const NAMED: usize = 3;

struct TokenRow {
    id: AccessTokenId,
    name: String,
    scopes: String,
    /// The repositories that the token is limited to; empty: all of the user.
    repositories: String,
    created: Moment,
    used: Option<Moment>,
    expires: Option<Moment>,
    is_expired: bool,
}

impl TokenRow {
    fn new(token: &AccessToken, names: Vec<String>, now: Timestamp) -> Self {
        let scopes: Vec<_> = token.scopes.iter().map(|scope| in_words(*scope)).collect();
        let chosen = token.repositories.as_ref().map_or(0, |chosen| chosen.len());
        Self {
            id: token.id,
            name: token.name.clone(),
            scopes: scopes.join(", "),
            repositories: limits_in_words(&names, chosen, token.repositories.is_some()),
            created: Moment::of(token.created_at),
            used: token.last_used_at.map(Moment::of),
            expires: token.expires_at.map(Moment::of),
            is_expired: !token.is_live(now),
        }
    }
}

/// Returns the names of some repositories of a token and the number of the others.
fn limits_in_words(names: &[String], chosen: usize, is_limited: bool) -> String {
    let others = chosen.saturating_sub(names.len());
    match (is_limited, names.is_empty(), others) {
        (false, ..) => String::new(),
        (true, true, _) => plural(chosen, "repository", "repositories"),
        (true, false, 0) => names.join(", "),
        (true, false, _) => format!("{} and {}", names.join(", "), plural(others, "other", "others")),
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
    let who = visitor.required()?;
    let tokens: Vec<Arc<AccessToken>> = services.tokens(who).await?;
    let (now, mut rows) = (Timestamp::now(), Vec::with_capacity(tokens.len()));
    for token in &tokens {
        let named: Vec<_> = token.repositories.iter().flatten().take(NAMED).copied().collect();
        let names = if named.is_empty() { Vec::new() } else { services.repository_paths(who, named).await? };
        rows.push(TokenRow::new(token, names, now));
    }
    let page = TokensPage { shell: shell(&request, &visitor, "Access tokens"), tokens: rows };
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
    Ok(see_other("/settings/tokens?done=revoked"))
}
