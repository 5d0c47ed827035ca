//! Commands that connect to a server over the network: its address, and the certificates to trust.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::client::{HttpClient, Trust};

/// Server that a command connects to.
#[derive(Args, Clone, Default)]
pub(super) struct ServerFlag {
    /// Address of the server; https:// encrypts all traffic.
    #[arg(long = "server", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Trust the certificates in this PEM file (authorities, or the server's own) instead of those
    /// of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A server with its address and an HTTP client for it.
pub(super) struct Server {
    /// Address without a trailing slash.
    pub(super) base: String,
    pub(super) host: String,
    pub(super) http: HttpClient,
}

impl ServerFlag {
    pub(super) fn open(&self) -> anyhow::Result<Server> {
        open(&self.url, self.ca.as_deref())
    }
}

/// Returns the server at an address without connecting to it.
pub(super) fn open(url: &str, ca: Option<&Path>) -> anyhow::Result<Server> {
    let (base, host) = parse(url)?;
    let trust = match ca {
        _ if base.starts_with("http://") => None,
        Some(file) => Some(Trust::of_file(file).context("--ca")?),
        None => Some(
            Trust::of_platform().context("cannot load the certificates of this machine: use --ca FILE")?,
        ),
    };
    let http = HttpClient::trusting(base.as_str(), trust)?;
    Ok(Server { base, host, http })
}

/// Returns the address without a trailing slash, and its host.
fn parse(text: &str) -> anyhow::Result<(String, String)> {
    let parsed = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = parsed else {
        bail!(
            "\"{text}\" is not a server address; allowed: the form http://127.0.0.1:8080 or \
             https://git.example.org"
        );
    };
    let host = url.host_str().context("the address has no host")?.to_owned();
    Ok((url.as_str().trim_end_matches('/').to_owned(), host))
}

/// Returns this program's folder in a base directory of the user: the one in a variable of the
/// environment, or the default below the home directory. Relative paths are ignored (XDG Base
/// Directory Specification).
pub(super) fn user_folder(variable: &str, default: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(default)))?;
    Some(base.join("netbit"))
}

/// Reads the user's password from the first line of a file, or from the terminal.
pub(super) fn password(user: &str, file: Option<&Path>) -> anyhow::Result<String> {
    let Some(path) = file else {
        let typed = rpassword::prompt_password(format!("Password for {user}: "));
        return typed.context("cannot ask for the password without a terminal: use --password-file FILE");
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--password-file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse \r\nrest\n").unwrap();
        assert_eq!(password("alice", Some(file.path())).unwrap(), "correct horse ");
    }

    #[test]
    fn server_is_an_http_or_https_address() {
        let address = |text| parse(text).ok();
        let of = |base: &str, host: &str| Some((base.to_owned(), host.to_owned()));
        assert_eq!(address("http://localhost:8080/"), of("http://localhost:8080", "localhost"));
        assert_eq!(address("http://[::1]:80"), of("http://[::1]", "[::1]"));
        assert_eq!(address("https://git.example.org"), of("https://git.example.org", "git.example.org"));
        for bad in ["", "localhost:8080", "/tmp", "ftp://localhost"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
