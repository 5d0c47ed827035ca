//! Messages about lines of a file: their `metadata.code`, and how a file lists them.
//!
//! Metadata is free-form. A message whose `metadata.code` is not well-formed is an ordinary
//! message, which no file lists.

use super::ids::{ChatId, MessageId, RepositoryId, Seq, UserId};
use super::metadata::{Metadata, Value};
use super::name;
use super::timestamp::Timestamp;

/// Maximum size of a path, in bytes of its text. Metadata has a limit of its own.
const PATH_BYTES_MAX: usize = 4096;
/// Maximum number of a line.
const LINE_MAX: i64 = 10_000_000;
/// Maximum number of lines that a message is about.
const LINES_MAX: i64 = 10_000;
/// Hex digits of an object id.
const OID_DIGITS: usize = 40;

/// The repository that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedRepository {
    Id(RepositoryId),
    /// `owner/project/name`, in lower case.
    Path {
        owner: String,
        project_key: String,
        name_key: String,
    },
}

/// Lines of a file at a commit, as the metadata of a message names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeLines {
    pub repository: NamedRepository,
    /// The commit: 40 hex digits in lower case. It may not exist.
    pub oid: String,
    pub path: String,
    /// The first line, from 1.
    pub from: i64,
    /// The last line.
    pub to: i64,
}

impl CodeLines {
    /// Returns the lines that `metadata.code` names, if it is well-formed:
    /// `{repository, oid, path, from, to}`. Further keys are ignored.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let Value::Map(code) = metadata.get("code")? else { return None };
        let text = |key: &str| match code.get(key) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let number = |key: &str| match code.get(key) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        let repository = match code.get("repository")? {
            Value::Integer(id) => NamedRepository::Id(RepositoryId(*id)),
            Value::Text(path) => NamedRepository::parse(path)?,
            _ => return None,
        };
        let (oid, path) = (text("oid")?, text("path")?);
        let (from, to) = (number("from")?, number("to")?);
        let is_oid = oid.len() == OID_DIGITS && oid.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_path = !path.is_empty() && path.len() <= PATH_BYTES_MAX && !path.contains('\0');
        let is_range = (1..=LINE_MAX).contains(&from)
            && (from..=LINE_MAX).contains(&to)
            && to.saturating_sub(from) < LINES_MAX;
        (is_oid && is_path && is_range).then(|| Self {
            repository,
            oid: oid.to_ascii_lowercase(),
            path: path.to_owned(),
            from,
            to,
        })
    }
}

impl NamedRepository {
    fn parse(path: &str) -> Option<Self> {
        let mut names = path.split('/').map(name::key);
        let (owner, project_key, name_key) = (names.next()?, names.next()?, names.next()?);
        names.next().is_none().then_some(Self::Path { owner, project_key, name_key })
    }
}

/// A message about lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTalk {
    pub message_id: MessageId,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub sender_id: UserId,
    pub created_at: Timestamp,
    /// The commit in which the lines have these numbers.
    pub oid: String,
    pub from: i64,
    pub to: i64,
    /// The number of messages in the thread that the message begins.
    pub replies: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "8D8F1FB2A0B3F2A9D6A3D6C5A1E0F9B8C7D6E5F4";

    fn lines(code: &serde_json::Value) -> Option<CodeLines> {
        let metadata: Metadata = serde_json::from_value(serde_json::json!({ "code": code })).unwrap();
        CodeLines::of(&metadata)
    }

    #[test]
    fn code_lines_are_read_from_well_formed_metadata() {
        let code = serde_json::json!({"repository": "alice/Hello/web", "oid": OID, "path": "src/a b.rs",
            "from": 3, "to": 12, "side": "old"});
        let expected = CodeLines {
            repository: NamedRepository::Path {
                owner: "alice".into(),
                project_key: "hello".into(),
                name_key: "web".into(),
            },
            oid: OID.to_lowercase(),
            path: "src/a b.rs".into(),
            from: 3,
            to: 12,
        };
        assert_eq!(lines(&code), Some(expected));
        let mut by_id = code;
        by_id["repository"] = 7.into();
        assert_eq!(lines(&by_id).unwrap().repository, NamedRepository::Id(RepositoryId(7)));
    }

    #[test]
    fn code_lines_are_absent_from_other_metadata() {
        let good = serde_json::json!({"repository": 7, "oid": OID, "path": "a", "from": 1, "to": 1});
        assert!(lines(&good).is_some());
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        for (key, value) in [
            ("repository", serde_json::json!("alice/hello")),
            ("repository", serde_json::json!("alice/hello/web/more")),
            ("repository", serde_json::json!(null)),
            ("oid", serde_json::json!("main")),
            ("oid", serde_json::json!(OID.replace('8', "é"))),
            ("path", serde_json::json!("")),
            ("path", serde_json::json!("a\0b")),
            ("path", serde_json::json!(long)),
            ("from", serde_json::json!(0)),
            ("from", serde_json::json!(2)),
            ("from", serde_json::json!("1")),
            ("to", serde_json::json!(1.5)),
            ("to", serde_json::json!(LINES_MAX + 1)),
            ("to", serde_json::json!(i64::MAX)),
        ] {
            let mut bad = good.clone();
            bad[key] = value.clone();
            assert_eq!(lines(&bad), None, "{key}: {value}");
        }
        for other in [serde_json::json!([]), serde_json::json!("x"), serde_json::json!({})] {
            assert_eq!(lines(&other), None, "{other}");
        }
    }
}
