//! The repositories whose directories belong in a data directory.
//!
//! Their storage nodes decide, not the directories that exist: a missing directory of an own
//! repository is damage.

use std::io;
use std::sync::Arc;

use super::BackupError;
use crate::blobs::{self, Blob, BlobStore, BucketPlace, DiskBlobs, FilePlace, S3Blobs, StoreMetrics};
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::database::postgres::Purpose;
use crate::core::database::{DatabaseError, Source};
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::storage::nodes;

/// A folder that does not exist.
const NOWHERE: &str = "nowhere";

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRepositories {
    /// All of the database: a server that is alone with it, or nodes that share `repos/`. Without
    /// other nodes, a directory that is missing here is nowhere, whatever its storage node is.
    All,
    /// Those of this node among several, and those without a storage node.
    OfNode(NodeName),
}

/// Whether a bucket has the bytes in the data directory, too, which it reads first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisk {
    Included,
    Excluded,
}

/// A node whose part of the store may have a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlobSource {
    /// This node.
    Own,
    /// The node that a row names. Without a name: a server that was alone.
    Of(Option<NodeName>),
}

impl BlobSource {
    pub(super) fn open(&self, blobs: &dyn BlobStore, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>> {
        match self {
            Self::Own => blobs.open(hash),
            Self::Of(node) => blobs.open_of(node.as_ref(), hash),
        }
    }
}

impl OwnRepositories {
    /// Returns which repositories belong in the data directory of a configuration.
    ///
    /// # Errors
    /// [`BackupError::UnknownNode`] if other nodes may run, and the name of this one is unknown.
    /// [`BackupError::OtherNodes`] if other nodes run without `cluster.enabled` being set.
    pub fn of(config: &Config, database: &Source) -> Result<Self, BackupError> {
        if let Source::Server(server) = database
            && !config.cluster.enabled
        {
            let mut db = server.connect(Purpose::Reader).map_err(DatabaseError::Postgres)?;
            // The table is missing in the schema of another version, which these commands report.
            let running = nodes::running(&mut db, "").unwrap_or_default();
            if running.len() > 1 {
                return Err(BackupError::OtherNodes);
            }
        }
        Self::of_settings(config, database)
    }

    fn of_settings(config: &Config, database: &Source) -> Result<Self, BackupError> {
        let cluster = &config.cluster;
        if matches!(database, Source::File(_)) || cluster.shared_repositories || !cluster.enabled {
            return Ok(Self::All);
        }
        let name = DataDir::node_name_in(&config.data_dir.0, &cluster.name)?;
        name.map(|name| Self::OfNode(name.into()))
            .ok_or_else(|| BackupError::UnknownNode(config.data_dir.0.clone()))
    }

    /// Returns the store of files of a configuration, for commands.
    ///
    /// # Errors
    /// If the settings of the store cannot be used.
    pub fn blobs(config: &Config, database: &Source) -> Result<Arc<dyn BlobStore>, BackupError> {
        let (data_dir, node) = (config.data_dir.0.as_path(), Self::node(config, database)?);
        let (disk, metrics) = (DiskBlobs::at(data_dir), StoreMetrics::default());
        let store = blobs::configured(config, node, disk, metrics);
        store.map_err(super::files::failed(data_dir))
    }

    /// Returns the bucket of a configuration, whichever store is in use, and its place.
    ///
    /// # Errors
    /// [`BackupError::NamelessNode`] if a node has no name yet: it would write below the key of a
    /// server without nodes. Or if the settings cannot be used.
    pub fn bucket(
        config: &Config,
        database: &Source,
        with: OnDisk,
    ) -> Result<(S3Blobs, BucketPlace), BackupError> {
        let (data_dir, node) = (config.data_dir.0.as_path(), Self::node(config, database)?);
        if node.is_none() && matches!(database, Source::Server(_)) {
            return Err(BackupError::NamelessNode(data_dir.to_owned()));
        }
        let place = BucketPlace::of(config, node.as_ref());
        let disk = match with {
            OnDisk::Included => DiskBlobs::at(data_dir),
            OnDisk::Excluded => DiskBlobs::at(&DiskBlobs::at(data_dir).root().join(NOWHERE)),
        };
        let bucket = S3Blobs::new(disk, node, (&config.files.s3, &config.limits), StoreMetrics::default());
        Ok((bucket.map_err(super::files::failed(data_dir))?, place))
    }

