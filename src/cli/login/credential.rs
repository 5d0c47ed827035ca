//! `netbit credential`: the token of a login, for git (gitcredentials(7)) and for scripts.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};

use super::store::{Store, key_of};
use crate::cli::output::{complain, say};

/// Longer descriptions are none of git's.
const DESCRIPTION_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
pub(in crate::cli) struct CredentialArguments {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Subcommand)]
enum CredentialCommand {
    /// Print the token for a server; without an address, of the only one.
    Token {
        #[arg(value_name = "URL")]
        url: Option<String>,
    },
    /// Answer git: the login for what standard input describes.
    Get,
    /// Answer git: nothing, `netbit login` keeps tokens.
    Store,
    /// Answer git: remove a token that the server refused.
    Erase,
}

pub(in crate::cli) fn run(arguments: &CredentialArguments) -> Result<ExitCode, ExitCode> {
    let done = match &arguments.command {
        CredentialCommand::Token { url } => token(url.as_deref()),
        CredentialCommand::Get => get(),
        CredentialCommand::Store => Ok(()),
        CredentialCommand::Erase => erase(),
    };
    done.map(|()| ExitCode::SUCCESS).map_err(|error| complain(&error))
}

fn token(url: Option<&str>) -> anyhow::Result<()> {
    let mut logins = Store::of_user()?.read()?;
    let login = match url {
        Some(url) => logins
            .remove(&key_of(url)?)
            .with_context(|| format!("there is no login at {url}: see netbit login"))?,
        None if logins.len() > 1 => bail!("there are logins at several servers: name a server"),
        None => logins.pop_first().context("there is no login: see netbit login")?.1,
    };
    Ok(say!("{}", login.token)?)
}

/// What git wants to know or has learned.
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

    /// Lines of `key=value` up to an empty one; others than these mean nothing here.
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

    /// What the server is kept under.
    ///
    /// # Errors
    /// git decodes percent escapes: `https://git.example.org%2F.evil.example` has the host `git.example.org/.evil.example`,
    /// which would be read as an address of `git.example.org`. So only what a host and a port are made of is accepted.
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
    let Some(login) = Store::of_user()?.get(&wanted.key()?)? else { return Ok(()) };
    // Another user's name in the address wants another credential.
    if wanted.username.is_some_and(|username| username != login.username) {
        return Ok(());
    }
    Ok(say!("username={}\npassword={}", login.username, login.token)?)
}

fn erase() -> anyhow::Result<()> {
    let refused = Description::read()?;
    let (store, key) = (Store::of_user()?, refused.key()?);
    refused.password.map_or(Ok(()), |token| store.remove(&key, &token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_of_git_is_read_up_to_an_empty_line() {
        let text =
            "capability[]=authtype\nprotocol=http\nhost=localhost:8080\nusername=bob\n\npassword=late\n";
        let read = Description::parse(text);
        assert_eq!((&*read.protocol, &*read.host), ("http", "localhost:8080"));
        assert_eq!((read.username.as_deref(), read.password), (Some("bob"), None));
        assert_eq!(Description::parse("protocol=https\nhost=h\n").key().unwrap(), "https://h");
    }

    /// git had decoded `%2F` in a host, and the token of the host before it was given to another.
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
