//! `netbit node`: the nodes of a database of PostgreSQL.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::DataDirFlag;
use super::control::{Data, with_server};
use super::output::print_line;

/// A node that runs gives a sign every 5 s. From this time on, in milliseconds, it may have ended.
const LATE_MS: i64 = 7_500;

#[derive(Args)]
pub(super) struct NodeArguments {
    #[command(subcommand)]
    command: NodeCommand,
    #[command(flatten)]
    place: DataDirFlag,
}

#[derive(Subcommand)]
enum NodeCommand {
    /// List the nodes, and how many repositories each stores.
    List {
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Make NEW the storage node of the repositories of OLD, which must have ended. Run it on NEW,
    /// after the repositories of OLD were copied to its data directory.
    Replace {
        /// The name of the node that has ended.
        #[arg(value_name = "OLD")]
        old: String,
        /// The name of this node.
        #[arg(value_name = "NEW")]
        new: String,
    },
}

pub(super) fn run(arguments: &NodeArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| match &arguments.command {
        NodeCommand::List { json } => {
            let nodes = control.items("/nodes").await?;
            if nodes.is_empty() && !json {
                print_line!("the database is not on PostgreSQL: there is a single node")?;
            }
            let mut shown = nodes.iter();
            let is_alone = control.is_alone;
            Ok(shown
                .try_for_each(|node| if *json { print_line!("{node}") } else { print(node, is_alone) })?)
        }
        NodeCommand::Replace { old, new } => {
            let body = json!({"old": old, "new": new});
            let taken = control.ask(Method::POST, "/nodes/replace", Some(&body)).await?;
            let count = |key: &str| taken.get(key).and_then(Value::as_i64).unwrap_or(0);
            print_line!("{} repositories of {old} are now stored on {new}", count("moved"))?;
            if count("settled") > 0 {
                print_line!("{} interrupted pushes were settled", count("settled"))?;
            }
            if count("deleting") > 0 {
                print_line!("{} deletions that {old} has not completed end on {new}", count("deleting"))?;
            }
            if count("lfs_missing") > 0 {
                print_line!(
                    "{} objects of Git LFS are not in this data directory: copy files/ of {old} to it, or send \
                     them again with git lfs push --all",
                    count("lfs_missing")
                )?;
            }
            let (missing, older) = (count("missing"), count("older"));
            let mut left = Vec::new();
            if missing > 0 {
                left.push(format!(
                    "{missing} repositories stay with {old}: their files are not in this data directory"
                ));
            }
            if older > 0 {
                left.push(format!(
                    "{older} repositories on this node are older than the database: copy them again \
                     (rsync -a --delete), then repeat"
                ));
            }
            if !left.is_empty() {
                anyhow::bail!("{}", left.join("\n"));
            }
            Ok(())
        }
    })
}

/// Prints a node. `is_alone`: the own node runs for this command only, and not at its address.
fn print(node: &Value, is_alone: bool) -> std::io::Result<()> {
    let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
    let is = |key: &str| node.get(key).and_then(Value::as_bool).unwrap_or(false);
    let number = |key: &str| node.get(key).and_then(Value::as_i64);
    let state = match (is("is_own"), is("is_running"), number("silent_ms")) {
        (true, ..) => "this node".to_owned(),
        (_, true, Some(silent_ms)) if silent_ms > LATE_MS => {
            format!("runs, no sign for {} s", silent_ms / 1000)
        }
        (_, true, _) => "runs".to_owned(),
        (.., Some(silent_ms)) => format!("ended {} s ago", silent_ms / 1000),
        (.., None) => "stopped".to_owned(),
    };
    let repositories = number("repositories").unwrap_or(0);
    let deleting = match number("deleting").unwrap_or(0) {
        0 => String::new(),
        deleting => format!(", {deleting} being deleted"),
    };
    let problem = match text("address_problem") {
        "" => String::new(),
        _ if is_alone => String::new(),
        problem => format!("\tdoes not reach itself there: {problem}"),
    };
    print_line!(
        "{}\t{state}\t{repositories} repositories{deleting}\t{}{problem}",
        text("name"),
        text("address")
    )
}
