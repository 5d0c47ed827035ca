//! `/{user}/{project}/{repo}/-/blame/{ref}/{path}`: the commits that last changed the lines.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::frame::{At, Found, Frame, RefPathAddress, Tab, at_ref, href};
use super::listing::LastCommit;
use super::missing;
use super::words::{Step, day, steps};
use crate::domain::timestamp::Timestamp;
use crate::git::blame::BlameRange;
use crate::git::browse::{CommitSummary, Oid};
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::blames::{Blame, BlamePart};
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::paint::code::{Budget, highlight};
use crate::web::visitor::Visitor;

/// Lines of a page.
const PAGE_LINES: usize = 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The ages in days at which a class begins; the class is the index.
const AGES: [i64; 10] = [0, 2, 7, 30, 90, 180, 365, 730, 1460, 2920];

/// Lines that the same commit changed last.
struct Group {
    from: usize,
    commit: LastCommit,
    /// The class of the age, 0 to 9.
    age: usize,
    /// The address of the blame before the commit; empty if it added the file.
    before: String,
    lines: Vec<SafeHtml>,
}

impl Group {
    /// Returns the line numbers, one per line.
    fn numbers(&self) -> String {
        let numbers = self.lines.iter().enumerate();
        numbers.map(|(index, _)| format!("{}\n", self.from.saturating_add(index))).collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &SafeHtml)> {
        self.lines.iter().enumerate().map(|(index, html)| (self.from.saturating_add(index), html))
    }
}

#[derive(Template)]
#[template(path = "code/blame.html")]
struct BlamePage {
    shell: Shell,
    frame: Frame,
    folders: Vec<Step>,
    name: String,
    groups: Vec<Group>,
    lines_from: usize,
    lines_to: usize,
    line_count: usize,
    /// The addresses of the pages before and after; empty if there are none.
    previous: String,
    next: String,
    ignores: bool,
    ignored_revisions: usize,
    has_hidden: bool,
    path: String,
    permalink: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct BlameQuery {
    /// The first line.
    from: Option<usize>,
    /// `1`: skips the commits that `.git-blame-ignore-revs` names.
    #[serde(default)]
    ignore: String,
}

/// Returns the page.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    query: Query<BlameQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        page(&visitor, &request, &services, found, query.0).await
    })
    .await
}

async fn page(
    visitor: &Visitor,
    request: &HttpRequest,
    services: &Services,
    found: Found,
    query: BlameQuery,
) -> HttpResult {
    let Found { view, commit, path } = found;
    let at = At { commit: &commit, view: "blame", path: &path };
    let frame = Frame::load(request, services, &view, Tab::Code, Some(at)).await?;
    let now = Timestamp::now();
    // The classes of the ages change with the day.
    let today = day(now);
    let validator = frame.validator_with(request, visitor, &[&commit], &today);
    if let Some(answer) = validator.unchanged(request) {
        return Ok(answer);
    }
    let ignores = query.ignore == "1";
    let from = query.from.unwrap_or(1);
    let part = BlamePart {
        from: Some(from),
        to: Some(from.saturating_add(PAGE_LINES - 1)),
        ignore_revisions: ignores,
    };
    let blame = match services.blame(&view, commit.oid, path.clone(), part).await {
        Ok(blame) => blame,
        Err(error) => {
            let here = (visitor, request);
            return missing::of_path(here, &view, frame, ("file", &path), error).await;
        }
    };
    let Painted { lines, has_hidden, is_cut } = lines(services, &view, commit.oid, &blame).await?;
    let page_at = |from: usize| {
        let ignored = if ignores { "&ignore=1" } else { "" };
        format!("{}?from={from}{ignored}", frame.href("blame", &path))
    };
    let is_after_first = blame.lines_from > 1;
    let previous = is_after_first.then(|| page_at(blame.lines_from.saturating_sub(PAGE_LINES).max(1)));
    let next = (blame.lines_to < blame.line_count).then(|| page_at(blame.lines_to.saturating_add(1)));
    let (folders, name) = steps(&frame.base, &frame.reference, &path);
    let page = BlamePage {
        shell: frame.shell(request, visitor, &format!("Blame of {path}")).wide(),
        folders,
        name,
        groups: groups(&blame, lines, &frame.base, midnight(now)),
        lines_from: blame.lines_from,
        lines_to: blame.lines_to,
        line_count: blame.line_count,
        previous: previous.unwrap_or_default(),
        next: next.unwrap_or_default(),
        ignores,
        ignored_revisions: blame.ignored_revisions,
        has_hidden,
        permalink: href(&frame.base, "blame", &commit.oid.to_string(), &path),
        path,
        frame,
    };
    // How far the highlighting comes in its time differs.
    let kept = Some(&validator).filter(|_| !is_cut);
    layout::built(request, (services, &view), kept, move || page).await
}

