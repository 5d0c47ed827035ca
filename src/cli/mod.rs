//! The command line: one file per command. `netbit` without a command runs the server.
#![warn(clippy::print_stderr)]

mod backup;
mod chat;
mod config;
mod control;
mod database;
mod doctor;
mod files;
mod generate;
mod login;
mod node;
mod notify;
mod output;
mod progress;
mod remote;
mod restore;
mod seed;
mod serve;
mod thumbnail;
mod token;
mod top;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::core::config::{Config, LoadedConfig, Overrides, environment, load};
use crate::core::database::Source;

/// `EX_CONFIG` and `EX_SOFTWARE` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Git hosting and chat for a team, in one binary.
#[derive(Parser)]
#[command(name = "netbit", version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default).
    Serve(ServerFlags),
    /// Print the effective configuration as a netbit.toml, without secrets.
    Config(ServerFlags),
    /// Fill a database with users, chats and messages, for trials and measurements.
    Seed(seed::SeedArguments),
    /// Chat from this terminal.
    Chat(chat::ChatArguments),
    /// Back up a data directory, with or without a running server.
    Backup(backup::BackupArguments),
    /// Create a data directory from a backup.
    Restore(restore::RestoreArguments),
    /// Copy the database of a server to or from PostgreSQL.
    Database(database::DatabaseArguments),
    /// Check a data directory; reads only.
    Doctor(doctor::DoctorArguments),
    /// Move the bytes of files in chats between the data directory and a bucket.
    Files(files::FilesArguments),
    /// Manage users, with or without a running server.
    User(user::UserArguments),
    /// Manage personal access tokens of users.
    Token(token::TokenArguments),
    /// List the nodes of a database on PostgreSQL, or replace a node that has ended.
    Node(node::NodeArguments),
    /// Print the audit log (actions of administrators and owners) as JSON lines, newest first.
    Audit(control::AuditArguments),
    /// Create and store an access token for a server, for curl and git.
    Login(login::LoginArguments),
    /// Revoke the stored token of a server and remove it.
    Logout(login::LogoutArguments),
    /// Print a stored token for scripts, or act as a git credential helper.
    Credential(login::CredentialArguments),
    /// Show live metrics of a server.
    Top(top::TopArguments),
    /// Explain notifications.
    Notify(notify::NotifyArguments),
    /// Print a shell completion script.
    Completions(generate::CompletionsArguments),
    /// Print the manual page, or write one for each command.
    Man(generate::ManArguments),
    /// Make a smaller picture; the server runs it.
    #[command(hide = true)]
    Thumbnail(thumbnail::ThumbnailArguments),
}

/// Flags override environment variables (NETBIT_…), which override netbit.toml, which overrides the
/// defaults.
#[derive(Args, Clone, Default)]
pub struct ServerFlags {
    /// Configuration file to read instead of ./netbit.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, which holds everything durable.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the HTTP API; port 0 selects a free port.
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,
    /// Address of the TCP chat sessions.
    #[arg(long, value_name = "HOST:PORT")]
    tcp_listen: Option<String>,
    /// Address of the UDP presence socket.
    #[arg(long, value_name = "HOST:PORT")]
    udp_listen: Option<String>,
    /// Address of the operations listener.
    #[arg(long, value_name = "HOST:PORT")]
    ops_listen: Option<String>,
}

impl ServerFlags {
    fn overrides(&self) -> Overrides {
        let address = |key, flag: &Option<String>| flag.as_ref().map(|value| (key, value.clone()));
        let values = [
            self.data_dir.as_ref().map(|dir| ("data_dir", dir.display().to_string())),
            address("http.listen", &self.http_listen),
            address("tcp.listen", &self.tcp_listen),
            address("udp.listen", &self.udp_listen),
            address("ops.listen", &self.ops_listen),
        ];
        Overrides { file: self.config.clone(), values: values.into_iter().flatten().collect() }
    }

    /// Returns the effective configuration, or prints its mistakes, one per line.
    fn load(&self) -> Result<LoadedConfig, ExitCode> {
        load(&self.overrides(), &environment()).map_err(|mistakes| {
            for mistake in mistakes {
                output::warn(format_args!("{mistake}"));
            }
            ExitCode::from(EXIT_CONFIG)
        })
    }
}

/// Selects the configuration file of a command.
#[derive(Args, Clone)]
struct ConfigFlag {
    /// Configuration file of the server to read instead of ./netbit.toml.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl ConfigFlag {
    /// Returns the configuration of the server, in this data directory or in the configured one.
    fn load(&self, data_dir: Option<PathBuf>) -> Result<Config, ExitCode> {
        let flags = ServerFlags { config: self.config.clone(), data_dir, ..ServerFlags::default() };
        Ok(flags.load()?.config)
    }
}

/// Selects the data directory of a command.
#[derive(Args, Clone)]
struct DataDirFlag {
    #[command(flatten)]
    configuration: ConfigFlag,
    /// Data directory; by default the configured one.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl DataDirFlag {
    /// Returns the configuration of the server in this data directory.
    fn config(&self) -> Result<Config, ExitCode> {
        self.configuration.load(self.data_dir.clone())
    }

    /// Returns the configuration of the server in this data directory, and its database.
    fn source(&self) -> Result<(Config, Source), ExitCode> {
        let config = self.config()?;
        let source = Source::of(&config).map_err(|error| output::report_error(&error.into()))?;
        Ok((config, source))
    }
}

/// Runs the command line and returns the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match arguments.command {
        None => serve::run(&arguments.server),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Config(flags)) => config::run(&flags),
        Some(Command::Seed(arguments)) => seed::run(&arguments),
        Some(Command::Chat(arguments)) => chat::run(&arguments),
        Some(Command::Backup(arguments)) => backup::run(&arguments),
        Some(Command::Restore(arguments)) => restore::run(&arguments),
        Some(Command::Database(arguments)) => database::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Files(arguments)) => files::run(&arguments),
        Some(Command::User(arguments)) => user::run(&arguments),
        Some(Command::Token(arguments)) => token::run(&arguments),
        Some(Command::Node(arguments)) => node::run(&arguments),
        Some(Command::Audit(arguments)) => control::run_audit(&arguments),
        Some(Command::Login(arguments)) => login::run_login(&arguments),
        Some(Command::Logout(arguments)) => login::run_logout(&arguments),
        Some(Command::Credential(arguments)) => login::run_credential(&arguments),
        Some(Command::Top(arguments)) => top::run(&arguments),
        Some(Command::Notify(arguments)) => notify::run(&arguments),
        Some(Command::Completions(arguments)) => generate::run_completions(&arguments, Arguments::command()),
        Some(Command::Man(arguments)) => generate::run_man(&arguments, Arguments::command()),
        Some(Command::Thumbnail(arguments)) => thumbnail::run(&arguments),
    };
    outcome.unwrap_or_else(|code| code)
}
