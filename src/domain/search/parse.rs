//! The grammar of queries.
//!
//! A query is a list of items between white space: words, `"phrases"`, `-excluded` words, and
//! filters such as `from:bob`. A known operator is a filter wherever it begins an item; any other
//! `name:` is part of a word. An item in quotation marks is never a filter.

use super::code::{Literal, PathFilter};
use super::languages::Language;
use super::query::{
    ChatName, Feature, Pattern, PersonName, QUERY_ATOMS_MAX, QUERY_BYTES_MAX, QUERY_ITEMS_MAX, SearchQuery,
};
use super::tokens::{Atom, atoms};
use crate::domain::chat::channel_key;
use crate::domain::ids::ChatId;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;

/// The operators of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    From,
    In,
    Before,
    After,
    Has,
    Is,
    Repository,
    Path,
    Language,
}

impl Operator {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "from" => Some(Self::From),
            "in" => Some(Self::In),
            "before" => Some(Self::Before),
            "after" => Some(Self::After),
            "has" => Some(Self::Has),
            "is" => Some(Self::Is),
            "repo" => Some(Self::Repository),
            "path" => Some(Self::Path),
            "lang" => Some(Self::Language),
            _ => None,
        }
    }
}

/// An item of a query, as it is written.
#[derive(Debug, PartialEq, Eq)]
struct Item<'a> {
    is_excluded: bool,
    operator: Option<Operator>,
    value: &'a str,
    is_quoted: bool,
}

fn refuse<T>(reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal::invalid("q", reason))
}

impl SearchQuery {
    /// Parses a query.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if it is too long, has nothing to search for, or has a filter with an
    /// invalid value.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > QUERY_BYTES_MAX {
            return refuse("must have at most 256 bytes");
        }
        let items = items(text);
        if items.len() > QUERY_ITEMS_MAX {
            return refuse("must have at most 16 words and filters");
        }
        let mut query = Self::default();
        let is_plain = |item: &Item<'_>| !item.is_excluded && !item.is_quoted && item.operator.is_none();
        if !items.is_empty() && items.iter().all(is_plain) {
            let words: Vec<_> = items.iter().map(|item| item.value).collect();
            query.plain = Some(words.join(" "));
        }
        let count = items.len();
        for (at, item) in items.into_iter().enumerate() {
            match item.operator {
                Some(operator) if item.is_excluded => return refuse(negated(operator)),
                Some(operator) => query.add_filter(operator, item.value)?,
                None => query.add_words(&item, at + 1 == count && !text.ends_with(char::is_whitespace)),
            }
        }
        let patterns = query.wanted.iter().chain(&query.excluded);
        if patterns.map(|pattern| pattern.atoms.len()).sum::<usize>() > QUERY_ATOMS_MAX {
            return refuse("must have at most 96 words, characters of scripts without spaces, and symbols");
        }
        query.refusal_everywhere().map_or(Ok(query), refuse)
    }

    fn add_words(&mut self, item: &Item<'_>, is_last: bool) {
        if !item.value.is_empty() {
            let literals = if item.is_excluded { &mut self.excluded_literals } else { &mut self.literals };
            // A file is compared line by line.
            literals.extend(item.value.lines().filter(|line| !line.is_empty()).map(Literal::of));
        }
        let mut found = atoms(item.value);
        for first in first_of_words(item.value, &mut found) {
            first.joined = false;
        }
        if found.is_empty() {
            return;
        }
        let is_open = is_last && !item.is_quoted && !item.is_excluded;
        let list = if item.is_excluded { &mut self.excluded } else { &mut self.wanted };
        list.push(Pattern { atoms: found, is_open });
    }

    fn add_filter(&mut self, operator: Operator, value: &str) -> Result<(), Refusal> {
        match operator {
            Operator::From => match value.trim_start_matches('@') {
                "" => return refuse("from: needs a user name, such as from:alice or from:me"),
                name if name.eq_ignore_ascii_case("me") => self.from.push(PersonName::Me),
                name => self.from.push(PersonName::Username(name.to_lowercase())),
            },
            Operator::In => self.chats.push(chat_name(value)?),
            Operator::Before => {
                self.before = Some(time(value, "before: needs a date, such as before:2026-11-24")?)
            }
            Operator::After => {
                self.after = Some(time(value, "after: needs a date, such as after:2026-11-24")?)
            }
            Operator::Has => match value.to_ascii_lowercase().as_str() {
                "link" => self.has.push(Feature::Link),
                "code" => self.has.push(Feature::Code),
                "file" => self.has.push(Feature::File),
                _ => return refuse("has: needs link, code or file"),
            },
            Operator::Is if value.eq_ignore_ascii_case("pinned") => self.has.push(Feature::Pinned),
            Operator::Is => return refuse("is: has one value, pinned, as in is:pinned"),
            Operator::Repository => match value.trim_matches('/') {
                "" => return refuse("repo: needs a repository, such as repo:alice/web/site or repo:site"),
                name => self.repositories.push(name.to_ascii_lowercase()),
            },
            Operator::Path => match value.trim_start_matches('/') {
                "" => {
                    return refuse(
                        "path: needs the beginning of a path or a pattern, such as path:src/ or path:*.rs",
                    );
                }
                path => self.paths.push(PathFilter::of(path)),
            },
            Operator::Language => match Language::named(value) {
                Some(language) => self.languages.push(language),
                None => {
                    return refuse(
                        "lang: needs a common language, such as lang:rust; path:*.xyz finds files with another ending",
                    );
                }
            },
        }
        Ok(())
    }
}

