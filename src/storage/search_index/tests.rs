//! Tests of the file of the search index.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::find::expression;
use super::*;
use crate::domain::ids::UserId;
use crate::domain::search::{Candidates, Condition, MessageTraits, SearchQuery, message_terms};

fn document(id: i64, chat: i64, content: &str) -> Document {
    Document {
        id: MessageId(id),
        terms: message_terms(ChatId(chat), UserId(7), content, MessageTraits::default()),
    }
}

fn update(chat: i64, documents: Vec<Document>, removed: &[i64], seq: Seq) -> ChatUpdate {
    let removed = removed.iter().map(|id| MessageId(*id)).collect();
    ChatUpdate { chat: ChatId(chat), documents, removed, mark: Some(Mark { seq, trimmed: 0 }) }
}

fn ids(index: &SearchIndex, query: &str, among: Option<&[i64]>) -> Vec<i64> {
    let candidates = SearchQuery::parse(query).unwrap().candidates();
    let among: Option<HashSet<_>> = among.map(|among| among.iter().map(|id| ChatId(*id)).collect());
    let query = IndexQuery {
        candidates: &candidates,
        among: among.as_ref(),
        above: MessageId(0),
        below: MessageId(i64::MAX),
        limit: 100,
        rows_max: 100,
        until: Instant::now() + Duration::from_secs(60),
    };
    let found = index.find(&query).unwrap();
    assert_eq!(found.end, FindEnd::Complete);
    found.ids.into_iter().map(|id| id.0).collect()
}

/// The bundled SQLite has every option of the table.
#[test]
fn index_finds_terms_beginnings_and_exclusions() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, rebuild) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    assert_eq!(rebuild, Some(Rebuild::Missing));
    let first =
        update(1, vec![document(1, 1, "set sess.opts"), document(4, 1, "日本語 👍 and Café")], &[], 9);
    let second = update(2, vec![document(2, 2, "sess is set"), document(3, 2, "gone")], &[], 5);
    index.apply(&[first, second]).unwrap();
    for (query, expected) in [
        ("sess ", vec![2, 1]),
        ("ses", vec![2, 1]),
        ("sess.op", vec![1]),
        ("sess -opts", vec![2]),
        ("日本", vec![4]),
        ("語 👍", vec![4]),
        ("cafe", vec![4]),
        ("set sess.opts ", vec![1]),
        ("absent", vec![]),
    ] {
        assert_eq!(ids(&index, query, None), expected, "{query}");
    }
    assert_eq!(ids(&index, "ses", Some(&[1])), [1]);
    assert_eq!(index.ids_of_chat(ChatId(2), MessageId(0), 10).unwrap(), [MessageId(2), MessageId(3)]);

    index.apply(&[update(2, vec![document(2, 2, "edited")], &[3, 99], 7)]).unwrap();
    assert_eq!(ids(&index, "sess ", None), [1]);
    assert_eq!(ids(&index, "edit", None), [2]);
    assert_eq!(index.ids_of_chat(ChatId(2), MessageId(0), 10).unwrap(), [MessageId(2)]);
    let expected = || {
        vec![document(1, 1, "set sess.opts"), document(2, 2, "edited"), document(4, 1, "日本語 👍 and Café")]
    };
    assert_eq!(index.differences(expected()).unwrap(), [""; 0]);
    let mut other = expected();
    other.pop();
    other[1] = document(2, 2, "else");
    let differences = index.differences(other).unwrap();
    assert_eq!(differences, ["message 2 has other terms", "message 4 should not be there"]);
}

#[test]
fn find_ends_at_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    let documents = (1..=600).map(|id| document(id, 1, "word")).collect();
    index.apply(&[update(1, documents, &[], 600)]).unwrap();
    let candidates = Candidates { all: vec![Condition::Term("word".into())], none: Vec::new() };
    let none = HashSet::new();
    let later = Instant::now() + Duration::from_secs(60);
    let base = IndexQuery {
        candidates: &candidates,
        among: None,
        above: MessageId(10),
        below: MessageId(500),
        limit: 1_000,
        rows_max: 1_000,
        until: later,
    };
    assert_eq!(index.find(&IndexQuery { ..base }).unwrap().ids.len(), 489);
    let found = index.find(&IndexQuery { limit: 2, ..base }).unwrap();
    assert_eq!(found, FoundIds { ids: vec![MessageId(499), MessageId(498)], rows: 2, end: FindEnd::Limit });
    let found = index.find(&IndexQuery { among: Some(&none), rows_max: 100, ..base }).unwrap();
    assert_eq!(found, FoundIds { ids: Vec::new(), rows: 100, end: FindEnd::Budget(MessageId(400)) });
    let any = Candidates::default();
    let found = index.find(&IndexQuery { candidates: &any, rows_max: 7, ..base }).unwrap();
    assert_eq!((found.ids.len(), found.end), (7, FindEnd::Budget(MessageId(493))), "without a term");
    let found = index.find(&IndexQuery { candidates: &any, ..base }).unwrap();
    assert_eq!((found.ids.len(), found.end), (489, FindEnd::Complete));
    let found = index.find(&IndexQuery { until: Instant::now(), ..base }).unwrap();
    assert!(found.rows <= 1 && matches!(found.end, FindEnd::Budget(_)), "{found:?}");
    assert_eq!(index.find(&IndexQuery { ..base }).unwrap().ids.len(), 489, "the next search is not ended");
}

