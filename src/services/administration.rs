//! Operations of the machine's operator, over the control socket, and the reads of administrators.
//!
//! Every process that can open the socket administers the server: credentials are not checked. The
//! commands are the same as those of other callers, and the audit names the operator.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::accounts::{Fields, NewAccount, ValidAccount, names_of};
use super::tokens::TokenRequest;
use super::{ServiceError, Services};
use crate::actors::cache::{
    AccessTokensOf, Administrator, PersonFormerlyNamed, PersonNamed, ProjectToAdminister, ReadModels,
    UsersToAdminister,
};
use crate::actors::writer::commands::{
    AddUser, DeleteEmptyChat, PurgeChat, RenameChannels, RenameUser, ResetPassword, RevokeAllAccessTokens,
    SetRetention, SetUserActive, SetUserAdmin, TakeOverChat, TakeOverProject, TrimChat,
};
use crate::core::actor::Caller;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::access::{AccessToken, Credential};
use crate::domain::audit::AuditEvent;
use crate::domain::event::ChatEvent;
use crate::domain::ids::{AccessTokenId, ChatId, ProjectId, Seq, UserId};
use crate::domain::password;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{User, Username};
use crate::storage::queries::{accounts, audit, chats};
use crate::storage::rows::chat::ListedChat;
use crate::storage::snapshot;

/// Chats trimmed in one round.
const TRIMMED_PER_ROUND: i64 = 100;
/// Range of the number of messages that a chat keeps. The maximum means all in practice.
const KEEP_MIN: i64 = 1;
const KEEP_MAX: i64 = 1 << 53;
/// Maximum number of tries to compare the read models and the database at the same commit.
const COMPARISONS_MAX: usize = 8;

/// The operator's credential, which belongs to no user.
fn operator() -> Credential {
    Credential::operator(UserId(0))
}

impl Services {
    async fn find_user(&self, username: String) -> Result<Arc<User>, ServiceError> {
        Ok(self.cache.ask_anonymously(PersonNamed(username)).await?)
    }

    /// Returns users above an id whose names begin with `prefix`, including deactivated users. For
    /// administrators and the operator.
    pub async fn users(
        &self,
        who: Option<Credential>,
        above: UserId,
        prefix: String,
        limit: i64,
    ) -> Result<Vec<Arc<User>>, ServiceError> {
        if let Some(who) = who {
            self.cache.ask(who, Administrator).await?;
        }
        let holder = who.map_or(Holder::Operator, |who| Holder::Account(who.user));
        let read = move |db: &mut _| accounts::users_above(db, above, &prefix, limit);
        let rows = self.readers.read(holder, read).await?;
        Ok(rows.into_iter().map(|row| Arc::new(row.into_parts().0)).collect())
    }

    /// Returns the users with these ids, for administrators; unknown ids are left out.
    pub async fn users_to_administer(
        &self,
        who: Credential,
        ids: BTreeSet<UserId>,
    ) -> Result<Vec<Arc<User>>, ServiceError> {
        Ok(self.cache.ask(who, UsersToAdminister { ids }).await?)
    }

    /// Returns chats above an id.
    pub async fn chats_of_all(&self, above: ChatId, limit: i64) -> Result<Vec<ListedChat>, ServiceError> {
        Ok(self.readers.read(Holder::Operator, move |db| chats::chats_above(db, above, limit)).await?)
    }

    /// Grants or revokes the server administrator role.
    pub async fn set_admin(&self, username: String, is_admin: bool) -> Result<(), ServiceError> {
        let user = self.find_user(username).await?.id;
        self.writer.execute(Caller::Server, SetUserAdmin { who: operator(), user, is_admin }).await?;
        Ok(())
    }

    /// Creates a user, even when registration is closed.
    pub async fn add_user(&self, new: NewAccount, is_admin: bool) -> Result<Arc<User>, ServiceError> {
        if new.setup_code.is_some() {
            return Err(Refusal::invalid("setup_code", "is for registrations; use is_admin here").into());
        }
        let user = self.with_hash(Holder::Operator, ValidAccount::parse(new)?).await?;
        let command = AddUser { who: operator(), user, is_admin };
        Ok(self.writer.execute(Caller::Server, command).await?)
    }

    pub async fn activate_user(&self, username: String, active: bool) -> Result<Arc<User>, ServiceError> {
        let user = self.find_user(username).await?.id;
        Ok(self.writer.execute(Caller::Server, SetUserActive { who: operator(), user, active }).await?)
    }

