//! The logins of this user: `netbit/logins.toml` in `$XDG_CONFIG_HOME`, or in `~/.config`. Only the
//! file's owner can read it.
//!
//! Invariant: the file is changed under the lock of `logins.lock`, so concurrent commands do not
//! overwrite each other's logins. Readers need no lock: the file is replaced atomically.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cli::remote::user_folder;
use crate::core::private_file;

/// Login at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) token: String,
    pub(super) token_id: i64,
    /// Absent if the token never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    /// Refresh token of a login for `netbit chat`: access tokens cannot open sessions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) refresh_token: Option<String>,
}

type Logins = BTreeMap<String, Login>;

/// Folder of the file and of its lock.
#[derive(Debug, Clone)]
pub(super) struct CredentialStore {
    folder: PathBuf,
}

/// Returns the key of a server: scheme, host and port, as in git's descriptions.
pub(super) fn key_of(url: &str) -> anyhow::Result<String> {
    let url = reqwest::Url::parse(url).with_context(|| format!("\"{url}\" is not a server address"))?;
    Ok(url.origin().ascii_serialization())
}

impl CredentialStore {
    pub(super) fn of_user() -> anyhow::Result<Self> {
        let folder = user_folder("XDG_CONFIG_HOME", ".config");
        let folder =
            folder.context("cannot store logins: set HOME or XDG_CONFIG_HOME to an absolute path")?;
        Ok(Self { folder })
    }

    #[cfg(test)]
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("logins.toml")
    }

    pub(super) fn get(&self, key: &str) -> anyhow::Result<Option<Login>> {
        Ok(self.read()?.remove(key))
    }

    /// Stores the login and returns the one before.
    pub(super) fn put(&self, key: &str, login: Login) -> anyhow::Result<Option<Login>> {
        let _lock = self.lock()?;
        let mut logins = self.read()?;
        let before = logins.insert(key.to_owned(), login);
        self.write(&logins)?;
        Ok(before)
    }

    /// Removes the login if it has this token: another command may have replaced it in the
    /// meantime. The last login is removed with the file.
    pub(super) fn remove(&self, key: &str, token: &str) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let mut logins = self.read()?;
        if logins.remove(key).is_none_or(|login| login.token != token) {
            return Ok(());
        }
        if logins.is_empty() {
            return fs::remove_file(self.path()).with_context(|| self.path().display().to_string());
        }
        self.write(&logins)
    }

    /// Stores the new refresh token of a server's login.
    pub(super) fn renew(&self, key: &str, refresh_token: String) -> anyhow::Result<()> {
        let mut logins = self.read()?;
        if let Some(login) = logins.get_mut(key) {
            login.refresh_token = Some(refresh_token);
            self.write(&logins)?;
        }
        Ok(())
    }

    /// Locks the file for changes until the returned value is dropped.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let file = self.lock_file()?;
        file.lock().with_context(|| self.lock_path().display().to_string())?;
        Ok(file)
    }

    /// Like [`CredentialStore::lock`], without waiting. `None`: another command has the lock.
    pub(super) fn try_lock(&self) -> anyhow::Result<Option<File>> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| self.lock_path().display().to_string())
            }
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("logins.lock")
    }

    fn lock_file(&self) -> anyhow::Result<File> {
        let path = self.lock_path();
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            private_file::open_lock(&path)
        };
        open().with_context(|| path.display().to_string())
    }

    /// Returns every server with its login.
    pub(super) fn read(&self) -> anyhow::Result<Logins> {
        let path = self.path();
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Logins::new()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Replaces the file atomically.
    fn write(&self, logins: &Logins) -> anyhow::Result<()> {
        let text = toml::to_string(logins)?;
        let beside = self.folder.join("logins.toml.new");
        let write = |beside: &Path| {
            // A killed command may have left this file.
            match fs::remove_file(beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = private_file::create_new(beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(beside, self.path())
        };
        let written = write(&beside);
        if written.is_err() {
            // The file holds tokens.
            drop(fs::remove_file(&beside));
        }
        written.with_context(|| self.path().display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn logins_are_stored_by_server_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = CredentialStore { folder: folder.path().join("config/netbit") };
        assert_eq!(store.get("http://localhost:8080").unwrap(), None);
        let login = |name: &str| Login {
            username: name.to_owned(),
            token: "nbp_x".to_owned(),
            token_id: 7,
            expires_at: None,
            refresh_token: None,
        };
        let (one, two) = ("http://localhost:8080", "https://git.example.org");
        assert_eq!(store.put(one, login("alice")).unwrap(), None);
        store.put(two, login("bob")).unwrap();
        assert_eq!(store.put(one, login("carol")).unwrap(), Some(login("alice")));
        store.remove(one, "nbp_before").unwrap();
        store.remove(two, "nbp_x").unwrap();
        assert_eq!(store.read().unwrap().into_keys().collect::<Vec<_>>(), [one]);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(store.path()), mode(store.folder.clone())), (0o600, 0o700));
        store.remove(one, "nbp_x").unwrap();
        assert!(!store.path().exists() && store.get(one).unwrap().is_none());
    }

    /// Two commands read the same file, and the later write lost the login of the earlier one.
    #[test]
    fn concurrent_logins_are_all_stored() {
        let folder = tempfile::tempdir().unwrap();
        let store = CredentialStore { folder: folder.path().join("netbit") };
        let (servers, rounds) = (8, 10);
        let login = || Login {
            username: "alice".to_owned(),
            token: "nbp_x".to_owned(),
            token_id: 7,
            expires_at: None,
            refresh_token: None,
        };
        std::thread::scope(|scope| {
            for server in 0..servers {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..rounds {
                        store.put(&format!("https://{server}-{round}.example.org"), login()).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.read().unwrap().len(), servers * rounds);
        let mut files: Vec<_> =
            fs::read_dir(&store.folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["logins.lock", "logins.toml"]);
    }

    #[test]
    fn server_key_is_scheme_host_and_port() {
        for (url, key) in [
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://Git.Example.org:443/team", "https://git.example.org"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(key_of(url).unwrap(), key);
        }
        assert!(key_of("nowhere").is_err());
    }
}
