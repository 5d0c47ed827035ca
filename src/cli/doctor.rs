//! `netbit doctor`: checks that a data directory is complete and consistent. Reads only; exits with
//! 0 without findings, otherwise with 1.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::DataDirFlag;
use super::control::is_served;
use super::output::{print_line, report_error};
use super::progress::Bar;
use crate::backup::{self, CheckOutcome, Checked, OwnRepositories};
use crate::client::HttpClient;
use crate::core::control_socket;

const PLACE: &str = "files are in the configured store";

#[derive(Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    place: DataDirFlag,
}

pub(super) fn run(arguments: &DoctorArguments) -> Result<ExitCode, ExitCode> {
    let (config, database) = arguments.place.source()?;
    let own = OwnRepositories::of(&config, &database).map_err(|error| report_error(&error.into()))?;
    let blobs = OwnRepositories::blobs(&config, &database).map_err(|error| report_error(&error.into()))?;
    let place = OwnRepositories::check_file_place(&config, &database);
    let data_dir = config.data_dir.0;
    let mut bar = Bar::new(false);
    let system = actix_web::rt::System::new();
    let mut report = |progress: backup::BackupProgress<'_>| bar.show(progress);
    let examined =
        system.block_on(backup::examine(&database, (&data_dir, &own, blobs.as_ref()), &mut report));
    drop(bar);
    let mut checked = examined.map_err(|error| report_error(&error.into()))?;
    if let Err(error) = place {
        checked.insert(0, Checked::new(PLACE, String::new(), vec![error.to_string()]));
    }
    if is_served(&data_dir) {
        checked.push(system.block_on(compare(&data_dir)).map_err(|error| report_error(&error))?);
        checked.push(system.block_on(proxies(&data_dir)).map_err(|error| report_error(&error))?);
    }
    let findings: usize = checked.iter().map(|check| check.findings().len()).sum();
    checked.iter().try_for_each(show).map_err(|error| report_error(&error.into()))?;
    let summary = if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") };
    print_line!("{summary}").map_err(|error| report_error(&error.into()))?;
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(check: &Checked) -> std::io::Result<()> {
    let what = check.what;
    match &check.outcome {
        CheckOutcome::NotPossible(reason) => print_line!("--  {what}: not checked, because {reason}"),
        CheckOutcome::Looked { extent, findings } => {
            let verdict = if findings.is_empty() { "ok  " } else { "BAD " };
            let extent = if extent.is_empty() { String::new() } else { format!(" ({extent})") };
            print_line!("{verdict}{what}{extent}")?;
            findings.iter().try_for_each(|finding| print_line!("      {finding}"))
        }
    }
}

/// Requests a comparison of the running server's memory with its database.
async fn compare(data_dir: &Path) -> anyhow::Result<Checked> {
    let server = HttpClient::over_socket(&control_socket::to_connect(data_dir)?)?;
    let answer = server.post("/verify", &Value::Null).await?.success()?;
    let what = "the running server's cache equals the database";
    if answer.get("compared") == Some(&Value::Bool(false)) {
        let outcome = CheckOutcome::NotPossible("it could not be compared during writes; repeat the command");
        return Ok(Checked { what, outcome });
    }
    let differences = answer.get("differences").and_then(Value::as_array).into_iter().flatten();
    let findings = differences.map(|difference| difference.as_str().unwrap_or_default().to_owned()).collect();
    Ok(Checked::new(what, String::new(), findings))
}

/// Requests the peers that send `X-Forwarded-For` without being trusted. Peers in private networks
/// are likely to be proxies; others may be clients that forge addresses.
async fn proxies(data_dir: &Path) -> anyhow::Result<Checked> {
    let server = HttpClient::over_socket(&control_socket::to_connect(data_dir)?)?;
    let answer = server.get("/forwarders").await?.success()?;
    let private = answer.get("private").and_then(Value::as_array).into_iter().flatten();
    let finding = |peer: &str| {
        format!(
            "{peer} sends X-Forwarded-For and is not trusted: if it is a proxy, add it to http.trusted_proxies"
        )
    };
    let findings = private.map(|peer| finding(peer.as_str().unwrap_or_default())).collect();
    let public = answer.get("public_count").and_then(Value::as_u64).unwrap_or_default();
    let extent = format!("{public} public addresses send X-Forwarded-For");
    Ok(Checked::new("X-Forwarded-For comes from trusted proxies only", extent, findings))
}
