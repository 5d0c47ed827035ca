//! Commands that speak to a server over its network: where it is, and whom they trust there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::client::{HttpClient, Trust};

/// The server that a command speaks to.
#[derive(Args, Clone, Default)]
pub(super) struct ServerFlag {
    /// The address of the server; with https:// everything is encrypted.
    #[arg(long = "server", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Trust the certificates in this PEM file instead of those of this machine: authorities, or the server's own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A server, as a client of it.
pub(super) struct Server {
    /// The address without a slash at its end.
    pub(super) base: String,
    pub(super) host: String,
    pub(super) http: HttpClient,
}

impl ServerFlag {
    pub(super) fn open(&self) -> anyhow::Result<Server> {
        open(&self.url, self.ca.as_deref())
    }
}

/// The server at an address. Nothing is connected yet.
pub(super) fn open(url: &str, ca: Option<&Path>) -> anyhow::Result<Server> {
    let (base, host) = parse(url)?;
    let trust = match ca {
        _ if base.starts_with("http://") => None,
        Some(file) => Some(Trust::of_file(file).context("--ca")?),
        None => Some(Trust::of_platform().context("see --ca")?),
    };
    let http = HttpClient::trusting(base.as_str(), trust)?;
    Ok(Server { base, host, http })
}

/// The address without a slash at its end, and the host in it.
fn parse(text: &str) -> anyhow::Result<(String, String)> {
    let url = reqwest::Url::parse(text).with_context(|| format!("\"{text}\" is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("the address of a server is like http://127.0.0.1:8080 or https://git.example.org");
    }
    let host = url.host_str().context("the address names no host")?.to_owned();
    Ok((url.as_str().trim_end_matches('/').to_owned(), host))
}

/// The user's password: the first line of a file, or what is typed at the terminal.
pub(super) fn password(user: &str, file: Option<&Path>) -> anyhow::Result<String> {
    let Some(path) = file else {
        let typed = rpassword::prompt_password(format!("Password of {user}: "));
        return typed
            .context("there is no terminal to ask for the password: name a file with --password-file");
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--password-file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_ends_with_its_first_line() {
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
