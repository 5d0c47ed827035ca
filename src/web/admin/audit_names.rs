//! The names of users, projects and repositories in entries of the audit log.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::actors::cache::{PathsFound, PathsToAdminister};
use crate::domain::access::Credential;
use crate::domain::audit::AuditEvent;
use crate::domain::ids::{ProjectId, RepositoryId, UserId};
use crate::http::address::{path_encoded, percent_encoded};
use crate::services::{ServiceError, Services};

/// An object that an entry is about.
enum Target {
    User(UserId),
    Project(ProjectId),
    Repository(RepositoryId),
    Other,
}

impl Target {
    fn of(event: &AuditEvent) -> Self {
        let Some((kind, Ok(id))) = event.target.split_once(':').map(|(kind, id)| (kind, id.parse())) else {
            return Self::Other;
        };
        match kind {
            "user" => Self::User(UserId(id)),
            "project" => Self::Project(ProjectId(id)),
            "repository" => Self::Repository(RepositoryId(id)),
            _ => Self::Other,
        }
    }
}

/// The name of a target, and the address of its page; empty if it has none, or is deleted.
pub(super) struct NamedTarget {
    pub(super) name: String,
    pub(super) href: String,
}

/// Returns the values that an action set.
pub(super) fn values_of(event: &AuditEvent) -> Map<String, Value> {
    serde_json::from_str(&event.detail).unwrap_or_default()
}

/// Returns the user that a value names by id.
pub(super) fn user_of(name: &str, value: &Value) -> Option<UserId> {
    let is_user = matches!(name, "user_id" | "owner_id");
    value.as_i64().filter(|_| is_user).map(UserId)
}

/// Returns the address of the page of a user.
pub(super) fn href_of(username: &str) -> String {
    format!("/people/{}", percent_encoded(username))
}

/// The names of all that some entries mention.
pub(super) struct AuditNames {
    users: HashMap<UserId, String>,
    paths: PathsFound,
}

impl AuditNames {
    pub(super) async fn load(
        services: &Services,
        who: Credential,
        events: &[AuditEvent],
    ) -> Result<Self, ServiceError> {
        let (mut ids, mut wanted) = (BTreeSet::new(), PathsToAdminister::default());
        for event in events {
            ids.extend(event.actor_id);
            ids.extend(values_of(event).iter().filter_map(|(name, value)| user_of(name, value)));
            match Target::of(event) {
                Target::User(id) => drop(ids.insert(id)),
                Target::Project(id) => drop(wanted.projects.insert(id)),
                Target::Repository(id) => drop(wanted.repositories.insert(id)),
                Target::Other => {}
            }
        }
        let users = services.users_to_administer(who, ids).await?;
        let paths = services.paths_to_administer(who, wanted).await?;
        Ok(Self { users: users.iter().map(|user| (user.id, user.username.clone())).collect(), paths })
    }

    /// Returns the name of a user, or the id of one that does not exist.
    pub(super) fn user(&self, id: UserId) -> String {
        self.users.get(&id).cloned().unwrap_or_else(|| format!("user {id}"))
    }

    /// Returns the name of the object that an entry is about, or its kind and id.
    pub(super) fn target(&self, event: &AuditEvent) -> NamedTarget {
        let found = match Target::of(event) {
            Target::User(id) => self.users.get(&id).map(|name| (name, href_of(name))),
            Target::Project(id) => self.paths.projects.get(&id).map(|path| (path, href_of_path(path))),
            Target::Repository(id) => self.paths.repositories.get(&id).map(|path| (path, href_of_path(path))),
            Target::Other => None,
        };
        match found {
            Some((name, href)) => NamedTarget { name: name.clone(), href },
            None => NamedTarget { name: event.target.replacen(':', " ", 1), href: String::new() },
        }
    }
}

fn href_of_path(path: &str) -> String {
    format!("/{}", path_encoded(path))
}
