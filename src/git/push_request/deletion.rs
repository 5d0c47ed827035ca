//! The head of a push that the server itself makes: the deletion of a ref.

use bytes::BytesMut;

use super::{PushRequest, PushRequestError, PushRequestReader};
use crate::git::pkt_line;

impl PushRequest {
    /// Returns the head of a push that deletes the ref `name`, which points to `oid`, in hex. Its
    /// report has no side bands.
    ///
    /// # Errors
    /// Fails if the name cannot be a part of a push.
    pub fn deletion(name: &str, oid: &str) -> Result<Self, PushRequestError> {
        if name.chars().any(char::is_control) {
            return Err(PushRequestError::Malformed);
        }
        let mut bytes = BytesMut::new();
        let zeros = "0".repeat(oid.len());
        pkt_line::put(&mut bytes, format!("{oid} {zeros} {name}\0report-status").as_bytes());
        bytes.extend_from_slice(pkt_line::FLUSH);
        let mut reader = PushRequestReader::new(1, bytes.len());
        if reader.feed(&bytes)? { Ok(reader.finish().0) } else { Err(PushRequestError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletion_is_a_push_without_a_pack() {
        let oid = "12".repeat(20);
        let head = PushRequest::deletion("refs/heads/a b", &oid).unwrap();
        let [update] = head.updates.as_slice() else { panic!("{head:?}") };
        assert_eq!((update.name.as_str(), update.old.as_deref()), ("refs/heads/a b", Some(oid.as_str())));
        assert_eq!((&update.new, head.has_pack(), head.wants_report()), (&None, false, true));
        assert!(!head.has_side_band() && head.bytes.ends_with(b"0000"));
        for bad in ["refs/heads/a\0b", "refs/heads/a\nb"] {
            assert_eq!(PushRequest::deletion(bad, &oid), Err(PushRequestError::Malformed), "{bad:?}");
        }
    }
}
