//! `netbit login`: creates an access token for curl and git, opens a login for `netbit chat`, and
//! stores both in a file of the user.
//!
//! The password is entered once and is not stored. The access token reaches only repositories and
//! chats and can be revoked separately. Sessions need a login, so `netbit chat` has the refresh
//! token of one. [`store`] is the file; [`saved`] exchanges the refresh token; [`credential`]
//! prints the access token for git, as a credential helper, and for scripts.

mod credential;
mod saved;
mod store;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use self::store::{CredentialStore, Login, key_of};
use super::output::{print_line, report_error};
use super::remote::{Server, open};
use crate::client::{Account, HttpClient, HttpError};
use crate::domain::user::login_name;

pub(super) use credential::{CredentialArguments, run as run_credential};
pub(super) use saved::{SavedLogin, SavedLoginError};

#[derive(Args)]
pub(super) struct LoginArguments {
    /// Address of the server, such as http://127.0.0.1:8080 or https://git.example.org.
    url: String,
    /// Trust the certificates in this PEM file instead of those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your user name on the server.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Read the password from the first line of this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Let git use the token for this server: sets credential.URL.helper in git's global
    /// configuration.
    #[arg(long)]
    git: bool,
    /// Save only the access token; `netbit chat` then asks for the password.
    #[arg(long)]
    token_only: bool,
    /// Days until the token expires: 1 to 3650, or 0 for never.
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<i64>,
}

#[derive(Args)]
pub(super) struct LogoutArguments {
    /// Address of the server, such as http://127.0.0.1:8080 or https://git.example.org.
    url: String,
    /// Trust the certificates in this PEM file instead of those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Read the password from the first line of this file instead of asking for it. It is needed
    /// only if no login is saved, or if the saved one has ended.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) fn run_login(arguments: &LoginArguments) -> Result<ExitCode, ExitCode> {
    done(login(arguments))
}

pub(super) fn run_logout(arguments: &LogoutArguments) -> Result<ExitCode, ExitCode> {
    done(logout(arguments))
}

/// Runs a command to its end.
fn done(work: impl Future<Output = anyhow::Result<()>>) -> Result<ExitCode, ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| report_error(&error.into()))?;
    runtime.block_on(work).map(|()| ExitCode::SUCCESS).map_err(|error| report_error(&error))
}

async fn login(arguments: &LoginArguments) -> anyhow::Result<()> {
    let server = open(&arguments.url, arguments.ca.as_deref())?;
    let key = key_of(&server.base)?;
    let store = CredentialStore::of_user()?;
    // Reach the server before asking for the password: the user should not type it in vain.
    server.http.server().await?;
    let account = log_in(&server, &arguments.user, arguments.password_file.as_deref()).await?;
    let me = server.http.with_token(account.token);
    let machine = rustix::system::uname();
    let name = format!("netbit login on {}", machine.nodename().to_string_lossy());
    let scopes = ["repo:read", "repo:write", "chat:read", "chat:write"];
    let wanted = json!({"name": name, "scopes": scopes, "expires_in_days": arguments.expires_in_days});
    let made = me.post("/api/users/me/tokens", &wanted).await?.success()?;
    let text = |key: &str| made.get(key).and_then(Value::as_str).map(str::to_owned);
    let login = Login {
        username: login_name(&arguments.user),
        token: text("token").context("the server returned no token")?,
        token_id: made.get("id").and_then(Value::as_i64).unwrap_or_default(),
        expires_at: text("expires_at"),
        refresh_token: Some(account.refresh_token).filter(|_| !arguments.token_only),
    };
    let until = login.expires_at.as_ref().map_or_else(String::new, |at| format!(", until {at}"));
    let username = login.username.clone();
    let before = store.put(&key, login)?;
    print_line!("logged in at {key} as {username}{until}")?;
    // The token and the login of an earlier command are not needed any more.
    if let Some(before) = before {
        end_login(&server.http, before.refresh_token.as_deref()).await;
        if before.username == username {
            let path = format!("/api/users/me/tokens/{}", before.token_id);
            drop(me.send(Method::DELETE, &path, None, &[]).await);
        }
    }
    if arguments.token_only {
        drop(me.post("/api/users/logout", &json!({})).await);
    } else {
        print_line!("  netbit chat --server {key} now needs no password")?;
    }
    print_line!("  curl -H \"Authorization: Bearer $(netbit credential token {key})\" {key}/api/chats")?;
    if arguments.git {
        set_helper(&key, arguments.ca.as_deref())?;
        return Ok(print_line!("  git now uses the token for {key}")?);
    }
    Ok(print_line!(
        "  for git: netbit login … --git, or git config --global credential.{key}.helper '!netbit credential'"
    )?)
}

