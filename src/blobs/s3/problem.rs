//! Failures of the store, as sentences for its operator.

use std::error::Error;
use std::io;

use crate::core::telemetry::chain;

/// The problem of an operation without an answer.
pub(super) const LATE: &str = "it does not answer in time";
/// Bytes of the store's own words that are kept.
const WORDS_BYTES: usize = 500;

/// The store of files did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("the store of files: {problem} ({cause})")]
pub struct StoreError {
    problem: &'static str,
    cause: String,
}

/// The code in an answer of the store, and what it means.
const SENTENCES: [(&str, &str); 12] = [
    (
        "RequestTimeTooSkewed",
        "the clock of this machine and that of the store differ by too much; synchronise the clock (NTP)",
    ),
    ("InvalidAccessKeyId", "the store does not know files.s3.access_key_id; correct the key"),
    ("SignatureDoesNotMatch", "the key is wrong; correct files.s3.secret_access_key"),
    (
        "NoSuchBucket",
        "the bucket does not exist; create it, or correct files.s3.bucket, files.s3.endpoint and files.s3.path_style",
    ),
    ("AuthorizationHeaderMalformed", "the bucket is in another region; correct files.s3.region"),
    ("PermanentRedirect", "the bucket is in another region; correct files.s3.region"),
    ("EntityTooLarge", "the store takes no parts of this size; lower limits.files_s3_part_bytes"),
    ("QuotaExceeded", "the store is full; free space in it"),
    ("StorageFull", "the store is full; free space in it"),
    (
        "AccessDenied",
        "the key may not do this; allow it to list the bucket, and to read, write and delete below files.s3.prefix",
    ),
    ("SlowDown", "the store asks for fewer requests; it is tried again later"),
    ("certificate", "the certificate of the store is not trusted; correct files.s3.certificates"),
];

impl StoreError {
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let words = chain(error).to_string();
        let known = SENTENCES.iter().find(|(code, _)| words.contains(code)).map(|(_, sentence)| *sentence);
        let problem = known.unwrap_or_else(|| {
            if words.contains("403 Forbidden") || words.contains("401 Unauthorized") {
                "the key is refused; correct files.s3.access_key_id and files.s3.secret_access_key"
            } else {
                "it cannot be reached or does not work; check files.s3.endpoint, the network and the store"
            }
        });
        Self { problem, cause: cut(&words) }
    }

    pub(super) fn plain(problem: &'static str, cause: impl Into<String>) -> Self {
        Self { problem, cause: cause.into() }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::other(error)
    }
}

fn cut(words: &str) -> String {
    let mut end = words.len().min(WORDS_BYTES);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.get(..end).unwrap_or_default().replace(['\n', '\r'], " ")
}

/// Returns whether the error is that of a store which does not work now, but may later.
pub fn is_away(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<StoreError>())
}

/// Returns whether the request may still be executed: its answer did not arrive in time.
pub(super) fn is_late(error: &io::Error) -> bool {
    let store = error.get_ref().and_then(|cause| cause.downcast_ref::<StoreError>());
    store.is_some_and(|error| error.problem == LATE || error.cause.contains("no complete answer within"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_store_become_sentences() {
        let of = |words: &str| StoreError::of(&io::Error::other(words.to_owned())).to_string();
        assert!(of("403: <Code>RequestTimeTooSkewed</Code>").contains("synchronise the clock"));
        assert!(of("403: <Code>InvalidAccessKeyId</Code>").contains("files.s3.access_key_id"));
        assert!(of("404: <Code>NoSuchBucket</Code>").contains("the bucket does not exist"));
        assert!(of("status 403 Forbidden").contains("the key is refused"));
        assert!(of("connection refused").contains("cannot be reached"));
        assert!(of("/ab/4030401 after 403.1 ms").contains("cannot be reached"));
        let long = of(&"ä\n".repeat(1_000));
        assert!(long.len() < 1_000 && !long.contains('\n'));
        assert!(is_away(&StoreError::plain("x", "y").into()) && !is_away(&io::Error::other("x")));
    }
}
