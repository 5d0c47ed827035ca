//! `netbit user`: manages accounts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::DataDirFlag;
use super::control::{Data, find_data, new_password, with_server};
use super::output::{print_line, report_error};

#[derive(Args)]
pub(super) struct UserArguments {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    place: DataDirFlag,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Create an account, also when registration is closed.
    Add(AddArguments),
    /// List every account.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Deactivate an account: its logins, sessions and tokens end at once.
    Deactivate {
        /// Name of the user.
        username: String,
    },
    /// Reactivate an account.
    Activate {
        /// Name of the user.
        username: String,
    },
    /// Rename a user; paths of their projects below the old name keep working.
    Rename {
        /// Name of the user.
        username: String,
        /// New name of the user.
        #[arg(value_name = "NEW")]
        new_name: String,
    },
    /// Make a user an administrator of the server.
    Promote {
        /// Name of the user.
        username: String,
    },
    /// Make an administrator an ordinary user.
    Demote {
        /// Name of the user.
        username: String,
    },
    /// Set a new password for a user; all their logins and access tokens end.
    Password {
        /// Name of the user.
        username: String,
        /// Read the password from the first line of this file instead of asking for it.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

#[derive(Args)]
struct AddArguments {
    /// Name of the user.
    username: String,
    /// Make the user an administrator of the server.
    #[arg(long)]
    admin: bool,
    /// Email address of the user.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Name that is shown next to the user name.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Read the password from the first line of this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &UserArguments) -> Result<ExitCode, ExitCode> {
    // `user add` may be the first command on the data directory of a new server.
    let is_first_step = matches!(arguments.command, UserCommand::Add(_));
    let expected = if is_first_step { Data::MayBeNew } else { Data::Exists };
    drop(find_data(&arguments.place, expected)?);
    // The password is read before anything starts: root may read a file that the owner of the
    // directory may not.
    let password = match &arguments.command {
        UserCommand::Add(AddArguments { password_file, .. })
        | UserCommand::Password { password_file, .. } => {
            new_password(password_file.as_deref()).map_err(|error| report_error(&error))?
        }
        _ => String::new(),
    };
    with_server(&arguments.place, expected, async |control| match &arguments.command {
        UserCommand::Add(new) => {
            let mut body = json!({"username": new.username, "password": password, "is_admin": new.admin});
            for (key, value) in [("email", &new.email), ("display_name", &new.display_name)] {
                if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                    body.insert(key.to_owned(), json!(value));
                }
            }
            let user = control.ask(Method::POST, "/users", Some(&body)).await?;
            print_line!("created user {} with id {}", new.username, user.get("id").unwrap_or(&Value::Null))?;
            Ok(())
        }
        UserCommand::List { json } => {
            let mut first = true;
            let show = |user: &Value| {
                if *json {
                    return Ok(print_line!("{user}")?);
                }
                if std::mem::take(&mut first) {
                    print_line!("{:>6}  {:<39}  {:<11}  {:<24}  name", "id", "user", "", "since")?;
                }
                Ok(print_line!("{}", line(user))?)
            };
            control.each("/users", "id", show).await
        }
        UserCommand::Deactivate { username } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"active": false}))).await?;
            print_line!("{username} is deactivated; their content is kept")?;
            Ok(())
        }
        UserCommand::Activate { username } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"active": true}))).await?;
            print_line!("{username} may log in again")?;
            Ok(())
        }
        UserCommand::Rename { username, new_name } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"username": new_name}))).await?;
            Ok(print_line!("{username} is now called {new_name} and logs in with the new name")?)
        }
        UserCommand::Promote { username } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"is_admin": true}))).await?;
            Ok(print_line!("{username} is now an administrator of the server")?)
        }
        UserCommand::Demote { username } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"is_admin": false}))).await?;
            Ok(print_line!("{username} is now an ordinary user")?)
        }
        UserCommand::Password { username, .. } => {
            control.ask(Method::PATCH, &path(username), Some(&json!({"password": password}))).await?;
            print_line!("{username} has a new password; all their logins and access tokens ended")?;
            Ok(())
        }
    })
}

/// Returns the path of a user. A valid name needs no escaping; an invalid one becomes `-`.
pub(super) fn path(username: &str) -> String {
    let plain: String =
        username.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    format!("/users/{}", if plain == username { plain } else { "-".to_owned() })
}

fn line(user: &Value) -> String {
    let text = |key: &str| user.get(key).and_then(Value::as_str).unwrap_or_default();
    let is = |key: &str| user.get(key).and_then(Value::as_bool).unwrap_or(false);
    let id = user.get("id").and_then(Value::as_i64).unwrap_or(0);
    let state = match (is("active"), is("is_admin")) {
        (false, _) => "deactivated",
        (true, true) => "admin",
        (true, false) => "",
    };
    format!(
        "{id:>6}  {:<39}  {state:<11}  {:<24}  {}",
        text("username"),
        text("created_at"),
        text("display_name")
    )
}