async fn logout(arguments: &LogoutArguments) -> anyhow::Result<()> {
    let server = open(&arguments.url, arguments.ca.as_deref())?;
    let key = key_of(&server.base)?;
    let store = CredentialStore::of_user()?;
    let kept = store.get(&key)?.with_context(|| format!("no login for {key}"))?;
    let saved = match SavedLogin::find(&server.base)? {
        Some(login) => continued(&login, &server.http).await?,
        None => None,
    };
    let account = match saved {
        Some(account) => account,
        None => log_in(&server, &kept.username, arguments.password_file.as_deref()).await?,
    };
    let me = server.http.with_token(account.token);
    let path = format!("/api/users/me/tokens/{}", kept.token_id);
    let revoked = me.send(Method::DELETE, &path, None, &[]).await?;
    // The token may have been revoked elsewhere.
    ensure!(
        revoked.status == 404 || revoked.status < 300,
        "the server answered {}: {}",
        revoked.status,
        revoked.body
    );
    me.post("/api/users/logout", &json!({})).await?.success().context("the login is not ended")?;
    store.remove(&key, &kept.token)?;
    Ok(print_line!("logged out at {key}; the token is revoked")?)
}

/// Continues the saved login. `None`: it has ended, and the password is needed.
async fn continued(login: &SavedLogin, http: &HttpClient) -> anyhow::Result<Option<Account>> {
    match login.refresh(http).await {
        Ok(account) => Ok(Some(account)),
        Err(SavedLoginError::Gone | SavedLoginError::Server(HttpError::Refused { status: 401, .. })) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Logs in with the user's password.
async fn log_in(server: &Server, user: &str, password_file: Option<&Path>) -> anyhow::Result<Account> {
    let password = super::remote::password(user, password_file)?;
    server.http.login(user, &password).await.context("the login failed")
}

/// Ends a login that is not needed any more. A failure is not reported: the login ends by itself
/// when it is not used.
async fn end_login(http: &HttpClient, refresh_token: Option<&str>) {
    let Some(refresh_token) = refresh_token else { return };
    if let Ok(account) = http.refresh(refresh_token).await {
        drop(http.with_token(account.token).post("/api/users/logout", &json!({})).await);
    }
}

/// Sets this program as git's credential helper for the server. git checks the server's certificate
/// against the same file as this program.
fn set_helper(key: &str, ca: Option<&Path>) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let program = program.display().to_string().replace('\'', r"'\''");
    configure_git(&format!("credential.{key}.helper"), format!("!'{program}' credential").as_ref())?;
    if let Some(ca) = ca {
        let file = std::fs::canonicalize(ca).with_context(|| ca.display().to_string())?;
        configure_git(&format!("http.{key}/.sslCAInfo"), file.as_os_str())?;
    }
    Ok(())
}

fn configure_git(name: &str, value: &OsStr) -> anyhow::Result<()> {
    let set = Command::new("git").args(["config", "--global", "--replace-all", name]).arg(value).status();
    ensure!(set.context("cannot run git")?.success(), "git config failed");
    Ok(())
}
