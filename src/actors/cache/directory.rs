//! The directory: users, and active logins and tokens.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::domain::access::{AccessGrant, AccessToken, AuthMethod, Credential};
use crate::domain::event::Event;
use crate::domain::ids::{AccessTokenId, LoginId, UserId};
use crate::domain::login::WebHandle;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::storage::snapshot::Snapshot;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Directory {
    users: HashMap<UserId, Entry>,
    /// The active administrators.
    administrators: BTreeSet<UserId>,
    names: BTreeMap<String, UserId>,
    /// Display names in lower case, which several users may share.
    display_names: BTreeSet<(String, UserId)>,
    /// Former names of users.
    former: HashMap<String, UserId>,
    logins: HashMap<LoginId, UserId>,
    /// Those of `logins` that are found by the secret of a browser.
    web_logins: HashMap<LoginId, WebHandle>,
    web_hashes: HashMap<[u8; 32], LoginId>,
    tokens: HashMap<AccessTokenId, LiveToken>,
    token_hashes: HashMap<[u8; 32], AccessTokenId>,
    tokens_of: HashMap<UserId, BTreeSet<AccessTokenId>>,
    /// The users whom a user blocks, for users who block at least one.
    blocks: HashMap<UserId, BTreeSet<UserId>>,
}

#[derive(Debug, PartialEq)]
struct LiveToken {
    token: Arc<AccessToken>,
    hash: [u8; 32],
}

/// A web login, found by its hash.
pub(super) struct FoundWebLogin<'a> {
    pub(super) id: LoginId,
    pub(super) who: Credential,
    pub(super) handle: &'a WebHandle,
}

#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) user: Arc<User>,
    pub(super) password_hash: Arc<str>,
}

/// User names are lower case; users may type them with capitals.
fn lower(username: &str) -> Cow<'_, str> {
    let has_capitals = username.bytes().any(|b| b.is_ascii_uppercase());
    if has_capitals { username.to_ascii_lowercase().into() } else { username.into() }
}

impl Directory {
    pub(super) fn load(snapshot: &mut Snapshot) -> Self {
        let mut directory = Self::default();
        for (user, password_hash) in std::mem::take(&mut snapshot.users) {
            directory.insert(user, password_hash);
        }
        for (token, hash) in std::mem::take(&mut snapshot.access_tokens) {
            directory.insert_token(token, hash);
        }
        for (user, blocked) in std::mem::take(&mut snapshot.blocks) {
            directory.set_block(user, blocked, true);
        }
        directory.former = std::mem::take(&mut snapshot.former_usernames).into_iter().collect();
        directory.logins = std::mem::take(&mut snapshot.logins).into_iter().collect();
        for (login, handle) in std::mem::take(&mut snapshot.web_logins) {
            directory.insert_web_login(login, handle);
        }
        directory
    }

    fn insert(&mut self, user: Arc<User>, password_hash: Arc<str>) {
        self.names.insert(user.username.clone(), user.id);
        self.display_names.insert((user.display_name.to_lowercase(), user.id));
        self.index_administrator(&user);
        self.users.insert(user.id, Entry { user, password_hash });
    }

    fn index_administrator(&mut self, user: &User) {
        if user.is_admin && user.active {
            self.administrators.insert(user.id);
        } else {
            self.administrators.remove(&user.id);
        }
    }

    fn insert_token(&mut self, token: Arc<AccessToken>, hash: [u8; 32]) {
        self.token_hashes.insert(hash, token.id);
        self.tokens_of.entry(token.user_id).or_default().insert(token.id);
        self.tokens.insert(token.id, LiveToken { token, hash });
    }

    fn insert_web_login(&mut self, login: LoginId, handle: WebHandle) {
        self.web_hashes.insert(handle.hash, login);
        self.web_logins.insert(login, handle);
    }

    fn set_block(&mut self, user: UserId, blocked: UserId, blocks: bool) {
        let own = self.blocks.entry(user).or_default();
        if blocks {
            own.insert(blocked);
        } else {
            own.remove(&blocked);
        }
        if own.is_empty() {
            self.blocks.remove(&user);
        }
    }

    /// Returns whether `user` blocks `other`.
    pub(super) fn blocks(&self, user: UserId, other: UserId) -> bool {
        self.blocks.get(&user).is_some_and(|own| own.contains(&other))
    }

    /// Returns the users whom `user` blocks, by id above `after`.
    pub(super) fn blocked_by(&self, user: UserId, after: UserId) -> impl Iterator<Item = &Arc<User>> {
        let above = (Bound::Excluded(after), Bound::Unbounded);
        let own = self.blocks.get(&user).map(|own| own.range(above));
        own.into_iter().flatten().filter_map(|id| self.user(*id))
    }

