//! Opens the repositories, builds the services and completes the work that the last run left
//! unfinished.

use std::sync::Arc;

use tracing::warn;

use super::StartError;
use super::instruments::Instruments;
use crate::core::auth::setup::SetupCode;
use crate::core::auth::token::TokenKeys;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::git::program::Git;
use crate::git::store::Store;
use crate::services::git_resources::GitResources;
use crate::services::{ActorHandles, NodeSettings, Services};
use crate::storage::unfinished::Unfinished;

/// Builds the services on the started actors, then settles the pushes that the last run left open.
pub(super) async fn recover(
    (config, data_dir, instruments): (&Config, &DataDir, &Instruments),
    handles: ActorHandles,
    node: NodeSettings,
    (tokens, setup): (TokenKeys, Option<SetupCode>),
    unfinished: Unfinished,
) -> Result<Arc<Services>, StartError> {
    let git = open_repositories(data_dir, config, instruments).map_err(StartError::Repositories)?;
    let limits = (config.limits.clone(), &instruments.pools);
    let accounts = config.accounts.clone();
    let health = instruments.health(data_dir);
    let services = Arc::new(Services::new(handles, node, (tokens, setup), accounts, git, limits, health));
    services.reconcile(unfinished).await?;
    Ok(services)
}

/// Opens the repository directories and finds the `git` program for transfers, if it is installed.
fn open_repositories(
    data_dir: &DataDir,
    config: &Config,
    instruments: &Instruments,
) -> std::io::Result<GitResources> {
    // This process adopts the orphans of a killed child, so that it can reap them.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        warn!(%error, "orphaned git processes cannot be adopted: init reaps them");
    }
    let store = Store::open(data_dir.path())?;
    if !store.hooks_can_run()? {
        warn!(
            data_dir = %data_dir.path().display(),
            "the data directory is mounted noexec: pushes skip the checks of the pre-receive hook; mount it with exec"
        );
    }
    let transfers = instruments.transfers.clone();
    let git = match Git::find(&store, &config.limits, transfers.memory.clone()) {
        Ok(git) => Some(git),
        Err(error) => {
            warn!(%error, "cloning and pushing are disabled: install git and restart the server");
            None
        }
    };
    let public_url = Some(config.http.public_url.clone()).filter(|url| !url.is_empty());
    let metrics = (transfers, &instruments.histories, &instruments.pools);
    Ok(GitResources::new(store, git, (public_url, config.git.push_to_create), metrics, &config.limits))
}