    /// Renames a user; the channels of the user's projects are renamed too. After an interruption
    /// the same call resumes where the first call stopped.
    pub async fn rename_user(&self, username: String, new: &str) -> Result<Arc<User>, ServiceError> {
        let mut fields = Fields::default();
        let parsed = fields.check("username", Username::parse(new));
        fields.done()?;
        let Some(name) = parsed else { return Err(Refusal::NotFound("user").into()) };
        let found = match self.find_user(username.clone()).await {
            Ok(user) => user,
            Err(missing) => {
                let former = self.cache.ask_anonymously(PersonFormerlyNamed(username)).await;
                former.ok().filter(|user| user.username == new).ok_or(missing)?
            }
        };
        let (who, owner) = (operator(), found.id);
        let renamed = self.writer.execute(Caller::Server, RenameUser { who, user: owner, name }).await?;
        let mut next = Some(ProjectId(0));
        while let Some(after) = next {
            next = self.writer.execute(Caller::Server, RenameChannels { who, owner, after }).await?;
        }
        Ok(renamed)
    }

    /// Sets a new password. All logins and access tokens of the user end.
    pub async fn reset_password(&self, username: String, password: String) -> Result<(), ServiceError> {
        let found = self.find_user(username).await?;
        let mut fields = Fields::default();
        fields.check("password", password::check_new(&password, &names_of(&found)));
        fields.done()?;
        let user = found.id;
        let password_hash = self.passwords.hash(Holder::Operator, password).await?;
        Ok(self
            .writer
            .execute(Caller::Server, ResetPassword { who: operator(), user, password_hash })
            .await?)
    }

    pub async fn tokens_of(&self, username: String) -> Result<Vec<Arc<AccessToken>>, ServiceError> {
        let user = self.find_user(username).await?.id;
        Ok(self.cache.ask_anonymously(AccessTokensOf(user)).await?)
    }

    /// Creates a token for a user. The secret is returned here only.
    pub async fn create_token_for(
        &self,
        username: String,
        request: TokenRequest,
    ) -> Result<(Arc<AccessToken>, String), ServiceError> {
        let user = self.find_user(username).await?.id;
        self.make_token(Credential::operator(user), request, false).await
    }

    pub async fn revoke_token_of(&self, username: String, token: AccessTokenId) -> Result<(), ServiceError> {
        let user = self.find_user(username).await?.id;
        self.revoke_token(Credential::operator(user), token).await
    }

    /// Revokes every token of a user. Returns how many there were.
    pub async fn revoke_tokens_of(&self, username: String) -> Result<usize, ServiceError> {
        let who = Credential::operator(self.find_user(username).await?.id);
        Ok(self.writer.execute(Caller::Server, RevokeAllAccessTokens { who }).await?)
    }

