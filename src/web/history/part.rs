//! The part of the changes that an address asks for: `?file=`, `context=`, `whitespace=`.

use actix_web::HttpRequest;
use serde::Deserialize;

use crate::git::browse::{CONTEXT_LINES_MAX, DiffPart};
use crate::http::address::{percent_encoded, query_path};

/// The steps of the links for more unchanged lines.
const CONTEXT_STEPS: [u32; 2] = [20, 100];

/// The keys of the query of a page of changes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PartQuery {
    /// The path of the only file.
    file: Option<String>,
    /// Unchanged lines around each change.
    context: Option<u32>,
    /// `ignore`: lines that differ only in white space are unchanged.
    whitespace: Option<String>,
    /// `split`: both sides beside each other, in a wide window.
    view: Option<String>,
}

/// The value of `view` for both sides beside each other.
const SPLIT: &str = "split";

impl PartQuery {
    pub(super) fn is_split(&self) -> bool {
        self.view.as_deref() == Some(SPLIT)
    }

    pub(super) fn part(self, request: &HttpRequest) -> DiffPart {
        DiffPart {
            file: self.file.filter(|file| !file.is_empty()).map(|file| query_path(request, "file", file)),
            context_lines: self.context.unwrap_or(DiffPart::default().context_lines),
            ignore_whitespace: self.whitespace.as_deref() == Some("ignore"),
        }
    }
}

/// Returns the address of a part of the changes on the page at `page`.
pub(super) fn href(page: &str, part: &DiffPart, is_split: bool) -> String {
    let mut pairs = Vec::new();
    if let Some(file) = &part.file {
        pairs.push(format!("file={}", percent_encoded(file)));
    }
    if part.context_lines != DiffPart::default().context_lines {
        pairs.push(format!("context={}", part.context_lines));
    }
    if part.ignore_whitespace {
        pairs.push("whitespace=ignore".to_owned());
    }
    if is_split {
        pairs.push(format!("view={SPLIT}"));
    }
    if pairs.is_empty() { page.to_owned() } else { format!("{page}?{}", pairs.join("&")) }
}

/// Returns the next larger number of unchanged lines; `None` if there is none.
pub(super) fn more_context(lines: u32) -> Option<u32> {
    CONTEXT_STEPS.into_iter().chain([CONTEXT_LINES_MAX]).find(|step| *step > lines)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn address_of_a_part_is_read_back() {
        let part =
            DiffPart { file: Some("a b/ü&c%E9".to_owned()), context_lines: 20, ignore_whitespace: true };
        let address = href("/p", &part, true);
        let request = TestRequest::with_uri(&address).to_http_request();
        let query = actix_web::web::Query::<PartQuery>::from_query(request.query_string()).unwrap();
        assert!(query.is_split());
        assert_eq!(query.into_inner().part(&request), part);
        assert_eq!(href("/p", &DiffPart::default(), false), "/p");
    }

    #[test]
    fn context_grows_in_steps() {
        let steps: Vec<_> = std::iter::successors(Some(3), |lines| more_context(*lines)).collect();
        assert_eq!(steps, [3, 20, 100, CONTEXT_LINES_MAX]);
    }
}
