//! The routes by name, with the scope that each needs of an access token. The names are listed here
//! because building the OpenAPI document for them takes megabytes. A test compares the two.
//!
//! Invariant: a route that is not listed accepts no access token ([`need_of`]).

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::access::Need;

/// Method and path of every route in the OpenAPI document, and its need. `Need::Identity` is for
/// routes without credentials, and for routes that check the role which a token grants: projects,
/// repositories and git.
pub(super) const DESCRIBED: [(&str, &str, Need); 84] = [
    ("GET", "/api/admin/audit", Need::ServerAdmin),
    ("GET", "/api/admin/users", Need::ServerAdmin),
    ("POST", "/api/admin/chats/{id}/take-over", Need::ServerAdmin),
    ("POST", "/api/admin/projects/{user}/{project}/take-over", Need::ServerAdmin),
    ("PATCH", "/api/admin/users/{username}", Need::ServerAdmin),
    ("GET", "/api/chats", Need::ChatRead),
    ("POST", "/api/chats", Need::ChatWrite),
    ("POST", "/api/chats/leave", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}", Need::ChatWrite),
    ("GET", "/api/chats/{id}", Need::ChatRead),
    ("PATCH", "/api/chats/{id}", Need::ChatWrite),
    ("GET", "/api/chats/{id}/events", Need::ChatRead),
    ("GET", "/api/chats/{id}/messages", Need::ChatRead),
    ("POST", "/api/chats/{id}/messages", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}", Need::ChatWrite),
    ("PATCH", "/api/chats/{id}/messages/{message_id}", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/follow", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/follow", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/pin", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/pin", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/notify", Need::ChatWrite),
    ("GET", "/api/chats/{id}/participants", Need::ChatRead),
    ("DELETE", "/api/chats/{id}/participants/{username}", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/participants/{username}", Need::ChatWrite),
    ("POST", "/api/chats/{id}/read", Need::ChatWrite),
    ("POST", "/api/chats/{id}/unread", Need::ChatWrite),
    ("DELETE", "/api/chats/{id}/hidden", Need::ChatWrite),
    ("PUT", "/api/chats/{id}/hidden", Need::ChatWrite),
    ("POST", "/api/chats/read", Need::ChatWrite),
    ("GET", "/api/notifications", Need::ChatRead),
    ("POST", "/api/notifications/read", Need::ChatWrite),
    ("POST", "/api/notifications/{id}/read", Need::ChatWrite),
    ("GET", "/api/presence", Need::ChatRead),
    ("GET", "/api/projects", Need::Identity),
    ("POST", "/api/projects/create", Need::Identity),
    ("DELETE", "/api/projects/{user}/{project}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}", Need::Identity),
    ("PATCH", "/api/projects/{user}/{project}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/config", Need::Identity),
    ("PUT", "/api/projects/{user}/{project}/config", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/members", Need::Identity),
    ("DELETE", "/api/projects/{user}/{project}/members/{username}", Need::Admin),
    ("PUT", "/api/projects/{user}/{project}/members/{username}", Need::Admin),
    ("GET", "/api/projects/{user}/{project}/repos", Need::Identity),
    ("POST", "/api/projects/{user}/{project}/repos/create", Need::Identity),
    ("DELETE", "/api/projects/{user}/{project}/repos/{repo}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}", Need::Identity),
    ("PATCH", "/api/projects/{user}/{project}/repos/{repo}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.tar.gz", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.zip", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blame/{ref}/{path}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/branches", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits/{oid}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/compare/{base}...{head}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/raw/{ref}/{path}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tags", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}", Need::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}", Need::Identity),
    ("DELETE", "/api/projects/{user}/{project}/watch", Need::ChatWrite),
    ("PUT", "/api/projects/{user}/{project}/watch", Need::ChatWrite),
    ("GET", "/api/repos", Need::Identity),
    ("POST", "/api/repos/create", Need::Identity),
    ("GET", "/api/server", Need::Identity),
    ("POST", "/api/udp/ticket", Need::Person),
    ("GET", "/api/users", Need::ChatRead),
    ("POST", "/api/users/login", Need::Identity),
    ("POST", "/api/users/logout", Need::Person),
    ("GET", "/api/users/me", Need::Identity),
    ("PATCH", "/api/users/me", Need::Person),
    ("GET", "/api/users/me/blocks", Need::ChatRead),
    ("DELETE", "/api/users/me/blocks/{username}", Need::ChatWrite),
    ("PUT", "/api/users/me/blocks/{username}", Need::ChatWrite),
    ("POST", "/api/users/me/password", Need::Person),
    ("GET", "/api/users/me/tokens", Need::Person),
    ("POST", "/api/users/me/tokens", Need::Person),
    ("DELETE", "/api/users/me/tokens/{id}", Need::Person),
    ("POST", "/api/users/refresh", Need::Identity),
    ("POST", "/api/users/register", Need::Identity),
    ("GET", "/api/users/{username}", Need::Identity),
];

/// Routes that are not in the OpenAPI document: git routes, the document itself, and the upgrade to
/// a session.
pub(super) const OTHERS: [(&str, &str, Need); 8] = [
    ("GET", "/ws", Need::Identity),
    ("GET", "/docs", Need::Identity),
    ("GET", "/docs/{file}", Need::Identity),
    ("GET", "/api/openapi.json", Need::Identity),
    ("GET", "/{user}/{project}/{repo}/info/refs", Need::Identity),
    ("POST", "/{user}/{project}/{repo}/git-upload-pack", Need::Identity),
    ("POST", "/{user}/{project}/{repo}/git-receive-pack", Need::Identity),
    ("POST", "/{user}/{project}/{repo}/git-upload-archive", Need::Identity),
];

/// The pattern of a request's route, stored in the request's extensions: actix-web matches all
/// routes again for each call of `match_pattern`.
#[derive(Clone, Default)]
pub(super) struct Route(pub(super) Option<Arc<str>>);

/// Returns the need of a route. A route that is not declared needs a login: access tokens are
/// refused.
pub(super) fn need_of(method: &str, route: &str) -> Need {
    let route = name_of(route);
    let mut declared = DESCRIBED.iter().chain(&OTHERS);
    let found = declared.find(|(named, path, _)| *named == method && *path == route);
    found.map_or(Need::Person, |(.., need)| *need)
}

/// Returns whether this route exists.
pub(super) fn exists(method: &str, route: &str) -> bool {
    DESCRIBED.iter().chain(&OTHERS).any(|(named, path, _)| *named == method && *path == route)
}

/// Returns the name of an actix-web route: `{path:.*}` becomes `{path}`.
pub(super) fn name_of(route: &str) -> Cow<'_, str> {
    if route.contains(":.*}") { route.replace(":.*}", "}").into() } else { route.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::openapi::describe;

    #[test]
    fn route_list_equals_routes_of_openapi_document() {
        let api = describe().paths.paths;
        let of_path = |(path, item): (String, utoipa::openapi::PathItem)| {
            let methods = [
                ("GET", item.get.is_some()),
                ("PUT", item.put.is_some()),
                ("POST", item.post.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let there = methods.into_iter().filter(|(_, exists)| *exists);
            there.map(move |(method, _)| (method.to_owned(), path.clone()))
        };
        let described: BTreeSet<_> = api.into_iter().flat_map(of_path).collect();
        let listed = DESCRIBED.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
        assert_eq!(described, listed.into());
    }

    #[test]
    fn route_without_a_declared_need_takes_no_token() {
        assert_eq!(need_of("GET", "/api/admin/audit"), Need::ServerAdmin);
        assert_eq!(need_of("POST", "/api/admin/audit"), Need::Person);
        assert_eq!(need_of("GET", "/api/something/new"), Need::Person);
        let blob = "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path:.*}";
        assert_eq!(need_of("GET", blob), Need::Identity);
    }
}
