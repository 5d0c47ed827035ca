//! Where the bus is: the key `bus` of the configuration.

use std::fmt;
use std::sync::Arc;

use async_nats::ServerAddr;

use crate::core::database::postgres::Server;

/// The server of the bus.
#[derive(Clone)]
pub enum Target {
    /// The database of the cluster.
    Postgres(Arc<Server>),
    Redis(Box<redis::Client>),
    Nats(Box<ServerAddr>),
}

/// A mistake in the key `bus`. Contains no password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("allowed: a URL that begins with redis://, rediss://, nats:// or tls://; unset: PostgreSQL")]
    Scheme,
    #[error("the URL of Redis cannot be read; allowed: redis://USER:PASSWORD@HOST:PORT")]
    Redis,
    #[error("the URL of NATS cannot be read; allowed: nats://USER:PASSWORD@HOST:PORT")]
    Nats,
}

impl Target {
    /// Returns the server that `url` names. Connects to nothing yet.
    ///
    /// # Errors
    /// [`TargetError`] names the mistake.
    pub fn of(url: &str) -> Result<Self, TargetError> {
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("redis" | "rediss") => {
                let client = redis::Client::open(url).map_err(|_| TargetError::Redis)?;
                Ok(Self::Redis(Box::new(client)))
            }
            Some("nats" | "tls") => {
                let address: ServerAddr = url.parse().map_err(|_| TargetError::Nats)?;
                if address.host().is_empty() {
                    return Err(TargetError::Nats);
                }
                Ok(Self::Nats(Box::new(address)))
            }
            _ => Err(TargetError::Scheme),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "Target::Postgres",
            Self::Redis(_) => "Target::Redis",
            Self::Nats(_) => "Target::Nats",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_the_transport() {
        for (url, named) in [
            ("redis://127.0.0.1:6379", "Target::Redis"),
            ("rediss://user:password@cache.example.org:6380/2", "Target::Redis"),
            ("nats://127.0.0.1", "Target::Nats"),
            ("tls://user:password@nats.example.org:4222", "Target::Nats"),
        ] {
            assert_eq!(format!("{:?}", Target::of(url).unwrap()), named, "{url}");
        }
    }

    #[test]
    fn mistake_in_a_url_does_not_show_the_password() {
        for (url, mistake) in [
            ("", TargetError::Scheme),
            ("127.0.0.1:6379", TargetError::Scheme),
            ("postgres://u:hunter2@db", TargetError::Scheme),
            ("redis://u:hunter2@host:port", TargetError::Redis),
            ("nats://u:hunter2@host:port", TargetError::Nats),
        ] {
            let error = Target::of(url).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(error, mistake, "{url}");
        }
    }
}
