//! Credentials, their proof, and the permissions that a proof grants.
//!
//! A login has all permissions of its user. A personal access token has those of its scopes and
//! chosen repositories, and never more than its user.

use std::fmt;
use std::sync::Arc;

use super::ids::{AccessTokenId, LoginId, RepositoryId, UserId};
use super::permission::project::{self as permission, Act};
use super::project::{ProjectRole, Visibility};
use super::refusal::Refusal;
use super::text::{Invalid, parse_line};
use super::text_enum::text_enum;
use super::timestamp::Timestamp;

/// The acting user, as taken from what a client presented. The actor that answers still compares it
/// with the current state: whether the login is live, or the token is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credential {
    pub user: UserId,
    pub auth_method: AuthMethod,
}

impl Credential {
    /// Creates the credential of a login session.
    pub fn login(user: UserId, id: LoginId, token_version: i64) -> Self {
        Self { user, auth_method: AuthMethod::Login { id, token_version } }
    }

    /// Creates the credential of the machine's operator, acting as `user`. Only the services of the
    /// control socket create it.
    pub fn operator(user: UserId) -> Self {
        Self { user, auth_method: AuthMethod::Operator }
    }
}

/// The proof that the client presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// The access token of a login session.
    Login { id: LoginId, token_version: i64 },
    /// The user's password, which was just checked (git clients).
    Password { token_version: i64 },
    /// A personal access token.
    Token(AccessTokenId),
    /// The operator of the machine, acting as the user: over the control socket, which only the
    /// operator can open.
    Operator,
}

impl AuthMethod {
    /// Returns the login session, if it is the proof.
    pub fn login(self) -> Option<LoginId> {
        match self {
            Self::Login { id, .. } => Some(id),
            Self::Password { .. } | Self::Token(_) | Self::Operator => None,
        }
    }
}

text_enum! {
    /// A permission that a personal access token may have.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Scope {
        /// Read projects and repositories, fetch.
        RepoRead = "repo:read",
        /// Push, create and change repositories.
        RepoWrite = "repo:write",
        ChatRead = "chat:read",
        ChatWrite = "chat:write",
        /// The permissions of a project's owner: members, visibility, deletion.
        Admin = "admin",
        /// Administration of the server. Only tokens of administrators have it, and never a token
        /// that is limited to some repositories.
        ServerAdmin = "server:admin",
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The requirement of a query or command on a proof, in addition to its validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredScope {
    /// Any proof: the role decides what may be seen or done ([`AccessGrant::cap`]).
    Identity,
    ChatRead,
    ChatWrite,
    /// Changing the members of a project.
    Admin,
    /// Administering the server. The user must also be an administrator.
    ServerAdmin,
    /// The user in person, not a program acting for them: passwords, tokens, profile.
    Person,
}

impl RequiredScope {
    /// All needs, for tests that compare each of them with each scope.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::ChatRead, Self::ChatWrite, Self::Admin, Self::ServerAdmin, Self::Person];

    /// Returns the scopes of which a token must have one, and the refusal of a token that has none
    /// of them. `None`: any token is sufficient.
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

/// The permissions of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessGrant {
    /// All permissions of the user.
    Whole,
    /// The permissions of a personal access token.
    Token(Arc<AccessToken>),
}

const NOT_FOR_TOKENS: Refusal = Refusal::Forbidden(
    "this requires a login, and access tokens are not allowed; log in with POST /api/users/login",
);

/// The object of a check, as far as the choice of repositories matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A project as a whole; `chosen`: it contains a repository that the token is for.
    Project {
        chosen: bool,
    },
    Repository(RepositoryId),
}

impl AccessGrant {
    pub fn check(&self, required_scope: RequiredScope) -> Result<(), Refusal> {
        let Self::Token(token) = self else { return Ok(()) };
        match required_scope.scopes() {
            Some((any_of, refusal)) if !any_of.iter().any(|scope| token.scopes.contains(scope)) => {
                Err(refusal)
            }
            _ => Ok(()),
        }
    }

    /// Refuses tokens, whatever their scopes.
    pub fn person(auth_method: AuthMethod) -> Result<(), Refusal> {
        match auth_method {
            AuthMethod::Token(_) => Err(NOT_FOR_TOKENS),
            AuthMethod::Login { .. } | AuthMethod::Password { .. } | AuthMethod::Operator => Ok(()),
        }
    }

    /// Returns the personal access token, if it is the proof.
    pub fn token(&self) -> Option<&AccessToken> {
        match self {
            Self::Whole => None,
            Self::Token(token) => Some(token),
        }
    }

    /// Returns the repositories that the token is for; `None`: all.
    pub fn repositories(&self) -> Option<&[RepositoryId]> {
        match self {
            Self::Whole => None,
            Self::Token(token) => token.repositories.as_deref(),
        }
    }

    /// Limits the user's `role` to what the proof allows.
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

    /// Limits the user's `role` to what the proof allows, and checks whether it may `act`. If the
    /// user may act and the token may not, the refusal names what the token lacks.
    ///
    /// # Errors
    /// The refusal, if the limited role may not `act`.
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

    /// Returns what a token lacks so that it may not `act`.
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

    /// Checks whether the proof may create a project: it must allow writing to all repositories.
    pub fn check_create_project(&self) -> Result<(), Refusal> {
        match self {
            Self::Whole => Ok(()),
            Self::Token(token)
                if token.repositories.is_none()
                    && (token.scopes.contains(&Scope::RepoWrite) || token.scopes.contains(&Scope::Admin)) =>
            {
                Ok(())
            }
            Self::Token(_) => {
                Err(Refusal::Forbidden("creating a project needs the scope repo:write for all repositories"))
            }
        }
    }
}

/// A personal access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccessToken {
    pub id: AccessTokenId,
    pub user_id: UserId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None`: every repository of the user.
    pub repositories: Option<Vec<RepositoryId>>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// The time of the last use, accurate to `limits.token_use_seconds`.
    pub last_used_at: Option<Timestamp>,
}

/// Checks the scopes of a new token of this user.
///
/// # Errors
/// If `scopes` has `server:admin` and the user is not an administrator of the server, or the token
/// is limited to repositories.
pub fn check_scopes(scopes: &[Scope], chooses_repositories: bool, is_admin: bool) -> Result<(), Refusal> {
    if !scopes.contains(&Scope::ServerAdmin) {
        return Ok(());
    }
    if chooses_repositories {
        return Err(Refusal::invalid("scopes", "cannot contain server:admin together with repositories"));
    }
    if !is_admin {
        return Err(Refusal::Forbidden("only a server administrator may grant the scope server:admin"));
    }
    Ok(())
}

impl AccessToken {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// Parses a token name: 1 to 64 characters without control characters.
pub fn parse_token_name(text: &str) -> Result<String, Invalid> {
    parse_line(text, 64).ok_or(Invalid("must be 1 to 64 characters without control characters"))
}
