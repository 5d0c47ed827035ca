//! Values of clients in log lines: bounded in length, and on one line.

use std::fmt::{self, Display, Formatter, Write};

/// Bytes of one logged value. The bytes beyond it are counted, not shown. A whole object id and
/// most paths fit.
pub const LOGGED_BYTES_MAX: usize = 256;

/// Shows at most [`LOGGED_BYTES_MAX`] bytes of a value, with control characters escaped. See
/// [`cut`].
#[derive(Debug, Clone, Copy)]
pub struct Cut<T>(T);

/// Wraps a value that holds bytes of a client, for a field or message of a log line.
pub fn cut<T: Display>(value: T) -> Cut<T> {
    Cut(value)
}

impl<T: Display> Display for Cut<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut narrow = Narrow { to: f, left: LOGGED_BYTES_MAX, omitted: 0 };
        write!(narrow, "{}", self.0)?;
        match narrow.omitted {
            0 => Ok(()),
            omitted => write!(f, "… ({omitted} bytes more)"),
        }
    }
}

/// Writes the beginning of a text and counts the rest.
struct Narrow<'a, 'b> {
    to: &'a mut Formatter<'b>,
    left: usize,
    omitted: usize,
}

impl Write for Narrow<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // After the first omitted byte, nothing is shown.
        let shown = if self.omitted > 0 { 0 } else { text.floor_char_boundary(self.left) };
        let (head, rest) = text.split_at_checked(shown).unwrap_or((text, ""));
        self.left = self.left.saturating_sub(head.len());
        self.omitted += rest.len();
        for part in head.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            self.to.write_str(plain)?;
            for control in part.chars().skip(plain.chars().count()) {
                write!(self.to, "{}", control.escape_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_their_rest_is_counted() {
        assert_eq!(cut("short").to_string(), "short");
        let whole = "x".repeat(LOGGED_BYTES_MAX);
        assert_eq!(cut(&whole).to_string(), whole);
        let long = cut("x".repeat(60_000)).to_string();
        assert_eq!(long, format!("{whole}… (59744 bytes more)"));
        // A value of many parts is cut as a whole, and never within a character.
        let parts = format_args!("{}{}{}", "y".repeat(255), "ä", "z").to_string();
        assert_eq!(cut(parts).to_string(), format!("{}… (3 bytes more)", "y".repeat(255)));
    }

    #[test]
    fn value_cannot_start_a_new_log_line() {
        assert_eq!(cut("a\nb\r\u{1b}[0m\u{7f}").to_string(), "a\\nb\\r\\u{1b}[0m\\u{7f}");
    }
}