/// The lines of the page.
#[derive(Default)]
struct Painted {
    lines: Vec<SafeHtml>,
    has_hidden: bool,
    /// Whether a limit ended the highlighting.
    is_cut: bool,
}

/// Returns the highlighted lines of the page.
async fn lines(
    services: &Services,
    view: &RepositoryView,
    commit: Oid,
    blame: &Blame,
) -> Result<Painted, ServiceError> {
    let blob = services.blob(view, commit, blame.path.clone()).await?;
    let Some(text) = blob.content else { return Ok(Painted::default()) };
    let (path, first, last) = (blob.path, blame.lines_from.saturating_sub(1), blame.lines_to);
    let paint = move || {
        let painted = highlight(&path, &text, &mut Budget::default());
        let is_cut = painted.highlighted_to < painted.lines.len();
        let lines = painted.lines.into_iter().take(last).skip(first).collect();
        Painted { lines, has_hidden: painted.has_hidden, is_cut }
    };
    services.paint(view, paint).await
}

fn groups(blame: &Blame, lines: Vec<SafeHtml>, base: &str, now: Timestamp) -> Vec<Group> {
    let mut lines = lines.into_iter();
    let group = |range: &BlameRange| {
        let BlameRange { from, to, oid, author, authored_at, summary, previous } = range;
        let summary = CommitSummary {
            oid: *oid,
            summary: summary.clone(),
            author: author.clone(),
            committed_at: *authored_at,
        };
        let before = previous.as_ref().map(|file| href(base, "blame", &file.oid.to_string(), &file.path));
        Group {
            from: *from,
            commit: LastCommit::of(&summary, base),
            age: age(*authored_at, now),
            before: before.unwrap_or_default(),
            lines: lines.by_ref().take(to.saturating_sub(*from).saturating_add(1)).collect(),
        }
    };
    blame.ranges.iter().map(group).collect()
}

/// Returns the class of an age, 0 to 9.
/// Returns the beginning of the day (UTC). The validator has the day, so the ages count from there:
/// a page that is kept shows the same classes as a new one.
fn midnight(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(now.0.rem_euclid(DAY_MS)))
}

fn age(at: Timestamp, now: Timestamp) -> usize {
    let days = now.0.saturating_sub(at.0) / DAY_MS;
    AGES.iter().rposition(|begin| days >= *begin).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_the_same_during_a_day() {
        let begin = Timestamp(20_000 * DAY_MS);
        let (noon, end) = (Timestamp(begin.0 + DAY_MS / 2), Timestamp(begin.0 + DAY_MS - 1));
        assert_eq!([begin, noon, end].map(|now| midnight(now).0), [begin.0; 3]);
        assert_eq!(midnight(Timestamp(begin.0 + DAY_MS)).0, begin.0 + DAY_MS);
        let written = Timestamp(begin.0 - 2 * DAY_MS + 1);
        assert_eq!(age(written, midnight(end)), age(written, midnight(begin)));
    }

    #[test]
    fn age_has_ten_classes() {
        let now = Timestamp(i64::from(u32::MAX) * 1000);
        let class = |days: i64| age(Timestamp(now.0 - days * DAY_MS), now);
        assert_eq!([-5, 0, 1, 2, 29, 30, 364, 365, 40_000].map(class), [0, 0, 0, 1, 2, 3, 5, 6, 9]);
    }
}
