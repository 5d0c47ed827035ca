//! The record of where the files of a data directory are: `files/store`.
//!
//! A server whose configuration names another place would find none of its files, and would report
//! them as lost. So it does not start.
//!
//! Invariants
//! * Bytes in the data directory are read with every configuration, so the disk may become a
//!   bucket by a change of the configuration alone. A bucket becomes the disk by
//!   `netbit files move --to disk` only.
//! * The record is complete or absent, also after a power failure. It is absent in a new directory,
//!   in a restored one, and in one of an earlier version.
//!
//! Deliberately absent: the key and the region, which may change while the objects stay.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::DiskBlobs;
use super::disk::sync;
use crate::core::config::{Config, FileStore, S3};
use crate::core::data_dir::{DataDir, DataDirError};
use crate::core::{owner, private_file};
use crate::domain::node::NodeName;

const NAME: &str = "store";
const NEW: &str = "store.new";
/// The version of the record.
const FORMAT: u32 = 1;
/// The name of a server that is not among nodes.
const ALONE: &str = "local";

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "lowercase")]
pub enum FilePlace {
    /// In the data directory.
    Disk,
    S3(BucketPlace),
}

/// A node's part of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPlace {
    /// The host of the endpoint, with its port.
    pub host: String,
    pub bucket: String,
    pub prefix: String,
    /// The name of the node, or `local`. Empty: nodes may share the folder of files.
    pub node: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    #[serde(flatten)]
    place: FilePlace,
}

/// The record does not permit the configuration, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    #[error(
        "files.store is \"disk\", and the files of this directory are in {0}: run netbit files move --to disk while \
         the server is stopped, or set files.store = \"s3\" again"
    )]
    InBucket(String),
    #[error(
        "files.s3 names {configured}, and the files of this directory are in {recorded}: use the earlier \
         configuration. If all objects were copied to the new place, remove {} and start again",
        .path.display()
    )]
    OtherBucket { recorded: String, configured: String, path: PathBuf },
    #[error(
        "this node is named {configured}, and the files of this directory are in {recorded}: set cluster.name = \
         \"{node}\" again. To take over the files of that node, which must have ended, remove {} and run netbit node \
         replace {node} {configured}",
        .path.display()
    )]
    OtherNode { recorded: String, node: String, configured: String, path: PathBuf },
    #[error(
        "{}: version {version} is unknown to this netbit, which knows {FORMAT}; use the netbit that wrote it",
        .path.display()
    )]
    OtherVersion { path: PathBuf, version: u64 },
    #[error(
        "{}: the record of where the files are is damaged ({reason}); if files.store and files.s3 are as at the last \
         start, remove it",
        .path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("{}: {}", .path.display(), .source)]
    Io { path: PathBuf, source: io::Error },
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, bucket, prefix, node } = self;
        write!(f, "the bucket {bucket} at {host} below {prefix}/{node}")
    }
}

impl BucketPlace {
    /// Returns the place of the configured bucket, whichever store is in use.
    pub fn of(config: &Config, node: Option<&NodeName>) -> Self {
        let node = if config.cluster.shared_repositories { "" } else { node.map_or(ALONE, NodeName::as_str) };
        Self::of_settings(&config.files.s3, node)
    }

    fn of_settings(settings: &S3, node: &str) -> Self {
        let host = match settings.endpoint.split_once("://") {
            Some((_, host)) => host.to_ascii_lowercase(),
            None => format!("s3.{}.amazonaws.com", settings.region),
        };
        Self { host, bucket: settings.bucket.clone(), prefix: settings.prefix.clone(), node: node.to_owned() }
    }

    /// Returns whether files of `self` are found by a server at `other`. A server that was alone
    /// with its database gets a name with PostgreSQL, and takes over the files that had none.
    fn is_found_at(&self, other: &Self) -> bool {
        let is_same = (&self.host, &self.bucket, &self.prefix) == (&other.host, &other.bucket, &other.prefix);
        let is_any = self.node.is_empty() || other.node.is_empty();
        is_same && (is_any || self.node == other.node || self.node == ALONE)
    }
}

impl FilePlace {
    /// Returns the place of a configuration.
    pub fn of(config: &Config, node: Option<&NodeName>) -> Self {
        match config.files.store {
            FileStore::Disk => Self::Disk,
            FileStore::S3 => Self::S3(BucketPlace::of(config, node)),
        }
    }

    /// Returns the place of a configuration whose server may not run yet. `None` if the name of its
    /// node is not made yet. `is_node`: the database has nodes.
    ///
    /// # Errors
    /// If the data directory cannot be read.
    pub fn of_directory(config: &Config, is_node: bool) -> Result<Option<Self>, DataDirError> {
        if !is_node || config.files.store == FileStore::Disk {
            return Ok(Some(Self::of(config, None)));
        }
        let name = DataDir::node_name_in(&config.data_dir.0, &config.cluster.name)?;
        Ok(name.map(|name| Self::of(config, Some(&NodeName::from(name)))))
    }

