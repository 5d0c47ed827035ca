//! The kind of client that a route serves. It decides the form of errors and the security headers.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::error_page::ErrorPage;

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// The git client: it shows lines of text, not documents.
    Git,
    /// Programs: problem documents (RFC 9457).
    Api,
    /// People with a browser: HTML pages.
    Pages,
}

/// The beginning of the routes of the Git LFS client, after the repository.
const LFS_ROUTES: &str = "/{repo}/info/lfs/";
/// Last segments of the routes of the git client.
const GIT_ROUTES: [&str; 4] = ["/info/refs", "/git-upload-pack", "/git-receive-pack", "/git-upload-archive"];

impl Room {
    /// Returns the room of a request. A path without a route is a page for clients that accept
    /// HTML. A listener without pages, such as the control socket, serves programs only.
    pub(crate) fn of(request: &HttpRequest, route: Option<&Arc<str>>) -> Self {
        let has_pages = request.app_data::<web::Data<ErrorPage>>().is_some();
        match route {
            Some(route) if is_of_git(route) => Self::Git,
            Some(route) if !has_pages || is_of_programs(route) => Self::Api,
            Some(_) => Self::Pages,
            None if !has_pages || is_of_programs(request.path()) || !accepts_html(request) => Self::Api,
            None => Self::Pages,
        }
    }
}

fn is_of_git(route: &str) -> bool {
    GIT_ROUTES.iter().any(|last| route.ends_with(last)) || route.contains(LFS_ROUTES)
}

fn is_of_programs(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(first, "api" | "docs" | "ws")
}

pub(crate) fn accepts_html(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use actix_web::HttpResponse;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn room_follows_from_route_and_accepted_types() {
        let pages = web::Data::new(ErrorPage(|_, _, _| HttpResponse::NotFound().finish()));
        let of = |path: &str, route: Option<&str>, accept: &'static str| {
            let request = TestRequest::with_uri(path).insert_header((header::ACCEPT, accept));
            let request = request.app_data(pages.clone());
            Room::of(&request.to_http_request(), route.map(Arc::from).as_ref())
        };
        assert_eq!(of("/a/b/c/info/refs", Some("/{user}/{project}/{repo}/info/refs"), "*/*"), Room::Git);
        let locks = "/{user}/{project}/{repo}/info/lfs/locks";
        assert_eq!(of("/a/b/c.git/info/lfs/locks", Some(locks), "text/html"), Room::Git);
        assert_eq!(of("/api/users/me", Some("/api/users/me"), "text/html"), Room::Api);
        assert_eq!(of("/api/none", None, "text/html"), Room::Api);
        assert_eq!(of("/a/b", Some("/{user}/{project}"), "*/*"), Room::Pages);
        assert_eq!(of("/none", None, "text/html,*/*"), Room::Pages);
        assert_eq!(of("/none", None, "*/*"), Room::Api);
        let control = TestRequest::with_uri("/users").to_http_request();
        assert_eq!(Room::of(&control, Some(&Arc::from("/users"))), Room::Api);
    }
}
