//! Who acts, what proves it, and how far the proof reaches.
//!
//! A login reaches as far as its user. A personal access token reaches as far as its scopes and chosen repositories, and
//! never further than its user.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{AccessTokenId, LoginId, RepositoryId, UserId};
use super::permission::project::{self as permission, Act};
use super::project::{ProjectRole, Visibility};
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
    /// What the owner of a project may: members, visibility, deletion.
    #[serde(rename = "admin")]
    Admin,
    /// Administration of the server. Only tokens of administrators have it, and never one that is
    /// limited to some repositories.
    #[serde(rename = "server:admin")]
    ServerAdmin,
}

impl Scope {
    pub const ALL: [Self; 6] =
        [Self::RepoRead, Self::RepoWrite, Self::ChatRead, Self::ChatWrite, Self::Admin, Self::ServerAdmin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RepoRead => "repo:read",
            Self::RepoWrite => "repo:write",
            Self::ChatRead => "chat:read",
            Self::ChatWrite => "chat:write",
            Self::Admin => "admin",
            Self::ServerAdmin => "server:admin",
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
    /// Administering the server. Whether the user is an administrator is asked on top of it.
    ServerAdmin,
    /// The person, not a program of theirs: passwords, tokens, profile.
    Person,
}

impl Need {
    /// Every need, for tests that compare each of them with each scope.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::ChatRead, Self::ChatWrite, Self::Admin, Self::ServerAdmin, Self::Person];

    /// The scopes of which a token must have one, and the refusal of a token that has none of them.
    /// `None`: any token will do.
    fn scopes(self) -> Option<(&'static [Scope], Refusal)> {
        match self {
            Self::Identity => None,
            Self::ChatRead => Some((
                &[Scope::ChatRead, Scope::ChatWrite],
                Refusal::Forbidden("the access token lacks the scope chat:read"),
            )),
            Self::ChatWrite => {
                Some((&[Scope::ChatWrite], Refusal::Forbidden("the access token lacks the scope chat:write")))
            }
            Self::Admin => {
                Some((&[Scope::Admin], Refusal::Forbidden("the access token lacks the scope admin")))
            }
            Self::ServerAdmin => Some((
                &[Scope::ServerAdmin],
                Refusal::Forbidden("the access token lacks the scope server:admin"),
            )),
            Self::Person => Some((&[], NOT_FOR_TOKENS)),
        }
    }
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
        match need.scopes() {
            Some((any_of, refusal)) if !any_of.iter().any(|scope| token.scopes.contains(scope)) => {
                Err(refusal)
            }
            _ => Ok(()),
        }
    }

    /// Refuses tokens, whatever they are for.
    pub fn person(proof: Proof) -> Result<(), Refusal> {
        match proof {
            Proof::Token(_) => Err(NOT_FOR_TOKENS),
            Proof::Login { .. } | Proof::Password { .. } | Proof::Operator => Ok(()),
        }
    }

    /// The personal access token, if that is the proof.
    pub fn token(&self) -> Option<&AccessToken> {
        match self {
            Self::Whole => None,
            Self::Token(token) => Some(token),
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

    /// The role in which the proof lets its user `act`, who has `role`. Where the user may and the token may not, the
    /// refusal names what the token lacks.
    ///
    /// # Errors
    /// They may not.
    pub fn check_act(
        &self,
        act: Act,
        (visibility, role): (Visibility, Option<ProjectRole>),
        subject: Subject,
        noun: &'static str,
    ) -> Result<Option<ProjectRole>, Refusal> {
        let capped = self.cap(role, subject);
        let Err(refusal) = permission::check(act, visibility, capped, noun) else { return Ok(capped) };
        let is_of_token = permission::check(act, visibility, role, noun).is_ok();
        Err(match refusal {
            Refusal::Forbidden(_) if is_of_token => Refusal::Forbidden(self.lacks(act, subject)),
            refusal => refusal,
        })
    }

    /// What a token lacks that does not let its user `act`.
    fn lacks(&self, act: Act, subject: Subject) -> &'static str {
        let is_for = |chosen: &[RepositoryId]| match subject {
            Subject::Repository(id) => chosen.contains(&id),
            Subject::Project { .. } => false,
        };
        if self.repositories().is_some_and(|chosen| !is_for(chosen)) {
            return "the access token is for other repositories";
        }
        match act {
            Act::Read => "the access token lacks the scope repo:read",
            Act::Push | Act::Maintain => "the access token lacks the scope repo:write",
            Act::Manage => "the access token lacks the scope admin",
        }
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
    /// When the token was last used, known to within `limits.token_use_seconds`.
    pub last_used_at: Option<Timestamp>,
}

/// Refuses scopes that the token of this user may not have.
///
/// # Errors
/// `server:admin` for a user who does not administer the server, or together with `repositories`.
pub fn check_scopes(scopes: &[Scope], chooses_repositories: bool, is_admin: bool) -> Result<(), Refusal> {
    if !scopes.contains(&Scope::ServerAdmin) {
        return Ok(());
    }
    if chooses_repositories {
        return Err(Refusal::invalid("scopes", "cannot hold server:admin together with repositories"));
    }
    if !is_admin {
        return Err(Refusal::Forbidden(
            "only an administrator of the server may give the scope server:admin",
        ));
    }
    Ok(())
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
