//! The URL of the database: libpq's form, with its `sslmode` and `sslrootcert`.

use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    #[error("not a URL of PostgreSQL; allowed: postgres://user:password@host/database")]
    Scheme,
    #[error("{0}: {reason}", reason = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Parse(tokio_postgres::Error),
    #[error("the URL names no {0}")]
    Missing(&'static str),
    #[error("sslmode \"{0}\" is not known; allowed: disable, prefer, require, verify-ca, verify-full")]
    SslMode(String),
    #[error("sslrootcert: {0}")]
    RootCertificate(String),
}

/// How the certificate of the server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verification {
    /// No TLS.
    Off,
    /// The connection is encrypted, but the server is not authenticated, as in libpq.
    None,
    /// The certificate must be valid for the host: signed by the file, or by an authority that this
    /// machine trusts.
    Full(Option<PathBuf>),
}

pub(super) struct Target {
    pub(super) config: Config,
    pub(super) verification: Verification,
    pub(super) place: String,
}

/// Reads a URL.
pub(super) fn parse(url: &str) -> Result<Target, UrlError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(UrlError::Scheme);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut root, mut kept) = ("prefer", None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => mode = value,
            Some(("sslrootcert", value)) => root = Some(PathBuf::from(value)),
            _ => kept.push(parameter),
        }
    }
    let bare = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    let mut config: Config = bare.parse().map_err(UrlError::Parse)?;
    let (ssl, verification) = match mode {
        "disable" => (SslMode::Disable, Verification::Off),
        "allow" | "prefer" => (SslMode::Prefer, Verification::None),
        "require" if root.is_none() => (SslMode::Require, Verification::None),
        "require" | "verify-ca" | "verify-full" => (SslMode::Require, Verification::Full(root)),
        other => return Err(UrlError::SslMode(other.to_owned())),
    };
    config.ssl_mode(ssl);
    // Several hosts: only the primary takes writes.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let database = config.get_dbname().ok_or(UrlError::Missing("database"))?.to_owned();
    let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
    if hosts.is_empty() {
        return Err(UrlError::Missing("host"));
    }
    let ports = config.get_ports();
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    let hosts: Vec<_> = hosts.iter().enumerate().map(|(n, host)| format!("{host}:{}", port(n))).collect();
    let place = format!("{}/{database}", hosts.join(","));
    Ok(Target { config, verification, place })
}

/// Returns a URL for each host of a URL. The parameter `host` of a URL is not divided.
pub(super) fn each_host(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    // The first @, as `tokio_postgres` parses it: other ones are percent-encoded.
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) => (format!("{user}@"), rest),
        None => (String::new(), rest),
    };
    let (hosts, database) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{database}")).collect()
}

fn host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_has_no_password() {
        let target = parse("postgres://ada:secret@db1,db2:5433/netbit?connect_timeout=4").unwrap();
        assert_eq!(target.place, "db1:5432,db2:5433/netbit");
        assert_eq!(target.verification, Verification::None);
    }

    #[test]
    fn each_host_of_a_url_has_its_port_user_and_parameters() {
        let places =
            |url: &str| -> Vec<_> { each_host(url).iter().map(|url| parse(url).unwrap().place).collect() };
        let several = "postgres://ada:secret@db1,[::1]:5433/netbit?sslmode=disable";
        assert_eq!(places(several), ["db1:5432/netbit", "::1:5433/netbit"]);
        assert_eq!(each_host(several)[0], "postgres://ada:secret@db1/netbit?sslmode=disable");
        assert_eq!(places("postgres:///netbit?host=/run/postgresql"), ["/run/postgresql:5432/netbit"]);
    }

    #[test]
    fn sslmode_decides_how_the_server_is_checked() {
        let verification = |url: &str| parse(url).unwrap().verification;
        assert_eq!(verification("postgres://h/d?sslmode=disable"), Verification::Off);
        assert_eq!(verification("postgres://h/d?sslmode=require"), Verification::None);
        assert_eq!(verification("postgres://h/d?sslmode=verify-full"), Verification::Full(None));
        let root = Verification::Full(Some(PathBuf::from("/ca.pem")));
        assert_eq!(verification("postgres://h/d?sslmode=verify-full&sslrootcert=/ca.pem"), root);
    }

    #[test]
    fn mistakes_are_named_without_the_url() {
        for (url, text) in [
            ("mysql://h/d", "not a URL of PostgreSQL"),
            ("postgres://h", "names no database"),
            ("postgres:///d", "names no host"),
            ("postgres://h/d?sslmode=full", "sslmode \"full\" is not known"),
        ] {
            let error = parse(url).map(|target| target.place).unwrap_err().to_string();
            assert!(error.contains(text), "{url}: {error}");
        }
    }
}
