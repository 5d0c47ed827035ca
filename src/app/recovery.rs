//! Opens the repositories, builds the services and completes the work that the last run left
//! unfinished.

use std::sync::Arc;

use tracing::warn;

use super::StartError;
use super::instruments::Instruments;
use crate::blobs::{self, DiskBlobs, FilePlace};
use crate::core::auth::setup::SetupCode;
use crate::core::auth::token::TokenKeys;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::domain::node::NodeName;
use crate::git::program::Git;
use crate::git::store::Store;
use crate::services::files::FileResources;
use crate::services::git_resources::{GitResources, HostingSettings};
use crate::services::thumbnails::PictureResources;
use crate::services::{ActorHandles, NodeSettings, Services};
use crate::storage::unfinished::Unfinished;

/// Builds the services on the started actors, then settles the pushes that the last run left open.
pub(super) async fn recover(
    (config, data_dir, instruments): (&Config, &DataDir, &Instruments),
    handles: ActorHandles,
    node: NodeSettings,
    secrets: (TokenKeys, Option<SetupCode>),
    mut unfinished: Unfinished,
) -> Result<Arc<Services>, StartError> {
    let git = open_repositories(data_dir, config, node.name.clone(), instruments)
        .map_err(StartError::Repositories)?;
    let disk = DiskBlobs::open(data_dir.path()).map_err(StartError::Files)?;
    FilePlace::of(config, node.name.as_ref()).settle(data_dir.path())?;
    let stored = instruments.stored.clone();
    let blobs = blobs::configured(config, node.name.clone(), disk.clone(), stored);
    let blobs = blobs.map_err(StartError::Files)?;
    let shared = (&config.limits, &instruments.pools);
    let of_node = (node.name.clone(), node.format.clone(), config.cluster.shared_repositories);
    let metrics = instruments.uploaded.clone();
    let (program, data) = (config.program.as_deref(), data_dir.path());
    let pictures = PictureResources::start(data, program, metrics.pictures.clone(), shared);
    let files = FileResources::start((blobs, &disk, pictures), of_node, metrics, shared);
    let limits = (config.limits.clone(), &instruments.pools);
    let (health, stores) = (instruments.health(), (git, files));
    let services = Services::new(handles, node, secrets, config.accounts.clone(), stores, limits, health);
    let services = Arc::new(services);
    services.try_store();
    let elsewhere = std::mem::take(&mut unfinished.elsewhere);
    services.adopt_repositories(elsewhere, !config.cluster.enabled).await?;
    if unfinished.has_files_elsewhere {
        services.adopt_files(!config.cluster.enabled).await?;
    }
    services.reconcile(unfinished).await?;
    Ok(services)
}

/// Opens the repository directories and finds the `git` program for transfers, if it is installed.
fn open_repositories(
    data_dir: &DataDir,
    config: &Config,
    node: Option<NodeName>,
    instruments: &Instruments,
) -> std::io::Result<GitResources> {
    // This process adopts the orphans of a killed child, so that it can reap them.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        warn!(%error, "orphaned git processes cannot be adopted: init reaps them");
    }
    let store = match &node {
        Some(node) if config.cluster.shared_repositories => Store::open_shared(data_dir.path(), node)?,
        _ => Store::open(data_dir.path())?,
    };
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
    let settings = HostingSettings { public_url, push_to_create: config.git.push_to_create, node };
    Ok(GitResources::new(store, git, settings, metrics, &config.limits))
}
