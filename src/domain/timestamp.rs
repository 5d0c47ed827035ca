//! Wall-clock time, for display. No ordering depends on it.

use jiff::fmt::StdIoWrite;
use jiff::fmt::temporal::DateTimePrinter;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z. RFC 3339 in JSON, an integer in MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Parses an RFC 3339 time.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    /// Like [`Self::parse`], but returns the nearest time for one that the server cannot represent,
    /// such as `9999-12-31T23:59:59Z`.
    pub fn parse_nearest(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let pieces = jiff::fmt::temporal::Pieces::parse(text).ok()?;
            pieces.time().and(pieces.to_numeric_offset())?;
            let nearest = if pieces.date().year() > 0 { jiff::Timestamp::MAX } else { jiff::Timestamp::MIN };
            Some(Self(nearest.as_millisecond()))
        })
    }

    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }
}

/// The size of the buffer for the text form: the longest is `-009999-01-02T01:59:59.999Z`.
const TEXT_BYTES: usize = 40;

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_i64(self.0);
        }
        // Pages have a timestamp for each message: this path uses no formatter and does not
        // allocate.
        let mut text = [0; TEXT_BYTES];
        let mut rest = text.as_mut_slice();
        let time = jiff::Timestamp::from_millisecond(self.0);
        let printed = time.and_then(|time| {
            const PRINTER: DateTimePrinter = DateTimePrinter::new();
            PRINTER.print_timestamp(&time, StdIoWrite(&mut rest))
        });
        let used = TEXT_BYTES - rest.len();
        match text.get(..used).map(std::str::from_utf8) {
            Some(Ok(text)) if printed.is_ok() => serializer.serialize_str(text),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Timestamp;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an RFC 3339 time or integer milliseconds")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Timestamp, E> {
                Ok(Timestamp(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Timestamp, E> {
                i64::try_from(value).map(Timestamp).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Timestamp, E> {
                value.parse::<jiff::Timestamp>().map(|t| Timestamp(t.as_millisecond())).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_rfc_3339_in_json_and_integer_in_message_pack() {
        let time = Timestamp(1_700_000_000_123);
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(rmp_serde::from_slice::<i64>(&rmp_serde::to_vec(&time).unwrap()).unwrap(), time.0);
        assert_eq!(serde_json::from_str::<Timestamp>("\"2023-11-14T22:13:20.123Z\"").unwrap(), time);
        for time in [0, 100, 999, -1, 1_700_000_000_000, 253_402_207_200_999, -377_705_023_201_000, i64::MAX]
        {
            let time = Timestamp(time);
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{time}\""), "as it is displayed");
        }
    }
}
