//! Tokens of commits: with them, a client reads its own writes at any node.
//!
//! A node that answers a write returns the token of its newest commit. A request that sends the
//! token to another node waits until that node has applied the commit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::ServiceError;
use crate::actors::cache::LogReader;
use crate::actors::commit::{NewestCommit, Place};
use crate::core::saturate;
use crate::protocol::code::Code;

/// A commit of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitToken {
    epoch: i64,
    commit_no: i64,
}

impl CommitToken {
    /// Returns whether a client that has read this commit has read the other.
    pub fn covers(self, other: Self) -> bool {
        self.epoch == other.epoch && self.commit_no >= other.commit_no
    }
}

impl CommitToken {
    fn of(place: Place) -> Self {
        Self { epoch: place.epoch, commit_no: place.commit_no }
    }
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit is `<epoch>.<number>`, as the server returned it")]
pub struct NotAToken;

impl fmt::Display for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.commit_no)
    }
}

impl FromStr for CommitToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let number = |digits: &str| {
            let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_plain { digits.parse().map_err(|_| NotAToken) } else { Err(NotAToken) }
        };
        let (epoch, commit_no) = text.split_once('.').ok_or(NotAToken)?;
        Ok(Self { epoch: number(epoch)?, commit_no: number(commit_no)? })
    }
}

/// Makes tokens, and waits for the commits that they name.
pub struct CommitTokens {
    newest: NewestCommit,
    log: LogReader,
    patience: Duration,
}

impl CommitTokens {
    pub fn new(newest: NewestCommit, log: LogReader, patience: Duration) -> Self {
        Self { newest, log, patience }
    }

    /// Returns the newest visible commit: every answer so far comes from it or an earlier one.
    pub fn newest(&self) -> CommitToken {
        CommitToken::of(self.newest.visible())
    }

    /// Returns once queries are answered from the commit, or a later one. A commit that the
    /// database does not have is not waited for: no server has returned it, or it was lost and the
    /// database has a new epoch.
    ///
    /// # Errors
    /// `overloaded` if the log of commits could not be read in time.
    pub async fn reach(&self, token: CommitToken) -> Result<(), ServiceError> {
        if CommitToken::of(self.newest.published()).covers(token) {
            return Ok(());
        }
        self.read_log("this server has not received your last change yet; try again").await
    }

    /// Returns once queries are answered from all commits so far, also those of other nodes.
    ///
    /// # Errors
    /// `overloaded` if the log of commits could not be read in time.
    pub async fn catch_up(&self) -> Result<(), ServiceError> {
        match self.log.others_run() {
            true => self.read_log("the database of this server does not answer; try again").await,
            false => Ok(()),
        }
    }

    /// One read finds all commits so far, and publishes them before it is answered.
    async fn read_log(&self, unread: &'static str) -> Result<(), ServiceError> {
        match tokio::time::timeout(self.patience, self.log.read()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                Err(ServiceError::later(Code::Overloaded, unread, saturate::millis(self.patience)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::freshness::Freshness;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn token_is_read_as_it_is_written() {
        let token = CommitToken { epoch: 7, commit_no: 9 };
        assert_eq!((token.to_string().as_str(), "7.9".parse()), ("7.9", Ok(token)));
        for wrong in
            ["", ".", "7", "7.", ".9", "7.9.1", "-7.9", "+7.9", "7.+9", " 7.9", "7.99999999999999999999"]
        {
            assert_eq!(wrong.parse::<CommitToken>(), Err(NotAToken), "{wrong}");
        }
    }

    #[actix_web::test]
    async fn only_a_commit_that_is_not_published_requires_a_read() {
        let (log, mut requests) = LogReader::new(Freshness::new(None));
        let newest = NewestCommit::default();
        newest.publish(Place { epoch: 7, commit_no: 9, batch: None });
        let tokens = CommitTokens::new(newest, log, PATIENCE);
        tokens.reach("7.9".parse().unwrap()).await.unwrap();
        assert!(requests.try_recv().is_err(), "nothing was read");
        let (reached, ()) = tokio::join!(tokens.reach("7.10".parse().unwrap()), async {
            requests.recv().await.unwrap().send(()).unwrap();
        });
        reached.unwrap();
        let (reached, ()) = tokio::join!(tokens.reach("8.1".parse().unwrap()), async {
            drop(requests.recv().await.unwrap());
        });
        assert_eq!(reached.unwrap_err().code, Code::Overloaded, "the log was not read");
    }
}