    fn remove_token(&mut self, user: UserId, token: AccessTokenId) {
        if let Some(own) = self.tokens_of.get_mut(&user) {
            own.remove(&token);
            if own.is_empty() {
                self.tokens_of.remove(&user);
            }
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::UserRegistered { user, password_hash } => self.insert(user.clone(), password_hash.clone()),
            Event::UserUpdated { user } => {
                self.index_administrator(user);
                if let Some(entry) = self.users.get_mut(&user.id) {
                    let old = std::mem::replace(&mut entry.user, user.clone());
                    if old.display_name != user.display_name {
                        self.display_names.remove(&(old.display_name.to_lowercase(), user.id));
                        self.display_names.insert((user.display_name.to_lowercase(), user.id));
                    }
                    if old.username != user.username {
                        self.names.remove(&old.username);
                        self.former.remove(&user.username);
                        self.former.insert(old.username.clone(), user.id);
                        self.names.insert(user.username.clone(), user.id);
                    }
                }
            }
            Event::PasswordChanged { user_id, password_hash, token_version } => {
                if let Some(entry) = self.users.get_mut(user_id) {
                    entry.password_hash = password_hash.clone();
                    entry.user = Arc::new(User { token_version: *token_version, ..(*entry.user).clone() });
                }
            }
            Event::LoginStarted { login_id, user_id, web } => {
                self.logins.insert(*login_id, *user_id);
                if let Some(handle) = web {
                    self.insert_web_login(*login_id, *handle);
                }
            }
            Event::LoginEnded { login_id, .. } => {
                self.logins.remove(login_id);
                if let Some(ended) = self.web_logins.remove(login_id) {
                    self.web_hashes.remove(&ended.hash);
                }
            }
            Event::WebLoginsUsed { uses } => {
                for used in uses {
                    if let Some(handle) = self.web_logins.get_mut(&used.login) {
                        handle.last_used_at = used.last_used_at;
                        handle.expires_at = used.expires_at;
                    }
                }
            }
            Event::BlockChanged { user_id, blocked_id, blocks } => {
                self.set_block(*user_id, *blocked_id, *blocks);
            }
            Event::AccessTokenCreated { token, hash } => self.insert_token(token.clone(), *hash),
            Event::AccessTokenRevoked { token_id } => {
                if let Some(revoked) = self.tokens.remove(token_id) {
                    self.token_hashes.remove(&revoked.hash);
                    self.remove_token(revoked.token.user_id, *token_id);
                }
            }
            Event::AccessTokensUsed { uses } => {
                for (id, at) in uses {
                    if let Some(live) = self.tokens.get_mut(id) {
                        live.token =
                            Arc::new(AccessToken { last_used_at: Some(*at), ..(*live.token).clone() });
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks that the proof is this user's, is still valid, and the user is active. Returns the
    /// scope of the proof.
    pub(super) fn authenticate(&self, who: Credential) -> Result<(&Arc<User>, AccessGrant), Refusal> {
        let user = self.user(who.user).filter(|user| user.active).ok_or(Refusal::Unauthenticated)?;
        let grant = match who.auth_method {
            AuthMethod::Login { id, token_version } => {
                let alive = self.logins.get(&id) == Some(&who.user) && user.token_version == token_version;
                alive.then_some(AccessGrant::Whole)
            }
            AuthMethod::Password { token_version } => {
                (user.token_version == token_version).then_some(AccessGrant::Whole)
            }
            AuthMethod::Operator => Some(AccessGrant::Whole),
            AuthMethod::Token(id) => self
                .tokens
                .get(&id)
                .filter(|live| live.token.user_id == who.user && live.token.is_live(Timestamp::now()))
                .map(|live| AccessGrant::Token(live.token.clone())),
        };
        Ok((user, grant.ok_or(Refusal::Unauthenticated)?))
    }

    /// Returns the credential of the token with this hash. Its validity is checked when it is used.
    pub(super) fn token_holder(&self, hash: &[u8; 32]) -> Option<Credential> {
        let id = self.token_hashes.get(hash)?;
        let live = self.tokens.get(id)?;
        Some(Credential { user: live.token.user_id, auth_method: AuthMethod::Token(*id) })
    }

    /// Returns the web login with this hash. Its validity is checked when it is used.
    pub(super) fn web_login(&self, hash: &[u8; 32]) -> Option<FoundWebLogin<'_>> {
        let id = *self.web_hashes.get(hash)?;
        let handle = self.web_logins.get(&id)?;
        let user = self.user(*self.logins.get(&id)?)?;
        Some(FoundWebLogin { id, who: Credential::login(user.id, id, user.token_version), handle })
    }

    /// Returns the tokens of a user, by id.
    pub(super) fn tokens_of(&self, user: UserId) -> Vec<Arc<AccessToken>> {
        let own = self.tokens_of.get(&user).into_iter().flatten();
        own.filter_map(|id| self.tokens.get(id)).map(|live| live.token.clone()).collect()
    }

    pub(super) fn user(&self, id: UserId) -> Option<&Arc<User>> {
        self.users.get(&id).map(|entry| &entry.user)
    }

    /// Returns whether a user is an active administrator.
    pub(super) fn has_administrator(&self) -> bool {
        !self.administrators.is_empty()
    }

    /// Returns the user of this name, ignoring case.
    pub(super) fn named(&self, username: &str) -> Option<&Entry> {
        self.users.get(self.names.get(&*lower(username))?)
    }

    /// Returns users whose names begin with `prefix`, by name above `after`.
    pub(super) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = &'a Arc<User>> {
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let names = self.names.range::<str, _>((from, Bound::Unbounded));
        names.take_while(move |(name, _)| name.starts_with(prefix)).filter_map(|(_, id)| self.user(*id))
    }

    /// Returns users whose display names, in lower case, begin with `prefix`.
    pub(super) fn displayed_as<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<User>> {
        let names = self.display_names.range((prefix.to_owned(), UserId(i64::MIN))..);
        names.take_while(move |(name, _)| name.starts_with(prefix)).filter_map(|(_, id)| self.user(*id))
    }

    /// Returns the user who formerly had this name.
    pub(super) fn formerly_named(&self, username: &str) -> Option<&Arc<User>> {
        self.user(*self.former.get(&*lower(username))?)
    }

    pub(super) fn username(&self, id: UserId) -> &str {
        self.user(id).map_or("", |user| &user.username)
    }
}