    /// Reads the record of a data directory; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is not one.
    pub fn recorded(data_dir: &Path) -> Result<Option<Self>, MarkerError> {
        let path = path(data_dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MarkerError::Io { path, source }),
            Ok(text) => text,
        };
        let damaged =
            |error: serde_json::Error| MarkerError::Damaged { path: path.clone(), reason: error.to_string() };
        let any: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
        match any.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(FORMAT) => Err(MarkerError::OtherVersion { path, version }),
            _ => Ok(Some(serde_json::from_value::<Record>(any).map_err(damaged)?.place)),
        }
    }

    /// Records that the files of a data directory are here, durably. The caller holds the lock of
    /// the directory, and its folder of files exists.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn record(&self, data_dir: &Path) -> Result<(), MarkerError> {
        let (path, root) = (path(data_dir), DiskBlobs::at(data_dir).root().to_owned());
        let new = root.join(NEW);
        let write = || {
            let record = Record { version: FORMAT, place: self.clone() };
            let mut file = private_file::create(&new)?;
            file.write_all(&serde_json::to_vec(&record)?)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            owner::follow_folder(&path)?;
            sync(&root)
        };
        write().map_err(|source| MarkerError::Io { path: path.clone(), source })
    }

    /// Checks that a server with this place finds the files of a data directory.
    ///
    /// # Errors
    /// With the reason and the next step, if it does not.
    pub fn check(&self, data_dir: &Path) -> Result<(), MarkerError> {
        match Self::recorded(data_dir)? {
            None | Some(Self::Disk) => Ok(()),
            Some(Self::S3(recorded)) => self.check_bucket(recorded, data_dir),
        }
    }

    fn check_bucket(&self, recorded: BucketPlace, data_dir: &Path) -> Result<(), MarkerError> {
        let Self::S3(configured) = self else {
            return Err(MarkerError::InBucket(recorded.to_string()));
        };
        if recorded.is_found_at(configured) {
            return Ok(());
        }
        let path = path(data_dir);
        let is_other_node = BucketPlace { node: recorded.node.clone(), ..configured.clone() } == recorded;
        // A server on SQLite cannot set another name.
        Err(if is_other_node && configured.node != ALONE {
            let (configured, node) = (configured.node.clone(), recorded.node.clone());
            MarkerError::OtherNode { recorded: recorded.to_string(), node, configured, path }
        } else {
            let (recorded, configured) = (recorded.to_string(), configured.to_string());
            MarkerError::OtherBucket { recorded, configured, path }
        })
    }

    /// Checks the record at a start, and records this place if it is another one.
    ///
    /// # Errors
    /// Like [`FilePlace::check`] and [`FilePlace::record`].
    pub fn settle(&self, data_dir: &Path) -> Result<(), MarkerError> {
        self.check(data_dir)?;
        match Self::recorded(data_dir)? {
            Some(recorded) if recorded == *self => Ok(()),
            _ => self.record(data_dir),
        }
    }
}

fn path(data_dir: &Path) -> PathBuf {
    DiskBlobs::at(data_dir).root().join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(host: &str, node: &str) -> FilePlace {
        let settings = S3 { endpoint: format!("https://{host}"), bucket: "b".to_owned(), ..S3::default() };
        FilePlace::S3(BucketPlace::of_settings(&settings, node))
    }

    /// Returns the error of the second start, and of a third one with the first place.
    fn second(first: &FilePlace, second: &FilePlace) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        DiskBlobs::open(dir.path()).unwrap();
        first.settle(dir.path()).unwrap();
        let outcome = second.settle(dir.path());
        let kept = if outcome.is_ok() { second } else { first };
        assert_eq!(FilePlace::recorded(dir.path()).unwrap().as_ref(), Some(kept));
        outcome.err().map(|error| error.to_string())
    }

    #[test]
    fn record_permits_only_a_place_where_the_files_are_found() {
        let (a, disk) = (bucket("s3.example.org", "a"), FilePlace::Disk);
        let [alone, shared] = [ALONE, ""].map(|node| bucket("s3.example.org", node));
        assert_eq!(second(&a, &shared), None);
        for first in [&disk, &a, &alone, &shared] {
            assert_eq!(second(first, &a), None, "{first:?}");
        }
        assert!(second(&a, &disk).unwrap().contains("netbit files move --to disk"));
        assert!(
            second(&a, &bucket("other.example.org", "a")).unwrap().contains("use the earlier configuration")
        );
        let renamed = second(&a, &bucket("s3.example.org", "b")).unwrap();
        assert!(renamed.contains("cluster.name = \"a\"") && renamed.contains("replace a b"), "{renamed}");
        let refused = second(&a, &alone).unwrap();
        assert!(refused.contains("below netbit/a"), "{refused}");
    }

    #[test]
    fn host_decides_and_not_the_form_of_the_address() {
        let of = |endpoint: &str, region: &str| {
            let settings = S3 { endpoint: endpoint.to_owned(), region: region.to_owned(), ..S3::default() };
            BucketPlace::of_settings(&settings, ALONE).host
        };
        assert_eq!(of("http://S3.example.org:9000", "x"), of("https://s3.example.org:9000", "y"));
        assert_ne!(of("", "us-east-1"), of("", "eu-central-1"));
    }

    #[test]
    fn record_that_is_damaged_or_newer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        DiskBlobs::open(dir.path()).unwrap();
        assert_eq!(FilePlace::recorded(dir.path()).unwrap(), None);
        let refused = |text: &str| {
            fs::write(path(dir.path()), text).unwrap();
            FilePlace::Disk.settle(dir.path()).unwrap_err().to_string()
        };
        assert!(refused("").contains("is damaged"));
        assert!(refused("{\"version\":1,\"store\":\"tape\"}").contains("is damaged"));
        assert!(refused("{\"version\":2}").contains("version 2 is unknown"));
        fs::write(path(dir.path()), "{\"version\":1,\"store\":\"disk\"}").unwrap();
        FilePlace::Disk.settle(dir.path()).unwrap();
    }
}
