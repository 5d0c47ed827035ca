//! The routes by name, with the scope that each needs of an access token. The names are listed here
//! because building the OpenAPI document for them takes megabytes. A test compares the two.
//!
//! Invariant: a route that is not listed accepts no access token ([`required_scope_of`]).

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::access::RequiredScope;

/// Method and path of every route in the OpenAPI document, and its need. `RequiredScope::Identity`
/// is for routes without credentials, and for routes that check the role which a token grants:
/// projects, repositories and git.
pub(crate) const DESCRIBED: [(&str, &str, RequiredScope); 108] = [
    ("GET", "/api/admin/audit", RequiredScope::ServerAdmin),
    ("GET", "/api/admin/health", RequiredScope::ServerAdmin),
    ("GET", "/api/admin/users", RequiredScope::ServerAdmin),
    ("POST", "/api/admin/chats/{id}/take-over", RequiredScope::ServerAdmin),
    ("POST", "/api/admin/projects/{user}/{project}/take-over", RequiredScope::ServerAdmin),
    ("PATCH", "/api/admin/users/{username}", RequiredScope::ServerAdmin),
    ("GET", "/api/chats", RequiredScope::ChatRead),
    ("POST", "/api/chats", RequiredScope::ChatWrite),
    ("POST", "/api/chats/leave", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}", RequiredScope::ChatWrite),
    ("GET", "/api/chats/{id}", RequiredScope::ChatRead),
    ("PATCH", "/api/chats/{id}", RequiredScope::ChatWrite),
    ("GET", "/api/chats/{id}/events", RequiredScope::ChatRead),
    ("GET", "/api/chats/{id}/seq", RequiredScope::ChatRead),
    ("GET", "/api/chats/threads", RequiredScope::ChatRead),
    ("POST", "/api/chats/{id}/files", RequiredScope::ChatWrite),
    ("DELETE", "/api/files/{id}", RequiredScope::ChatWrite),
    ("GET", "/api/files/{id}", RequiredScope::ChatRead),
    ("GET", "/api/files/{id}/thumbnail", RequiredScope::ChatRead),
    ("GET", "/api/files/{id}/upload", RequiredScope::ChatWrite),
    ("PUT", "/api/files/{id}/upload", RequiredScope::ChatWrite),
    ("GET", "/api/chats/{id}/messages", RequiredScope::ChatRead),
    ("POST", "/api/chats/{id}/messages", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}", RequiredScope::ChatWrite),
    ("PATCH", "/api/chats/{id}/messages/{message_id}", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/follow", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/follow", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/pin", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/pin", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/notify", RequiredScope::ChatWrite),
    ("GET", "/api/chats/{id}/participants", RequiredScope::ChatRead),
    ("DELETE", "/api/chats/{id}/participants/{username}", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/participants/{username}", RequiredScope::ChatWrite),
    ("POST", "/api/chats/{id}/read", RequiredScope::ChatWrite),
    ("POST", "/api/chats/{id}/unread", RequiredScope::ChatWrite),
    ("DELETE", "/api/chats/{id}/hidden", RequiredScope::ChatWrite),
    ("PUT", "/api/chats/{id}/hidden", RequiredScope::ChatWrite),
    ("POST", "/api/chats/read", RequiredScope::ChatWrite),
    ("GET", "/api/notifications", RequiredScope::ChatRead),
    ("POST", "/api/notifications/read", RequiredScope::ChatWrite),
    ("POST", "/api/notifications/{id}/read", RequiredScope::ChatWrite),
    ("GET", "/api/presence", RequiredScope::ChatRead),
    ("GET", "/api/projects", RequiredScope::Identity),
    ("POST", "/api/projects/create", RequiredScope::Identity),
    ("DELETE", "/api/projects/{user}/{project}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}", RequiredScope::Identity),
    ("PATCH", "/api/projects/{user}/{project}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/config", RequiredScope::Identity),
    ("PUT", "/api/projects/{user}/{project}/config", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/members", RequiredScope::Identity),
    ("DELETE", "/api/projects/{user}/{project}/members/{username}", RequiredScope::Admin),
    ("PUT", "/api/projects/{user}/{project}/members/{username}", RequiredScope::Admin),
    ("GET", "/api/projects/{user}/{project}/repos", RequiredScope::Identity),
    ("POST", "/api/projects/{user}/{project}/repos/create", RequiredScope::Identity),
    ("DELETE", "/api/projects/{user}/{project}/repos/{repo}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}", RequiredScope::Identity),
    ("PATCH", "/api/projects/{user}/{project}/repos/{repo}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.tar.gz", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.zip", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blame/{ref}/{path}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/branches", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits/{oid}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/compare/{base}...{head}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/files/{ref}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/raw/{ref}/{path}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tags", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/talks", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}", RequiredScope::Identity),
    ("POST", "/api/projects/{user}/{project}/repos/{repo}/visitors", RequiredScope::ChatWrite),
    ("DELETE", "/api/projects/{user}/{project}/watch", RequiredScope::ChatWrite),
    ("PUT", "/api/projects/{user}/{project}/watch", RequiredScope::ChatWrite),
    ("GET", "/api/repos", RequiredScope::Identity),
    ("POST", "/api/repos/create", RequiredScope::Identity),
    ("GET", "/api/search", RequiredScope::Identity),
    ("GET", "/api/server", RequiredScope::Identity),
    ("POST", "/api/udp/ticket", RequiredScope::Person),
    ("GET", "/api/users", RequiredScope::ChatRead),
    ("POST", "/api/users/login", RequiredScope::Identity),
    ("POST", "/api/users/logout", RequiredScope::Person),
    ("DELETE", "/api/chats/{id}/avatar", RequiredScope::ChatWrite),
    ("GET", "/api/chats/{id}/avatar", RequiredScope::ChatRead),
    ("PUT", "/api/chats/{id}/avatar", RequiredScope::ChatWrite),
    ("DELETE", "/api/projects/{user}/{project}/avatar", RequiredScope::Identity),
    ("GET", "/api/projects/{user}/{project}/avatar", RequiredScope::Identity),
    ("PUT", "/api/projects/{user}/{project}/avatar", RequiredScope::Identity),
    ("DELETE", "/api/users/me/avatar", RequiredScope::Person),
    ("PUT", "/api/users/me/avatar", RequiredScope::Person),
    ("GET", "/api/users/{username}/avatar", RequiredScope::Identity),
    ("GET", "/api/users/me", RequiredScope::Identity),
    ("PATCH", "/api/users/me", RequiredScope::Person),
    ("GET", "/api/users/me/blocks", RequiredScope::ChatRead),
    ("DELETE", "/api/users/me/blocks/{username}", RequiredScope::ChatWrite),
    ("PUT", "/api/users/me/blocks/{username}", RequiredScope::ChatWrite),
    ("GET", "/api/users/me/logins", RequiredScope::Person),
    ("DELETE", "/api/users/me/logins/{id}", RequiredScope::Person),
    ("POST", "/api/users/me/password", RequiredScope::Person),
    ("GET", "/api/users/me/tokens", RequiredScope::Person),
    ("POST", "/api/users/me/tokens", RequiredScope::Person),
    ("DELETE", "/api/users/me/tokens/{id}", RequiredScope::Person),
    ("POST", "/api/users/refresh", RequiredScope::Identity),
    ("POST", "/api/users/register", RequiredScope::Identity),
    ("GET", "/api/users/{username}", RequiredScope::Identity),
];

/// Routes that are not in the OpenAPI document: those of git and Git LFS, the document itself, and
/// the upgrade to a session.
pub(crate) const OTHERS: [(&str, &str, RequiredScope); 16] = [
    ("GET", "/ws", RequiredScope::Identity),
    ("GET", "/docs", RequiredScope::Identity),
    ("GET", "/docs/{file}", RequiredScope::Identity),
    ("GET", "/api/openapi.json", RequiredScope::Identity),
    ("GET", "/{user}/{project}/{repo}/info/refs", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/git-upload-pack", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/git-receive-pack", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/git-upload-archive", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/info/lfs/objects/batch", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/info/lfs/objects/verify", RequiredScope::Identity),
    ("GET", "/{user}/{project}/{repo}/info/lfs/objects/{oid}", RequiredScope::Identity),
    ("PUT", "/{user}/{project}/{repo}/info/lfs/objects/{oid}", RequiredScope::Identity),
    ("GET", "/{user}/{project}/{repo}/info/lfs/locks", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/info/lfs/locks", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/info/lfs/locks/verify", RequiredScope::Identity),
    ("POST", "/{user}/{project}/{repo}/info/lfs/locks/{id}/unlock", RequiredScope::Identity),
];

/// The pattern of a request's route, stored in the request's extensions: actix-web matches all
/// routes again for each call of `match_pattern`.
#[derive(Clone, Default)]
pub(crate) struct Route(pub(crate) Option<Arc<str>>);

/// Returns the need of a route. A route that is not declared needs a login: access tokens are
/// refused.
pub(crate) fn required_scope_of(method: &str, route: &str) -> RequiredScope {
    let route = name_of(route);
    let mut declared = DESCRIBED.iter().chain(&OTHERS);
    let found = declared.find(|(named, path, _)| *named == method && *path == route);
    found.map_or(RequiredScope::Person, |(.., required_scope)| *required_scope)
}

/// Returns whether this route exists.
pub(crate) fn exists(method: &str, route: &str) -> bool {
    DESCRIBED.iter().chain(&OTHERS).any(|(named, path, _)| *named == method && *path == route)
}

/// Returns the name of an actix-web route: `{path:.*}` becomes `{path}`.
pub(crate) fn name_of(route: &str) -> Cow<'_, str> {
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
        assert_eq!(required_scope_of("GET", "/api/admin/audit"), RequiredScope::ServerAdmin);
        assert_eq!(required_scope_of("POST", "/api/admin/audit"), RequiredScope::Person);
        assert_eq!(required_scope_of("GET", "/api/something/new"), RequiredScope::Person);
        let blob = "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path:.*}";
        assert_eq!(required_scope_of("GET", blob), RequiredScope::Identity);
    }
}
