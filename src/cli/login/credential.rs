//! `netbit credential`: prints the token of a login, for git (gitcredentials(7)) and for scripts.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};

use super::store::{CredentialStore, key_of};
use crate::cli::output::{print_line, report_error};

/// Maximum size of a description that is read; git's descriptions are smaller.
const DESCRIPTION_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
pub(in crate::cli) struct CredentialArguments {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Subcommand)]
enum CredentialCommand {
    /// Print the token for a server; the address may be omitted if there is only one login.
    Token {
        /// Address of the server, as given to `netbit login`.
        #[arg(value_name = "URL")]
        url: Option<String>,
    },
    /// For git: print the login for the description on standard input.
    Get,
    /// For git: accepted and ignored, because `netbit login` stores the tokens.
    Store,
    /// For git: remove a token that the server refused.
    Erase,
}

pub(in crate::cli) fn run(arguments: &CredentialArguments) -> Result<ExitCode, ExitCode> {
    let done = match &arguments.command {
        CredentialCommand::Token { url } => token(url.as_deref()),
        CredentialCommand::Get => get(),
        CredentialCommand::Store => Ok(()),
        CredentialCommand::Erase => erase(),
    };
    done.map(|()| ExitCode::SUCCESS).map_err(|error| report_error(&error))
}

fn token(url: Option<&str>) -> anyhow::Result<()> {
    let mut logins = CredentialStore::of_user()?.read()?;
    let login = match url {
        Some(url) => {
            logins.remove(&key_of(url)?).with_context(|| format!("no login for {url}: run netbit login"))?
        }
        None if logins.len() > 1 => bail!("several servers have a login: give the address of one"),
        None => logins.pop_first().context("no login is stored: run netbit login")?.1,
    };
    Ok(print_line!("{}", login.token)?)
}

/// Description that git sends: a request for a credential, or a credential that was refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Description {
    protocol: String,
    host: String,
    username: Option<String>,
    password: Option<String>,
}

impl Description {
    fn read() -> anyhow::Result<Self> {
        let mut text = String::new();
        std::io::stdin().take(DESCRIPTION_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Self::parse(&text))
    }

    /// Parses lines of `key=value` up to an empty line; other keys are ignored.
    fn parse(text: &str) -> Self {
        let mut description = Self::default();
        for (key, value) in
            text.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once('='))
        {
            match key {
                "protocol" => value.clone_into(&mut description.protocol),
                "host" => value.clone_into(&mut description.host),
                "username" => description.username = Some(value.to_owned()),
                "password" => description.password = Some(value.to_owned()),
                _ => {}
            }
        }
        description
    }

    /// Returns the key under which the login of the server is stored.
    ///
    /// # Errors
    /// git decodes percent escapes: `https://git.example.org%2F.evil.example` has the host
    /// `git.example.org/.evil.example`, which would be parsed as an address of `git.example.org`.
    /// So only characters of a host and a port are accepted.
    fn key(&self) -> anyhow::Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        ensure!(
            self.protocol.chars().all(|c| c.is_ascii_alphanumeric()) && self.host.chars().all(plain),
            "{:?} at {:?} is not the address of a server",
            self.protocol,
            self.host
        );
        key_of(&format!("{}://{}", self.protocol, self.host))
    }
}

fn get() -> anyhow::Result<()> {
    let wanted = Description::read()?;
    let Some(login) = CredentialStore::of_user()?.get(&wanted.key()?)? else { return Ok(()) };
    // A description with another user name requests another credential.
    if wanted.username.is_some_and(|username| username != login.username) {
        return Ok(());
    }
    Ok(print_line!("username={}\npassword={}", login.username, login.token)?)
}

fn erase() -> anyhow::Result<()> {
    let refused = Description::read()?;
    let (store, key) = (CredentialStore::of_user()?, refused.key()?);
    refused.password.map_or(Ok(()), |token| store.remove(&key, &token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_description_is_read_up_to_an_empty_line() {
        let text =
            "capability[]=authtype\nprotocol=http\nhost=localhost:8080\nusername=bob\n\npassword=late\n";
        let read = Description::parse(text);
        assert_eq!((&*read.protocol, &*read.host), ("http", "localhost:8080"));
        assert_eq!((read.username.as_deref(), read.password), (Some("bob"), None));
        assert_eq!(Description::parse("protocol=https\nhost=h\n").key().unwrap(), "https://h");
    }

    /// git decoded `%2F` in a host, and another host received the token of the host before it.
    #[test]
    fn host_with_other_characters_is_refused() {
        let key = |protocol: &str, host: &str| {
            Description::parse(&format!("protocol={protocol}\nhost={host}\n")).key()
        };
        for (host, kept) in [
            ("git.example.org", "https://git.example.org"),
            ("Git-1.example.org:8443", "https://git-1.example.org:8443"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("git_server:8080", "https://git_server:8080"),
        ] {
            assert_eq!(key("https", host).unwrap(), kept);
        }
        for after in ["/", "\\", "?", "#", "@", "%2f", "\t", " ", "ü"] {
            let host = format!("git.example.org{after}.evil.example");
            assert!(key("https", &host).is_err(), "{host}");
        }
        assert!(key("https://git.example.org/?", "evil.example").is_err());
    }
}
