//! Who acts, what proves it, and how far the proof reaches.
//!
//! A login reaches as far as its user. A personal access token reaches as far as its scopes and chosen repositories, and
//! never further than its user.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{AccessTokenId, LoginId, RepositoryId, UserId};
use super::project::ProjectRole;
use super::refusal::Refusal;
use super::timestamp::Timestamp;
use super::user::{Invalid, parse_line};

/// Who acts: taken from what a client presented, and still to be compared with the living state (is the login alive, is
/// the token revoked) by the actor that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credential {
    pub user: UserId,
    pub proof: Proof,
}

impl Credential {
    /// Of a login session.
    pub fn login(user: UserId, id: LoginId, token_version: i64) -> Self {
        Self { user, proof: Proof::Login { id, token_version } }
    }

    /// Of the operator of the machine, in the name of `user`. Made by the services of the control socket alone.
    pub fn operator(user: UserId) -> Self {
        Self { user, proof: Proof::Operator }
    }
}

/// What the client presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The access token of a login session.
    Login { id: LoginId, token_version: i64 },
    /// The user's password, checked a moment ago (git clients).
    Password { token_version: i64 },
    /// A personal access token.
    Token(AccessTokenId),
    /// The operator of the machine, in the user's name: over the control socket, which nobody else can open.
    Operator,
}

impl Proof {
    /// The login session, if that is what acts.
    pub fn login(self) -> Option<LoginId> {
        match self {
            Self::Login { id, .. } => Some(id),
            Self::Password { .. } | Self::Token(_) | Self::Operator => None,
        }
    }
}

/// What a personal access token may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Read projects and repositories, fetch.
    #[serde(rename = "repo:read")]
    RepoRead,
    /// Push, make and change repositories.
    #[serde(rename = "repo:write")]
    RepoWrite,
    #[serde(rename = "chat:read")]
    ChatRead,
    #[serde(rename = "chat:write")]
    ChatWrite,
    /// Members, visibility, deletion; administration, if the user administers the server.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    pub const ALL: [Self; 5] =
        [Self::RepoRead, Self::RepoWrite, Self::ChatRead, Self::ChatWrite, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RepoRead => "repo:read",
            Self::RepoWrite => "repo:write",
            Self::ChatRead => "chat:read",
            Self::ChatWrite => "chat:write",
            Self::Admin => "admin",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a question or command asks of the proof, besides being alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Any proof: what may be seen or done is decided by role ([`Grant::cap`]).
    Identity,
    ChatRead,
    ChatWrite,
    /// Changing who is in a project.
    Admin,
    /// The person, not a program of theirs: passwords, tokens, profile.
    Person,
}

/// How far a proof reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// As far as the user.
    Whole,
    /// As a personal access token says.
    Token(Arc<AccessToken>),
}

const NOT_FOR_TOKENS: Refusal = Refusal::Forbidden("this needs a login; access tokens may not do it");

/// What is asked about, as far as the choice of repositories matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A project as a whole; `chosen`: it holds a repository that the token is for.
    Project {
        chosen: bool,
    },
    Repository(RepositoryId),
}

impl Grant {
    pub fn check(&self, need: Need) -> Result<(), Refusal> {
        let Self::Token(token) = self else { return Ok(()) };
        let scopes = &token.scopes;
        match need {
            Need::Identity => Ok(()),
            Need::ChatRead if scopes.contains(&Scope::ChatRead) || scopes.contains(&Scope::ChatWrite) => {
                Ok(())
            }
            Need::ChatWrite if scopes.contains(&Scope::ChatWrite) => Ok(()),
            Need::Admin if scopes.contains(&Scope::Admin) => Ok(()),
            Need::Admin => Err(Refusal::Forbidden("the access token lacks the scope admin")),
            Need::ChatRead => Err(Refusal::Forbidden("the access token lacks the scope chat:read")),
            Need::ChatWrite => Err(Refusal::Forbidden("the access token lacks the scope chat:write")),
            Need::Person => Err(NOT_FOR_TOKENS),
        }
    }

    /// Refuses tokens, whatever they are for.
    pub fn person(proof: Proof) -> Result<(), Refusal> {
        match proof {
            Proof::Token(_) => Err(NOT_FOR_TOKENS),
            Proof::Login { .. } | Proof::Password { .. } | Proof::Operator => Ok(()),
        }
    }

    /// The repositories that the token is for; `None`: all.
    pub fn repositories(&self) -> Option<&[RepositoryId]> {
        match self {
            Self::Whole => None,
            Self::Token(token) => token.repositories.as_deref(),
        }
    }

