//! The repositories whose directories belong in a data directory.
//!
//! Their storage nodes decide, not the directories that exist: a missing directory of an own
//! repository is damage.

use super::BackupError;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::database::postgres::Purpose;
use crate::core::database::{DatabaseError, Source};
use crate::domain::file::StoredFile;
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::storage::nodes;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRepositories {
    /// All of the database: a server that is alone with it, or nodes that share `repos/`. Without
    /// other nodes, a directory that is missing here is nowhere, whatever its storage node is.
    All,
    /// Those of this node among several, and those without a storage node.
    OfNode(NodeName),
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
