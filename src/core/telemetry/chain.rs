//! Errors with their causes in log lines.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// Shows an error and its sources, from the outermost to the first cause. See [`chain`].
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a dyn Error);

/// Wraps an error for a field of a log line, such as
/// `cannot read history: no database connection: timeout`.
pub fn chain(error: &dyn Error) -> Chain<'_> {
    Chain(error)
}

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        f.write_str(&shown)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            let text = source.to_string();
            // Many errors repeat their source in their own text.
            if !shown.ends_with(&text) {
                write!(f, ": {text}")?;
                shown = text;
            }
            next = source.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the repository cannot be read")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the file: {0}")]
    struct Middle(#[source] io::Error);

    #[test]
    fn chain_shows_each_cause_once() {
        let error = Outer(Middle(io::Error::other("the disk failed")));
        assert_eq!(
            chain(&error).to_string(),
            "the repository cannot be read: cannot open the file: the disk failed"
        );
    }
}
