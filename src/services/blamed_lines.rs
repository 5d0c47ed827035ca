//! The lines of a file that one blame covers.

use super::ServiceError;
use crate::core::plural::plural;
use crate::protocol::code::Code;

/// Maximum number of lines in one blame.
const BLAME_LINES_MAX: usize = 1_000;

/// The lines to blame, counted from 1; all 0 for an empty file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlamedLines {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Not all requested lines are covered.
    pub(super) truncated: bool,
}

impl BlamedLines {
    pub(super) fn parse(
        from: Option<usize>,
        to: Option<usize>,
        line_count: usize,
    ) -> Result<Self, ServiceError> {
        let bad = |why: String| Err(ServiceError::new(Code::BadRequest, why));
        if from == Some(0) || to == Some(0) {
            return bad("lines are counted from 1".to_owned());
        }
        let (first, last) = (from.unwrap_or(1), to.unwrap_or(line_count).min(line_count));
        if line_count == 0 && first == 1 {
            return Ok(Self { first: 0, last: 0, truncated: false });
        }
        if first > line_count {
            return bad(format!("the file has {}", plural(line_count, "line", "lines")));
        }
        if first > last {
            return bad("to must not be less than from".to_owned());
        }
        let end = last.min(first.saturating_add(BLAME_LINES_MAX - 1));
        Ok(Self { first, last: end, truncated: end < last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_covers_existing_lines_and_at_most_a_thousand() {
        let lines = |from, to, count| {
            BlamedLines::parse(from, to, count).map(|lines| (lines.first, lines.last, lines.truncated))
        };
        assert_eq!(lines(None, None, 3).unwrap(), (1, 3, false));
        assert_eq!(lines(Some(2), Some(9), 3).unwrap(), (2, 3, false));
        assert_eq!(lines(None, None, 0).unwrap(), (0, 0, false));
        assert_eq!(lines(None, None, 1_000).unwrap(), (1, 1_000, false));
        assert_eq!(lines(None, None, 1_001).unwrap(), (1, 1_000, true));
        assert_eq!(lines(Some(500), Some(usize::MAX), 5_000).unwrap(), (500, 1_499, true));
        for (from, to, count) in [(0, 1, 3), (1, 0, 3), (4, 4, 3), (3, 2, 3), (2, 2, 0), (usize::MAX, 1, 3)] {
            assert_eq!(lines(Some(from), Some(to), count).unwrap_err().code, Code::BadRequest);
        }
    }
}
