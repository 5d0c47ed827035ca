//! The repositories whose directories belong in a data directory.
//!
//! Their storage nodes decide, not the directories that exist: a missing directory of an own
//! repository is damage.

use super::BackupError;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::database::Source;
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::git::store::Store;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRepositories {
    /// All of the database: a server that is alone with it, or nodes that share `repos/`.
    All,
    /// Those of a node, and those without a storage node.
    OfNode {
        name: NodeName,
        /// Whether the next start also takes those of other names that it finds on disk: no other
        /// node may run.
        takes_found: bool,
    },
}

impl OwnRepositories {
    /// Returns which repositories belong in the data directory of a configuration.
    ///
    /// # Errors
    /// [`BackupError::UnknownNode`] if other nodes may run, and the name of this one is unknown.
    pub fn of(config: &Config, database: &Source) -> Result<Self, BackupError> {
        let cluster = &config.cluster;
        if matches!(database, Source::File(_)) || cluster.shared_repositories {
            return Ok(Self::All);
        }
        match DataDir::node_name_in(&config.data_dir.0, &cluster.name)? {
            Some(name) => Ok(Self::OfNode { name: name.into(), takes_found: !cluster.preview }),
            None if cluster.preview => Err(BackupError::UnknownNode(config.data_dir.0.clone())),
            // No server has used this directory since it was restored.
            None => Ok(Self::All),
        }
    }

    /// Returns whether the directory of the repository must be in `store`.
    pub(super) fn contains(&self, store: &Store, repository: &Repository) -> bool {
        let Self::OfNode { name, takes_found } = self else { return true };
        match &repository.storage {
            None => true,
            Some(storage) if storage == name => true,
            Some(_) => *takes_found && store.existing(repository.storage_key).is_ok(),
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
        let store = Store::open(directory.path()).unwrap();
        let database = Source::Server(Server::new("postgres://db/netbit").unwrap());
        let of = |change: &dyn Fn(&mut Config)| {
            let mut config =
                Config { data_dir: DataDirPath(directory.path().to_owned()), ..Config::default() };
            change(&mut config);
            OwnRepositories::of(&config, &database)
        };
        let named = |preview| {
            of(&|config| {
                config.cluster.name = "a".to_owned();
                config.cluster.preview = preview;
            })
            .unwrap()
        };
        let contains = |own: &OwnRepositories| {
            [None, Some("a"), Some("b")].map(|storage| own.contains(&store, &repository(storage)))
        };
        // The directory of none of them exists.
        assert_eq!(contains(&named(true)), [true, true, false]);
        assert_eq!(contains(&named(false)), [true, true, false]);
        let found = repository(Some("b"));
        store.create(found.storage_key, "main").unwrap();
        assert!(!named(true).contains(&store, &found), "an earlier copy of a moved repository");
        assert!(named(false).contains(&store, &found), "the next start takes it");

        let shared = of(&|config| config.cluster.shared_repositories = true).unwrap();
        assert_eq!(contains(&shared), [true; 3]);
        assert_eq!(of(&|_| ()).unwrap(), OwnRepositories::All);
        let unnamed = of(&|config| config.cluster.preview = true);
        assert!(matches!(unnamed, Err(BackupError::UnknownNode(_))), "{unnamed:?}");
        std::fs::write(directory.path().join("node.name"), "a\n").unwrap();
        assert_eq!(of(&|config| config.cluster.preview = true).unwrap(), named(true));
        let file = Source::File(directory.path().join("netbit.db"));
        assert_eq!(OwnRepositories::of(&Config::default(), &file).unwrap(), OwnRepositories::All);
    }
}
