//! The keys of query strings.
//!
//! An API route refuses a key that it does not have, so that a typo is not ignored silently. Pages
//! and git routes ignore unknown keys.

use actix_web::dev::ServiceRequest;
use actix_web::web;

use super::error::HttpError;
use super::route_names::{exists, name_of};
use crate::core::telemetry::cut;

/// Method, path and keys of every route with keys. A test compares them with the OpenAPI document.
const QUERY_KEYS: [(&str, &str, &[&str]); 31] = [
    ("GET", "/api/admin/audit", &["limit", "cursor"]),
    ("GET", "/api/admin/users", &["prefix", "limit", "cursor"]),
    ("GET", "/api/chats", &["limit", "cursor", "joinable"]),
    ("GET", "/api/chats/{id}/avatar", &["v"]),
    ("GET", "/api/projects/{user}/{project}/avatar", &["v"]),
    ("GET", "/api/users/{username}/avatar", &["v"]),
    ("GET", "/api/chats/{id}/events", &["before_seq", "after_seq", "limit"]),
    ("GET", "/api/chats/{id}/messages", &["before_seq", "after_seq", "limit", "thread", "pinned"]),
    ("GET", "/api/chats/{id}/participants", &["limit", "cursor"]),
    ("GET", "/api/chats/{id}/seq", &["at"]),
    ("GET", "/api/chats/threads", &["unread", "limit", "cursor"]),
    ("GET", "/api/files/{id}/thumbnail", &["size"]),
    ("GET", "/api/notifications", &["unread", "limit", "cursor"]),
    ("GET", "/api/presence", &["users"]),
    ("GET", "/api/projects", &["limit", "cursor", "member"]),
    ("GET", "/api/projects/{user}/{project}/members", &["limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos", &["limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/blame/{ref}/{path}", &["from", "to", "ignore_revs"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/branches", &["limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits", &["ref", "path", "limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/commits/{oid}", &["file", "context", "whitespace"]),
    (
        "GET",
        "/api/projects/{user}/{project}/repos/{repo}/compare/{base}...{head}",
        &["file", "context", "whitespace"],
    ),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tags", &["limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/talks", &["path", "ref", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree", &["last_commit", "limit", "cursor"]),
    ("GET", "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}", &["last_commit", "limit", "cursor"]),
    (
        "GET",
        "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}",
        &["last_commit", "limit", "cursor"],
    ),
    ("GET", "/api/repos", &["limit", "cursor"]),
    ("GET", "/api/search", &["q", "in", "limit", "cursor"]),
    ("GET", "/api/users", &["ids", "prefix", "limit", "cursor"]),
    ("GET", "/api/users/me/blocks", &["limit", "cursor"]),
];

/// Refuses a request to the API whose query has a key that its route does not have.
pub(crate) fn unknown_query_key(request: &ServiceRequest, route: Option<&str>) -> Option<HttpError> {
    if request.query_string().is_empty() {
        return None;
    }
    let (route, method) = (name_of(route?), request.method().as_str());
    if !route.starts_with("/api/") || !exists(method, &route) {
        return None;
    }
    let known = keys_of(method, &route);
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    let (unknown, _) = pairs.iter().find(|(key, _)| !known.contains(&key.as_str()))?;
    let allowed = if known.is_empty() {
        "this route takes none".to_owned()
    } else {
        format!("this route takes {}", known.join(", "))
    };
    Some(HttpError::bad_request(format!("unknown query key \"{}\": {allowed}", cut(unknown))))
}

fn keys_of(method: &str, route: &str) -> &'static [&'static str] {
    let found = QUERY_KEYS.iter().find(|(named, path, _)| *named == method && *path == route);
    found.map_or(&[], |(.., keys)| keys)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::openapi::describe;

    #[test]
    fn query_keys_equal_parameters_of_openapi_document() {
        let mut described = BTreeSet::new();
        for (path, item) in describe().paths.paths {
            for (method, operation) in [
                ("GET", item.get),
                ("PUT", item.put),
                ("POST", item.post),
                ("PATCH", item.patch),
                ("DELETE", item.delete),
            ] {
                let parameters = operation.and_then(|operation| operation.parameters).unwrap_or_default();
                for parameter in parameters {
                    let utoipa::openapi::RefOr::T(parameter) = parameter else { continue };
                    if matches!(parameter.parameter_in, utoipa::openapi::path::ParameterIn::Query) {
                        described.insert((method.to_owned(), path.clone(), parameter.name));
                    }
                }
            }
        }
        let of_row = |(method, path, keys): &(&str, &str, &'static [&'static str])| {
            let (method, path) = ((*method).to_owned(), (*path).to_owned());
            keys.iter().map(move |key| (method.clone(), path.clone(), (*key).to_owned())).collect::<Vec<_>>()
        };
        let listed: BTreeSet<_> = QUERY_KEYS.iter().flat_map(of_row).collect();
        assert_eq!(described, listed);
    }
}