/// Returns the first atom of each word of a text, which may be a phrase.
fn first_of_words<'a>(text: &str, atoms: &'a mut [Atom]) -> impl Iterator<Item = &'a mut Atom> {
    let mut end = 0;
    let spaces = atoms.iter().map(|atom| {
        let between = text.get(end..atom.at.start).unwrap_or_default();
        let is_first = end == 0 || between.contains(char::is_whitespace);
        end = atom.at.end;
        is_first
    });
    let spaces: Vec<bool> = spaces.collect();
    atoms.iter_mut().zip(spaces).filter_map(|(atom, is_first)| is_first.then_some(atom))
}

fn negated(operator: Operator) -> &'static str {
    match operator {
        Operator::From => "cannot have -from: only words and phrases can be excluded",
        Operator::In => "cannot have -in: only words and phrases can be excluded",
        _ => "cannot have a filter with a minus sign: only words and phrases can be excluded",
    }
}

fn chat_name(value: &str) -> Result<ChatName, Refusal> {
    const NEEDED: &str = "in: needs a chat, such as in:#dev, in:@bob or in:!17";
    if let Some(id) = value.strip_prefix('!') {
        return match id.parse() {
            Ok(id) => Ok(ChatName::Id(ChatId(id))),
            Err(_) => refuse(NEEDED),
        };
    }
    if let Some(name) = value.strip_prefix('@').filter(|name| !name.is_empty()) {
        return Ok(ChatName::With(name.to_lowercase()));
    }
    match value.strip_prefix('#').unwrap_or(value).trim() {
        "" | "@" => refuse(NEEDED),
        name => Ok(ChatName::Named(channel_key(name))),
    }
}

/// Parses a date, which is its beginning in UTC, or a time.
fn time(value: &str, needed: &'static str) -> Result<Timestamp, Refusal> {
    let midnight = format!("{value}T00:00:00Z");
    let parsed = if value.len() == 10 { Timestamp::parse(&midnight) } else { Timestamp::parse(value) };
    parsed.map_or_else(|| refuse(needed), Ok)
}

fn is_space_or_minus(c: char) -> bool {
    c.is_whitespace() || c == '-'
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

/// Divides a query into its items. A quotation mark without its partner reaches to the end.
fn items(text: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (is_excluded, body) = match rest.strip_prefix('-') {
            // `--verbose` is an option of a command.
            Some(body) if !body.is_empty() && !body.starts_with(is_space_or_minus) => (true, body),
            _ => (false, rest),
        };
        let (operator, body) = operator_of(body);
        let (value, is_quoted, after) = value_of(body);
        items.push(Item { is_excluded, operator, value, is_quoted });
        rest = after.trim_start();
    }
    items
}

fn operator_of(body: &str) -> (Option<Operator>, &str) {
    let known = body.split_once(':').and_then(|(name, value)| Some((Operator::named(name)?, value)));
    match known {
        // `in::x` and `from://x` are code.
        Some((Operator::Path | Operator::Repository, value)) if value.starts_with("//") => (None, body),
        Some((operator @ (Operator::Path | Operator::Repository), value)) => (Some(operator), value),
        Some((operator, value)) if !value.starts_with([':', '/']) => (Some(operator), value),
        _ => (None, body),
    }
}

