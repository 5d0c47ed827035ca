//! Metadata: a small map that clients attach to a message and that the server stores without
//! interpreting it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text::Invalid;

/// Maximum size of the metadata as JSON text, in bytes.
pub const METADATA_BYTES_MAX: usize = 4 * 1024;
/// Maximum nesting depth of values.
pub const METADATA_DEPTH_MAX: usize = 8;

/// A value of the types that JSON and MessagePack share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer above `i64::MAX`: it is parsed so that it is refused instead of rounded.
    TooBig(u64),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(items) => 1 + items.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::Number(number) => number.is_finite(),
            Self::TooBig(_) => false,
            Self::List(items) => items.iter().all(Self::is_finite),
            Self::Map(items) => items.values().all(Self::is_finite),
            _ => true,
        }
    }

    /// Returns an upper bound of the size of the JSON text, precise enough for a limit: escapes
    /// count as six bytes.
    fn json_bytes(&self) -> usize {
        let text = |s: &str| {
            2 + s
                .chars()
                .map(|c| if c.is_control() || c == '"' || c == '\\' { 6 } else { c.len_utf8() })
                .sum::<usize>()
        };
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Integer(_) | Self::TooBig(_) | Self::Number(_) => 24,
            Self::Text(value) => text(value),
            Self::List(items) => 2 + items.iter().map(|item| 1 + item.json_bytes()).sum::<usize>(),
            Self::Map(items) => {
                2 + items.iter().map(|(key, item)| 2 + text(key) + item.json_bytes()).sum::<usize>()
            }
        }
    }
}

/// A map of at most [`METADATA_BYTES_MAX`] and [`METADATA_DEPTH_MAX`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    pub fn parse(self) -> Result<Self, Invalid> {
        let whole = Value::Map(self.0);
        if whole.depth() > METADATA_DEPTH_MAX {
            return Err(Invalid("nests deeper than 8 levels"));
        }
        if !whole.is_finite() {
            return Err(Invalid(
                "contains a number that is not finite, or an integer above the signed 64-bit range",
            ));
        }
        if whole.json_bytes() > METADATA_BYTES_MAX {
            return Err(Invalid("is larger than 4096 bytes"));
        }
        match whole {
            Value::Map(map) => Ok(Self(map)),
            _ => Err(Invalid("must be a map")),
        }
    }

    /// Creates metadata with one number.
    pub fn of(key: &str, value: i64) -> Self {
        Self(BTreeMap::from([(key.to_owned(), Value::Integer(value))]))
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| 48 + key.len() + value.json_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_size_and_depth_are_limited() {
        let parse = |text: &str| serde_json::from_str::<Metadata>(text).unwrap().parse();
        assert!(parse(r#"{"a":1,"b":[true,null,1.5,"x",{"c":{}}]}"#).is_ok());
        assert!(parse(&format!(r#"{{"a":"{}"}}"#, "x".repeat(5000))).is_err());
        assert!(parse(&format!(r#"{{"a":{}{}}}"#, "[".repeat(9), "]".repeat(9))).is_err());
        assert!(parse(r#"{"a":9223372036854775807}"#).is_ok());
        assert!(parse(r#"{"a":9223372036854775808}"#).is_err(), "it would be rounded");
        let endless = BTreeMap::from([("a".to_owned(), Value::List(vec![Value::Number(f64::INFINITY)]))]);
        assert!(Metadata(endless).parse().is_err());
    }
}
