//! The page.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::results::{CommitRow, FileRow, GROUPS, Group, MessageRow, Results, address};
use crate::domain::access::Credential;
use crate::http::error::HttpResult;
use crate::http::extract::Query;
use crate::protocol::code::Code;
use crate::services::search::SearchRequest;
use crate::services::{ServiceError, Services};
use crate::web::form::Problems;
use crate::web::layout::{self, Shell};
use crate::web::shown::{self, Face};
use crate::web::visitor::Visitor;

/// Letters from which on a word may be the beginning of another.
const PREFIX_LETTERS: usize = 3;
/// Results of each group on a page.
const HITS_SHOWN: usize = 20;

/// The filters, each with its meaning.
const FILTERS: [(&str, &str); 12] = [
    ("from:alice", "sent by this user, or a commit of this author; from:me is you"),
    ("in:#general", "in this channel or group; in:\"our team\" for a name with spaces"),
    ("in:@bob", "in the direct chat with this user"),
    ("after:2026-11-01", "sent or committed on this day or later"),
    ("before:2026-11-24", "sent or committed before this day"),
    ("has:link", "with a link; has:code is with code, has:file with a file"),
    ("is:pinned", "pinned in its chat"),
    ("repo:web/site", "code and commits of repositories with this name, or end of it"),
    ("path:src/", "code in files whose paths begin so; *.rs is a pattern"),
    ("lang:rust", "code in files of this language"),
    ("\"disk is full\"", "these words in a row"),
    ("-word", "without this word"),
];

/// A way to the results of a group.
struct Tab {
    name: &'static str,
    href: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "search/show.html")]
struct SearchPage {
    shell: Shell,
    q: String,
    /// Whether something was searched for.
    has_query: bool,
    /// The problem of the query; empty without one.
    problem: String,
    problems: Problems,
    tabs: Vec<Tab>,
    messages: Option<Group<MessageRow>>,
    code: Option<Group<FileRow>>,
    commits: Option<Group<CommitRow>>,
    people: Option<Group<Face>>,
    incomplete: &'static str,
    is_empty: bool,
    /// Whether the query has too few letters for the beginning of a word.
    is_short: bool,
    /// Whether users are shown beside messages.
    in_columns: bool,
    /// The first page of the group, on its further pages.
    first: Option<String>,
    filters: [(&'static str, &'static str); FILTERS.len()],
    /// Whether users find others only by their whole user names or in common chats.
    is_open: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct SearchKeys {
    #[serde(default)]
    q: String,
    /// The only group; empty: all.
    #[serde(default, rename = "in")]
    group: String,
    #[serde(default)]
    cursor: String,
    /// The path of a repository to which the search is restricted.
    #[serde(default)]
    repo: String,
}

/// Returns the page: with the results, or with the field alone.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    keys: Query<SearchKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let mut keys = keys.0;
    let words = keys.q.trim();
    let (has_query, is_short) = (!words.is_empty(), words.is_ascii() && words.len() < PREFIX_LETTERS);
    if !keys.repo.is_empty() {
        keys.q = format!("repo:{} {}", keys.repo, keys.q.trim_start());
    }
    let found = if has_query { search(&services, who, &keys).await } else { Ok(Results::default()) };
    let (results, problems) = match found {
        Ok(results) => (results, Problems::default()),
        // The login ended in between.
        Err(error) if error.code == Code::Unauthenticated => return Err(error.into()),
        Err(error) => (Results::default(), Problems::of(error)?),
    };
    let is_refused = !problems.is_empty();
    let is_further = has_query && !is_refused && !keys.cursor.is_empty();
    let page = SearchPage {
        shell: Shell::new(&request, &visitor, "Search"),
        has_query: has_query && !is_refused,
        problem: query_sentence(problems.of_field("q")),
        problems,
        tabs: if has_query && !is_refused { tabs(&keys) } else { Vec::new() },
        is_empty: results.are_empty(),
        is_short: is_short && has_query,
        in_columns: results.are_in_columns(),
        messages: results.messages,
        code: results.code,
        commits: results.commits,
        people: results.people,
        incomplete: results.incomplete,
        first: is_further.then(|| address(&keys.q, &keys.group)),
        q: keys.q,
        filters: FILTERS,
        is_open: services.is_registration_open(),
    };
    layout::page_of(&request, page.problems.status(), &page).await
}

async fn search(services: &Services, who: Credential, keys: &SearchKeys) -> Result<Results, ServiceError> {
    let group = Some(keys.group.as_str()).filter(|group| !group.is_empty());
    let cursor = Some(keys.cursor.clone()).filter(|cursor| !cursor.is_empty());
    let request = SearchRequest::parse(&keys.q, group, HITS_SHOWN, cursor)?;
    let found = services.search(who, request).await?;
    Ok(Results::of(found, &keys.q).without_empty_groups())
}

fn tabs(keys: &SearchKeys) -> Vec<Tab> {
    let all = ("", "All");
    let tab = |(group, name): (&str, &'static str)| Tab {
        name,
        href: address(&keys.q, group),
        is_chosen: keys.group == group,
    };
    std::iter::once(all).chain(GROUPS).map(tab).collect()
}

/// Returns the problem of a query as a sentence. The name of a filter at its beginning stays.
fn query_sentence(problem: &str) -> String {
    if problem.is_empty() {
        return String::new();
    }
    let names_filter = problem.split(' ').next().is_some_and(|word| word.ends_with(':'));
    if names_filter { format!("{problem}.") } else { shown::field_sentence("The query", problem) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::search::SearchQuery;

    #[test]
    fn every_filter_of_the_help_is_accepted() {
        for (filter, meaning) in FILTERS {
            // A filter for times, or an excluded word, needs something to find.
            for query in [format!("{filter} words"), format!("words {filter}")] {
                assert!(SearchQuery::parse(&query).is_ok(), "{query}");
            }
            let others = meaning.split([' ', ';']).filter(|word| word.contains(':') && !word.contains('"'));
            for other in others {
                assert!(SearchQuery::parse(other).is_ok(), "{other}");
            }
        }
    }

    #[test]
    fn problem_of_a_query_is_a_sentence() {
        let refused = |query: &str| match SearchQuery::parse(query) {
            Err(error) => query_sentence(ServiceError::from(error).fields[0].problem.as_str()),
            Ok(query) => panic!("{query:?}"),
        };
        assert_eq!(refused("from:"), "from: needs a user name, such as from:alice or from:me.");
        assert_eq!(refused(&"x".repeat(300)), "The query must have at most 256 bytes.");
        assert_eq!(query_sentence(""), "");
    }
}