    /// Checks that the store of a configuration is where the files of its data directory are.
    ///
    /// # Errors
    /// With the reason and the next step, if it is not.
    pub fn check_file_place(config: &Config, database: &Source) -> Result<(), BackupError> {
        let place = FilePlace::of_directory(config, matches!(database, Source::Server(_)))?;
        Ok(place.map_or(Ok(()), |place| place.check(&config.data_dir.0))?)
    }

    /// Returns the name of the node of a data directory; `None` on SQLite.
    fn node(config: &Config, database: &Source) -> Result<Option<NodeName>, BackupError> {
        Ok(match database {
            Source::File(_) => None,
            Source::Server(_) => {
                let name = DataDir::node_name_in(&config.data_dir.0, &config.cluster.name)?;
                name.map(NodeName::from)
            }
        })
    }

    /// Returns whether the directory of the repository must be in the data directory.
    pub(super) fn contains(&self, repository: &Repository) -> bool {
        self.has_node(repository.storage.as_ref())
    }

    fn has_node(&self, node: Option<&NodeName>) -> bool {
        match self {
            Self::All => true,
            Self::OfNode(name) => node.is_none_or(|node| node == name),
        }
    }

    /// Returns where the objects of Git LFS of a repository may be, in this order: its storage node
    /// has them.
    pub(super) fn sources_of(&self, repository: &Repository) -> Vec<BlobSource> {
        let stored = BlobSource::Of(repository.storage.clone());
        match self {
            Self::OfNode(name) if repository.storage.as_ref() == Some(name) => vec![BlobSource::Own],
            _ if self.contains(repository) => vec![BlobSource::Own, stored],
            _ => vec![stored],
        }
    }

    /// Opens an object of Git LFS.
    pub(super) fn open_object(
        &self,
        blobs: &dyn BlobStore,
        repository: &Repository,
        oid: &BlobHash,
    ) -> io::Result<Option<Box<dyn Blob>>> {
        for source in self.sources_of(repository) {
            if let Some(found) = source.open(blobs, oid)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns whether the bytes of the file must be in the data directory. Among several nodes,
    /// any may have the bytes of a file without a node.
    pub(super) fn has_file(&self, file: &StoredFile) -> bool {
        match self {
            Self::All => true,
            Self::OfNode(name) => file.node.as_ref() == Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::DataDirPath;
    use crate::core::database::postgres::Server;
    use crate::domain::ids::{ProjectId, RepositoryId};
    use crate::domain::repository::StorageKey;
    use crate::domain::timestamp::Timestamp;

    fn repository(storage: Option<&str>) -> Repository {
        Repository {
            id: RepositoryId(1),
            project_id: ProjectId(1),
            name: "web".to_owned(),
            description: String::new(),
            default_branch: "main".to_owned(),
            storage_key: StorageKey::fresh(),
            size_bytes: 0,
            created_at: Timestamp(0),
            storage: storage.map(NodeName::from),
        }
    }

    #[test]
    fn storage_node_decides_whether_a_repository_is_own() {
        let directory = tempfile::tempdir().unwrap();
        let database = Source::Server(Server::new("postgres://db/netbit").unwrap());
        let of = |change: &dyn Fn(&mut Config)| {
            let mut config =
                Config { data_dir: DataDirPath(directory.path().to_owned()), ..Config::default() };
            change(&mut config);
            OwnRepositories::of_settings(&config, &database)
        };
        let named = |enabled| {
            of(&|config| {
                config.cluster.name = "a".to_owned();
                config.cluster.enabled = enabled;
            })
            .unwrap()
        };
        let contains = |own: &OwnRepositories| {
            [None, Some("a"), Some("b")].map(|storage| own.contains(&repository(storage)))
        };
        assert_eq!(contains(&named(true)), [true, true, false]);
        // A lost repository of an earlier name counted as a repository of another node.
        assert_eq!(contains(&named(false)), [true; 3], "no other node runs");

        let shared = of(&|config| config.cluster.shared_repositories = true).unwrap();
        assert_eq!(contains(&shared), [true; 3]);
        assert_eq!(of(&|_| ()).unwrap(), OwnRepositories::All);
        let unnamed = of(&|config| config.cluster.enabled = true);
        assert!(matches!(unnamed, Err(BackupError::UnknownNode(_))), "{unnamed:?}");
        std::fs::write(directory.path().join("node.name"), "a\n").unwrap();
        assert_eq!(of(&|config| config.cluster.enabled = true).unwrap(), named(true));
        let file = Source::File(directory.path().join("netbit.db"));
        assert_eq!(OwnRepositories::of(&Config::default(), &file).unwrap(), OwnRepositories::All);
    }
}
