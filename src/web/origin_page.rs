//! The page that has a form: addresses that only accept forms lead there.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::layout::{own_path, see_other};
use crate::http::error::HttpResult;

/// Marks in the addresses of forms that are on another page. That page has the address before the
/// mark, with the second text.
const MARKS: [(&str, &str); 5] = [
    ("/-/watch", ""),
    ("/-/members", "/-/members"),
    ("/-/settings", "/-/settings"),
    ("/settings/logins", "/settings/logins"),
    ("/settings/tokens", "/settings/tokens"),
];

/// Leads from the address of a form to the page that has it.
pub(super) async fn lead(request: HttpRequest) -> HttpResult {
    Ok(see_other(&shown_at(request.uri().path())))
}

/// Returns the address of the page that has the form with this address.
fn shown_at(path: &str) -> String {
    if path == "/logout" {
        return "/".to_owned();
    }
    let found = MARKS.iter().find_map(|(mark, page)| {
        let (before, after) = path.split_once(mark)?;
        let is_other = after.is_empty() || after.starts_with('/');
        (is_other && after != "/new").then(|| format!("{before}{page}"))
    });
    own_path(&found.unwrap_or_else(|| path.to_owned())).to_owned()
}

/// Returns the page from which a form was sent, as the browser names it; else the page that has it.
pub(super) fn page_of_form(request: &HttpRequest) -> String {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let sent_from = text(header::REFERER).zip(text(header::HOST)).and_then(|(referer, host)| {
        let (_, rest) = referer.split_once("://")?;
        let begin = rest.find('/')?;
        let (authority, path) = rest.split_at_checked(begin)?;
        authority.eq_ignore_ascii_case(host).then_some(path)
    });
    match sent_from.map(own_path) {
        Some(path) if path != "/" => {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let page = shown_at(path);
            let keeps = page == path && !query.is_empty() && !query.contains("done=");
            if keeps { format!("{page}?{query}") } else { page }
        }
        Some(_) | None => shown_at(request.uri().path()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn address_of_a_form_leads_to_its_page() {
        for (form, page) in [
            ("/logout", "/"),
            ("/alice/hello/-/watch", "/alice/hello"),
            ("/alice/hello/-/members/bob/role", "/alice/hello/-/members"),
            ("/alice/hello/-/settings/rules/change", "/alice/hello/-/settings"),
            ("/alice/hello/web/-/settings/delete", "/alice/hello/web/-/settings"),
            ("/settings/logins/3/end", "/settings/logins"),
            ("/settings/tokens/new", "/settings/tokens/new"),
            ("/settings/tokens/3/revoke", "/settings/tokens"),
            ("/projects/new", "/projects/new"),
            ("//evil.example/x/-/watch", "/"),
        ] {
            assert_eq!(shown_at(form), page, "{form}");
        }
    }

    #[test]
    fn page_of_a_form_is_the_referer_of_this_server() {
        let page = |referer: &'static str| {
            let request = TestRequest::post().uri("/alice/hello/-/watch");
            let request = request.insert_header((header::HOST, "a.example"));
            page_of_form(&request.insert_header((header::REFERER, referer)).to_http_request())
        };
        assert_eq!(page("https://a.example/alice/hello?cursor=x"), "/alice/hello?cursor=x");
        assert_eq!(page("https://a.example/alice/hello/-/members?done=added"), "/alice/hello/-/members");
        assert_eq!(page("https://a.example/alice/hello/-/settings/rules"), "/alice/hello/-/settings");
        for foreign in ["https://evil.example/x", "https://a.example//evil.example", "x", "https://a.example"]
        {
            assert_eq!(page(foreign), "/alice/hello", "{foreign}");
        }
    }
}