/// Returns the value at the beginning, whether it is in quotation marks, and the text after it.
fn value_of(body: &str) -> (&str, bool, &str) {
    if let Some(quoted) = body.strip_prefix(is_quote) {
        let (value, after) = quoted.split_once(is_quote).unwrap_or((quoted, ""));
        return (value, true, after);
    }
    let end = body.find(char::is_whitespace).unwrap_or(body.len());
    let (value, after) = body.split_at_checked(end).unwrap_or((body, ""));
    (value, false, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::search::{Candidates, Condition};

    fn parse(text: &str) -> SearchQuery {
        SearchQuery::parse(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        SearchQuery::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn query_has_words_phrases_and_filters() {
        let query =
            parse("disk \"full at night\" -backup from:@Bob in:#Dev in:!17 in:@carol has:link is:pinned");
        assert_eq!((query.wanted.len(), query.excluded.len()), (2, 1));
        assert_eq!(query.from, [PersonName::Username("bob".into())]);
        let named = ChatName::Named("dev".into());
        assert_eq!(query.chats, [named, ChatName::Id(ChatId(17)), ChatName::With("carol".into())]);
        assert_eq!(query.has, [Feature::Link, Feature::Pinned]);
        assert_eq!(query.plain, None);
        let query = parse("FROM:me after:2026-11-24 before:2026-11-25T10:00:00+01:00");
        assert_eq!(query.from, [PersonName::Me]);
        assert_eq!(query.after, Timestamp::parse("2026-11-24T00:00:00Z"));
        assert_eq!(query.before, Timestamp::parse("2026-11-25T09:00:00Z"));
        assert_eq!(parse("in:\"my group\"").chats, [ChatName::Named("my group".into())]);
        assert_eq!(parse("Alice Smi").plain.as_deref(), Some("Alice Smi"));
    }

    #[test]
    fn other_names_and_quoted_operators_are_words() {
        for text in ["std::fs", "note:x", "in::x", "from://x", "\"from:bob\"", "C:\\temp", "-", "a -"] {
            let query = SearchQuery::parse(&format!("word {text}")).unwrap();
            assert!(query.from.is_empty() && query.chats.is_empty(), "{text}");
        }
        assert_eq!(parse("\u{201c}full disk\u{201d}").wanted, parse("\"full disk\"").wanted);
        assert_eq!(parse("\"full disk").wanted, parse("\"full disk\"").wanted);
    }

    #[test]
    fn query_without_a_meaning_is_refused() {
        for text in ["", "  ", "..", "-word", "before:2026-11-24", "\0", "\"\""] {
            assert!(refusal(text).contains("must have a word"), "{text:?}");
        }
        for (text, reason) in [
            ("from:", "from: needs a user name"),
            ("in:!x", "in: needs a chat"),
            ("in:", "in: needs a chat"),
            ("before:tomorrow", "before: needs a date"),
            ("has:cheese", "has: needs link, code or file"),
            ("is:unread", "as in is:pinned"),
            ("-disk", "from:, in:, has:, is: or repo:"),
            ("x -in:dev", "only words and phrases can be excluded"),
            ("path:src", "at least 3 characters"),
            ("path:src x", "at least 3 characters"),
            ("path:src word in:dev", "cannot have from:, in:"),
            ("repo:", "repo: needs a repository"),
            ("path:/ x", "path: needs the beginning"),
            ("lang:klingon word", "lang: needs a common language"),
        ] {
            assert!(refusal(text).contains(reason), "{text}: {}", refusal(text));
        }
        assert!(refusal(&"x".repeat(257)).contains("at most 256 bytes"));
        assert!(refusal(&"a.".repeat(97)).contains("at most 96"));
        assert!(SearchQuery::parse(&"a.".repeat(96)).is_ok());
        assert!(refusal(&"x ".repeat(17)).contains("at most 16"));
        assert!(SearchQuery::parse(&"x ".repeat(16)).is_ok());
    }

    #[test]
    fn candidates_need_few_terms() {
        let term = |term: &str| Condition::Term(term.into());
        let prefix = |term: &str| Condition::Prefix(term.into());
        for (text, all, none) in [
            ("disk full", vec![term("disk"), prefix("full")], vec![]),
            ("disk full ", vec![term("disk"), term("full")], vec![]),
            ("of", vec![term("of")], vec![]),
            ("sess.op", vec![prefix(".sess.op")], vec![]),
            ("a.b.c ", vec![term(".a.b"), term(".b.c")], vec![]),
            ("\"a.b c\"", vec![term(".a.b"), term("c")], vec![]),
            ("日本語", vec![term("日本"), term("本語")], vec![]),
            ("語", vec![term("語")], vec![]),
            ("--verbose ", vec![term("verbose")], vec![]),
            ("第3章", vec![term("第"), term("3"), term("章")], vec![]),
            ("👍 x -y -\"a b\" -日本", vec![term("👍"), term("x")], vec!["y".to_owned()]),
        ] {
            assert_eq!(parse(text).candidates(), Candidates { all, none }, "{text}");
        }
    }
}
