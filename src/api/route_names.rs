//! The names of the routes, for whoever counts requests by route. Written down, because asking the API's description for
//! them takes megabytes; a test compares the two.

/// Method and path of every route that the description names.
pub(super) const DESCRIBED: [(&str, &str); 69] = [
    ("GET", "/api/admin/audit"),
    ("PATCH", "/api/admin/users/{username}"),
    ("GET", "/api/chats"),
    ("POST", "/api/chats"),
    ("GET", "/api/chats/{id}"),
    ("PATCH", "/api/chats/{id}"),
    ("GET", "/api/chats/{id}/events"),
    ("GET", "/api/chats/{id}/messages"),
    ("POST", "/api/chats/{id}/messages"),
    ("DELETE", "/api/chats/{id}/messages/{message_id}"),
    ("PATCH", "/api/chats/{id}/messages/{message_id}"),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/pin"),
    ("PUT", "/api/chats/{id}/messages/{message_id}/pin"),
    ("DELETE", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}"),
    ("PUT", "/api/chats/{id}/messages/{message_id}/reactions/{emoji}"),
    ("PUT", "/api/chats/{id}/notify"),
    ("GET", "/api/chats/{id}/participants"),
    ("DELETE", "/api/chats/{id}/participants/{username}"),
    ("PUT", "/api/chats/{id}/participants/{username}"),
    ("POST", "/api/chats/{id}/read"),
    ("GET", "/api/notifications"),
    ("POST", "/api/notifications/read"),
    ("POST", "/api/notifications/{id}/read"),
    ("GET", "/api/presence"),
    ("GET", "/api/projects"),
    ("POST", "/api/projects/create"),
    ("DELETE", "/api/projects/{user}/{project}"),
    ("GET", "/api/projects/{user}/{project}"),
    ("PATCH", "/api/projects/{user}/{project}"),
    ("GET", "/api/projects/{user}/{project}/config"),
    ("PUT", "/api/projects/{user}/{project}/config"),
    ("GET", "/api/projects/{user}/{project}/members"),
    ("DELETE", "/api/projects/{user}/{project}/members/{username}"),
    ("PUT", "/api/projects/{user}/{project}/members/{username}"),
    ("GET", "/api/projects/{user}/{project}/repos"),
    ("POST", "/api/projects/{user}/{project}/repos/create"),
    ("DELETE", "/api/projects/{user}/{project}/repos/{repo}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}"),
    ("PATCH", "/api/projects/{user}/{project}/repos/{repo}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.tar.gz"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.zip"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blame/{ref}/{path}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/branches"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits/{oid}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/compare/{base}...{head}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/raw/{ref}/{path}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tags"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}"),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}"),
    ("DELETE", "/api/projects/{user}/{project}/watch"),
    ("PUT", "/api/projects/{user}/{project}/watch"),
    ("GET", "/api/repos"),
    ("POST", "/api/repos/create"),
    ("GET", "/api/server"),
    ("POST", "/api/udp/ticket"),
    ("POST", "/api/users/login"),
    ("POST", "/api/users/logout"),
    ("GET", "/api/users/me"),
    ("PATCH", "/api/users/me"),
    ("POST", "/api/users/me/password"),
    ("GET", "/api/users/me/tokens"),
    ("POST", "/api/users/me/tokens"),
    ("DELETE", "/api/users/me/tokens/{id}"),
    ("POST", "/api/users/refresh"),
    ("POST", "/api/users/register"),
    ("GET", "/api/users/{username}"),
];

/// Routes that are no part of the description: they speak git, are the description, or become a session.
pub(super) const OTHERS: [(&str, &str); 7] = [
    ("GET", "/ws"),
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/api/openapi.json"),
    ("GET", "/{user}/{project}/{repo}/info/refs"),
    ("POST", "/{user}/{project}/{repo}/git-upload-pack"),
    ("POST", "/{user}/{project}/{repo}/git-receive-pack"),
];

/// A route of actix-web by its name here: `{path:.*}` is `{path}`.
pub(super) fn name_of(route: &str) -> std::borrow::Cow<'_, str> {
    if route.contains(":.*}") { route.replace(":.*}", "}").into() } else { route.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::openapi::describe;

    #[test]
    fn the_list_is_that_of_the_description() {
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
        let listed = DESCRIBED.map(|(method, path)| (method.to_owned(), path.to_owned()));
        assert_eq!(described, listed.into());
    }
}