/// FTS5 intersects long lists, and merges those of all terms with a beginning, before it returns a
/// row: these steps end in time as well.
#[test]
fn search_without_a_row_ends_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    for block in 0..20 {
        let text = |id: i64| if id % 2 == 0 { "even" } else { "uneven" };
        let ids = block * 2_000 + 1..=(block + 1) * 2_000;
        let documents = ids.map(|id| document(id, 1, &format!("{} number{id}", text(id)))).collect();
        index.apply(&[update(1, documents, &[], 600)]).unwrap();
    }
    let term = |term: &str| Condition::Term(term.into());
    for all in [
        vec![term("even"), term("uneven")],
        vec![Condition::Prefix("numb".into()), term("absent")],
        vec![Condition::Prefix("number".into())],
    ] {
        let candidates = Candidates { all, none: Vec::new() };
        let query = |time: Duration| IndexQuery {
            candidates: &candidates,
            among: None,
            above: MessageId(0),
            below: MessageId(i64::MAX),
            limit: 100_000,
            rows_max: 100_000,
            until: Instant::now() + time,
        };
        let begun = Instant::now();
        let complete = index.find(&query(Duration::from_secs(60))).unwrap();
        let whole = begun.elapsed();
        assert_eq!(complete.end, FindEnd::Complete);
        let begun = Instant::now();
        let cut = index.find(&query(whole / 20)).unwrap();
        assert!(matches!(cut.end, FindEnd::Budget(_)), "{candidates:?} {:?}", cut.end);
        assert!(begun.elapsed() < whole / 2 + Duration::from_millis(1), "{candidates:?}");
    }
}

/// Other errors keep the file.
#[test]
fn only_damage_is_a_reason_to_build_the_index_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let (mut index, _) = SearchIndex::open(&path, 1, "").unwrap();
    index.apply(&[update(1, vec![document(1, 1, "word")], &[], 1)]).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").unwrap();
    index.db.execute_batch("PRAGMA busy_timeout = 0").unwrap();
    assert!(!index.apply(&[update(1, Vec::new(), &[], 2)]).unwrap_err().is_damage(), "it is locked");
    other.execute_batch("ROLLBACK; DROP TABLE documents").unwrap();
    assert!(index.apply(&[update(1, Vec::new(), &[1], 2)]).unwrap_err().is_damage(), "a missing table");
    drop((index, other));
    let (index, rebuild) = SearchIndex::open(&path, 1, "").unwrap();
    assert_eq!((rebuild, index.count().unwrap()), (Some(Rebuild::Damaged), 0));
}

#[test]
fn index_of_another_state_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search.db");
    let open_with = |epoch, limits| {
        let (mut index, rebuild) = SearchIndex::open(&path, epoch, limits).unwrap();
        let count = index.count().unwrap();
        if count == 0 {
            index.apply(&[update(1, vec![document(1, 1, "word")], &[], 1)]).unwrap();
        }
        (rebuild, count)
    };
    let open = |epoch| open_with(epoch, "1 2");
    assert_eq!(open(1), (Some(Rebuild::Missing), 0));
    assert_eq!(open(1), (None, 1));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(open(2), (Some(Rebuild::OtherDatabase), 0));
    let set = |key: &str, value: &str| {
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("UPDATE meta SET value = '{value}' WHERE key = '{key}'")).unwrap();
    };
    assert_eq!(open_with(2, "1 3"), (Some(Rebuild::OtherLimits), 0));
    assert_eq!(open_with(2, "1 3"), (None, 1));
    assert_eq!(open(2), (Some(Rebuild::OtherLimits), 0));
    set("terms", "0");
    assert_eq!(open(2), (Some(Rebuild::OtherVersion), 0));
    // The machine booted again: an index that was closed is usable.
    set("boot", "another");
    assert_eq!(open(2), (None, 1));
    set("closed", "0");
    assert_eq!(open(2), (None, 1), "the process was killed");
    set("boot", "another");
    set("closed", "0");
    assert_eq!(open(2), (Some(Rebuild::PowerFailure), 0));
    fs::write(&path, "not a database at all, and longer than a header of SQLite".repeat(99)).unwrap();
    assert_eq!(open(2), (Some(Rebuild::Damaged), 0));
    assert_eq!(open(2), (None, 1));
}

/// A term cannot become an operator of FTS5.
#[test]
fn terms_are_strings_in_the_expression() {
    let candidates = Candidates {
        all: vec![
            Condition::Term("near".into()),
            Condition::Prefix("a\" OR b".into()),
            Condition::AnyOf(vec!["=c1".into(), "=c2".into()]),
            Condition::AnyOf(Vec::new()),
        ],
        none: vec!["x".into(), "y".into()],
    };
    let expected = r#"("near" AND "a"" OR b" * AND ("=c1" OR "=c2") AND "=none") NOT ("x" OR "y")"#;
    assert_eq!(expression(&candidates).as_deref(), Some(expected));
    assert_eq!(expression(&Candidates { none: vec!["x".into()], ..Candidates::default() }), None);
}

/// Parts were merged in steps of some hundred pages, and searches waited for them.
#[test]
fn changes_merge_the_parts_of_the_index_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    // Without a merge, 15 parts on each of two levels are left.
    for id in 1..=255 {
        index.apply(&[update(1, vec![document(id, 1, "word")], &[], id)]).unwrap();
    }
    let parts = "SELECT count(DISTINCT segid) FROM documents_idx";
    let parts: i64 = index.db.query_row(parts, [], |row| row.get(0)).unwrap();
    assert!(parts <= 15, "{parts} parts");
    assert_eq!(index.count().unwrap(), 255);
}