    /// Returns events of any chat, from the database.
    pub async fn export(
        &self,
        chat: ChatId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<ChatEvent>>, ServiceError> {
        let found = self.readers.read(Holder::Operator, move |db| {
            let Some(chat) = chats::chat(db, chat)? else { return Ok(None) };
            snapshot::events_between(db, chat.id, after, chat.last_seq + 1, limit, false).map(Some)
        });
        found.await?.ok_or_else(|| Refusal::NotFound("chat").into())
    }

    /// Sets how many of its newest messages a chat keeps; `None` keeps all.
    pub async fn set_retention(
        &self,
        who: Option<Credential>,
        chat: ChatId,
        keep: Option<i64>,
    ) -> Result<(), ServiceError> {
        if keep.is_some_and(|keep| !(KEEP_MIN..=KEEP_MAX).contains(&keep)) {
            return Err(Refusal::invalid("retention", "must be a number of messages, 1 to 2^53").into());
        }
        let (caller, who) = match who {
            Some(who) => {
                self.rates.change(who.user, 1)?;
                (who.into(), who)
            }
            None => (Caller::Server, operator()),
        };
        self.writer.execute(caller, SetRetention { who, chat, keep }).await?;
        self.retention_wakeup.notify_one();
        Ok(())
    }

    /// Makes an active user an owner of a chat that has no active owner: the caller, or `owner` if
    /// named.
    pub async fn take_over_chat(
        &self,
        who: Credential,
        chat: ChatId,
        owner: Option<String>,
    ) -> Result<(), ServiceError> {
        self.cache.ask(who, Administrator).await?;
        let owner = self.new_owner(who, owner).await?;
        Ok(self.writer.execute(who, TakeOverChat { who, chat, owner }).await?)
    }

    /// Does the same as [`Self::take_over_chat`] for a project.
    pub async fn take_over_project(
        &self,
        who: Credential,
        (namesake, project): (String, String),
        owner: Option<String>,
    ) -> Result<(), ServiceError> {
        let project = self.cache.ask(who, ProjectToAdminister { owner: namesake, project }).await?;
        let owner = self.new_owner(who, owner).await?;
        Ok(self.writer.execute(who, TakeOverProject { who, project, owner }).await?)
    }

    async fn new_owner(&self, who: Credential, owner: Option<String>) -> Result<UserId, ServiceError> {
        match owner {
            Some(name) => self.user_id(who, name).await,
            None => Ok(who.user),
        }
    }

    /// Deletes messages beyond each chat's retention, and chats without participants. Runs until
    /// the server stops, at the node that holds the lock of the chores. After a change of its own,
    /// each node runs a round.
    pub async fn maintain_chats(&self) {
        let every = std::time::Duration::from_millis(self.limits.trim_ms);
        let mut is_woken = false;
        loop {
            if is_woken || self.chores.is_held() {
                self.maintain_chats_once().await;
            }
            is_woken = tokio::select! {
                () = tokio::time::sleep(every) => false,
                () = self.chores.changed() => false,
                () = self.retention_wakeup.notified() => true,
            };
        }
    }

    async fn maintain_chats_once(&self) {
        for (what, outcome) in [
            ("trimming chats to their retention", self.trim_chats().await),
            ("deleting empty chats", self.delete_empty_chats().await),
            ("removing deleted chats", self.purge_chats().await),
        ] {
            if let Err(error) = outcome {
                tracing::warn!(error = %chain(&error), "{what} failed; it will be retried");
            }
        }
    }

    async fn trim_chats(&self) -> Result<(), ServiceError> {
        loop {
            let found =
                self.readers.read(Holder::Operator, |db| chats::to_trim(db, TRIMMED_PER_ROUND)).await?;
            if found.is_empty() {
                return Ok(());
            }
            for chat in found {
                while self.writer.execute(Caller::Server, TrimChat { chat }).await? {}
            }
        }
    }

    async fn delete_empty_chats(&self) -> Result<(), ServiceError> {
        let before = Timestamp::now().plus_seconds(-self.limits.empty_chat_seconds);
        let read = move |db: &mut _| chats::empty_since(db, before.0, TRIMMED_PER_ROUND);
        for chat in self.readers.read(Holder::Operator, read).await? {
            let command = DeleteEmptyChat { chat, before };
            self.writer.execute(Caller::Server, command).await?;
        }
        Ok(())
    }

    async fn purge_chats(&self) -> Result<(), ServiceError> {
        let read = |db: &mut _| chats::to_purge(db, TRIMMED_PER_ROUND);
        for chat in self.readers.read(Holder::Operator, read).await? {
            while self.writer.execute(Caller::Server, PurgeChat { chat }).await? {}
        }
        Ok(())
    }

    /// Returns actions of administrators and owners with ids below `below`, newest first.
    pub async fn audit(
        &self,
        who: Option<Credential>,
        below: i64,
        limit: i64,
    ) -> Result<Vec<AuditEvent>, ServiceError> {
        if let Some(who) = who {
            self.cache.ask(who, Administrator).await?;
        }
        let holder = who.map_or(Holder::Operator, |who| Holder::Account(who.user));
        Ok(self.readers.read(holder, move |db| audit::below(db, below, limit)).await?)
    }

    /// Compares the read models with a fresh load of the same commit. Returns the differences;
    /// `None` if commits were written during each of a few tries, or the cache is loading.
    pub async fn compare_with_database(&self) -> Result<Option<Vec<String>>, ServiceError> {
        let mut before = None;
        for _ in 0..COMPARISONS_MAX {
            // Other nodes may have written. A log that cannot be read shows as a difference.
            let _: Result<(), _> = self.writer.read_log().await;
            let fresh = self.readers.read(Holder::Operator, |db| snapshot::load(db, 1, 0)).await?;
            let Ok(compared) = self.cache.verify(ReadModels::load(fresh, 1, 0)).await else {
                return Ok(None);
            };
            let (cached, loaded) = compared.commits;
            // Two commits that stay apart are a difference.
            if cached == loaded || before == Some(compared.commits) {
                return Ok(Some(compared.differences));
            }
            before = Some(compared.commits);
        }
        Ok(None)
    }
}