    /// The role in which the proof lets its user act, who has `role`: never more.
    pub fn cap(&self, role: Option<ProjectRole>, subject: Subject) -> Option<ProjectRole> {
        let Self::Token(token) = self else { return role };
        let has = |scope: Scope| token.scopes.contains(&scope);
        let highest = if has(Scope::Admin) {
            ProjectRole::Owner
        } else if has(Scope::RepoWrite) {
            ProjectRole::Maintainer
        } else if has(Scope::RepoRead) {
            ProjectRole::Reader
        } else {
            return None;
        };
        let highest = match (&token.repositories, subject) {
            (None, _) => highest,
            (Some(chosen), Subject::Repository(id)) if chosen.contains(&id) => highest,
            (Some(_), Subject::Project { chosen: true }) => ProjectRole::Reader,
            (Some(_), _) => return None,
        };
        role.map(|role| role.min(highest))
    }

    /// Whether a new project may be made: by whoever may write to every repository.
    pub fn check_create_project(&self) -> Result<(), Refusal> {
        match self {
            Self::Whole => Ok(()),
            Self::Token(token)
                if token.repositories.is_none()
                    && (token.scopes.contains(&Scope::RepoWrite) || token.scopes.contains(&Scope::Admin)) =>
            {
                Ok(())
            }
            Self::Token(_) => Err(Refusal::Forbidden(
                "making a project needs the scope repo:write, not limited to some repositories",
            )),
        }
    }
}

/// A personal access token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    pub id: AccessTokenId,
    pub user_id: UserId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None`: every repository of the user.
    pub repositories: Option<Vec<RepositoryId>>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl AccessToken {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// 1 to 64 characters without control characters.
pub fn parse_token_name(text: &str) -> Result<String, Invalid> {
    parse_line(text, 64).ok_or(Invalid("must be 1 to 64 characters without control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scopes: &[Scope], repositories: Option<&[i64]>) -> Grant {
        Grant::Token(Arc::new(AccessToken {
            id: AccessTokenId(1),
            user_id: UserId(1),
            name: "t".into(),
            scopes: scopes.to_vec(),
            repositories: repositories.map(|ids| ids.iter().map(|id| RepositoryId(*id)).collect()),
            created_at: Timestamp(0),
            expires_at: None,
        }))
    }

    #[test]
    fn a_token_reaches_as_far_as_its_scopes_and_never_further_than_its_user() {
        let (owner, reader) = (Some(ProjectRole::Owner), Some(ProjectRole::Reader));
        let about = Subject::Repository(RepositoryId(7));
        for (scopes, as_owner) in [
            (vec![], None),
            (vec![Scope::ChatWrite], None),
            (vec![Scope::RepoRead], Some(ProjectRole::Reader)),
            (vec![Scope::RepoRead, Scope::RepoWrite], Some(ProjectRole::Maintainer)),
            (vec![Scope::Admin], Some(ProjectRole::Owner)),
        ] {
            let grant = token(&scopes, None);
            assert_eq!(grant.cap(owner, about), as_owner, "{scopes:?}");
            assert_eq!(grant.cap(reader, about), as_owner.and(reader));
            assert_eq!(grant.cap(None, about), None);
        }
    }

    #[test]
    fn a_token_for_some_repositories_is_a_strangers_elsewhere() {
        let grant = token(&[Scope::Admin], Some(&[7]));
        let owner = Some(ProjectRole::Owner);
        assert_eq!(grant.cap(owner, Subject::Repository(RepositoryId(7))), owner);
        assert_eq!(grant.cap(owner, Subject::Repository(RepositoryId(8))), None);
        assert_eq!(grant.cap(owner, Subject::Project { chosen: true }), Some(ProjectRole::Reader));
        assert_eq!(grant.cap(owner, Subject::Project { chosen: false }), None);
        assert!(grant.check_create_project().is_err());
        assert!(token(&[Scope::RepoWrite], None).check_create_project().is_ok());
    }

    #[test]
    fn a_token_lives_until_the_moment_it_expires() {
        let Grant::Token(forever) = token(&Scope::ALL, None) else { panic!("it is a token") };
        assert!(forever.is_live(Timestamp(i64::MAX)));
        let token = AccessToken { expires_at: Some(Timestamp(10)), ..(*forever).clone() };
        assert!(token.is_live(Timestamp(9)) && !token.is_live(Timestamp(10)));
    }

    #[test]
    fn chat_scopes_open_chats_and_nothing_opens_the_account() {
        let reads = token(&[Scope::ChatRead], None);
        assert!(reads.check(Need::ChatRead).is_ok() && reads.check(Need::ChatWrite).is_err());
        let writes = token(&[Scope::ChatWrite], None);
        assert!(writes.check(Need::ChatRead).is_ok() && writes.check(Need::ChatWrite).is_ok());
        let all = token(&Scope::ALL, None);
        assert!(all.check(Need::Person).is_err());
        assert!(Grant::Whole.check(Need::Person).is_ok());
    }
}
