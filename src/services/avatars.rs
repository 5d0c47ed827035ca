//! Avatars of users, projects and chats. A user who may see the user, the project or the
//! chat sees its avatar.

use std::fs::File;
use std::io;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::access::ProjectPath;
use super::blocking::blocking;
use super::thumbnails::TOO_MANY;
use super::{FieldProblem, ServiceError, Services};
use crate::actors::cache::{AvatarOfChat, ManagedChat};
use crate::actors::writer::commands::SetAvatar;
use crate::core::shares::{Client, Holder, Slot};
use crate::domain::access::Credential;
use crate::domain::avatar::{AVATAR_BYTES_MAX, AVATAR_SIDE, Avatar, AvatarOf};
use crate::domain::ids::ChatId;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::pictures::Shape;
use crate::pictures::cache::Failure;
use crate::pictures::child::input_of;
use crate::protocol::code::Code;
use crate::storage::queries::avatars;

/// Bytes of the hash that a version has.
const VERSION_BYTES: usize = 8;
/// When a client may try again after too many bodies at once, in milliseconds.
const RETRY_MS: u64 = 2_000;

/// The permission to receive the picture of an avatar, from the first byte of its body until the
/// child that makes the avatar has ended.
pub struct AvatarTurn {
    _slot: Slot,
}

impl Services {
    /// Admits a picture for an avatar, before its body is read.
    ///
    /// # Errors
    /// The rate of changes (429), a node of an earlier version (409), too many such bodies (503).
    pub fn begin_avatar(&self, who: Credential) -> Result<AvatarTurn, ServiceError> {
        self.rates.change(who.user, 1)?;
        self.files.check_avatars()?;
        let slot = self.files.pictures.received.enter(Holder::Account(who.user));
        let slot = slot.ok_or_else(|| ServiceError::later(Code::Overloaded, TOO_MANY, RETRY_MS))?;
        Ok(AvatarTurn { _slot: slot })
    }

    /// Makes an avatar from the bytes of a picture, and stores it. The caller has checked that the
    /// user may change the avatar, so strangers start no child. The command checks it again.
    ///
    /// The child must be started on a thread of the HTTP server.
    pub async fn set_avatar(
        &self,
        who: Credential,
        client: Client,
        of: AvatarOf,
        (picture, turn): (Bytes, AvatarTurn),
    ) -> Result<(), ServiceError> {
        let input = blocking(move || -> io::Result<File> { input_of(&picture) }).await?;
        let input = input.map_err(ServiceError::internal)?;
        let made = self.make_picture(client, input, Shape::Square(AVATAR_SIDE), AVATAR_BYTES_MAX).await?;
        drop(turn);
        let made = made.map_err(|failure| {
            let problem = match failure {
                Failure::Damaged => "must be a PNG, JPEG, GIF or WebP that is not damaged",
                Failure::TooLarge => "is too large to be decoded; make it smaller and try again",
            };
            ServiceError::invalid(vec![FieldProblem { field: "picture", problem: problem.to_owned() }])
        })?;
        let hash = Sha256::digest(&made.bytes);
        let version = hash.iter().take(VERSION_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let media_type = made.picture_type.media_type().to_owned();
        self.write_avatar(who, of, Some(Avatar { version, media_type, bytes: made.bytes })).await
    }

    /// Removes an avatar: initials are shown again.
    pub async fn remove_avatar(&self, who: Credential, of: AvatarOf) -> Result<(), ServiceError> {
        self.rates.change(who.user, 1)?;
        self.files.check_avatars()?;
        self.write_avatar(who, of, None).await
    }

    async fn write_avatar(
        &self,
        who: Credential,
        of: AvatarOf,
        avatar: Option<Avatar>,
    ) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, SetAvatar { who, of, avatar }).await?)
    }

    /// Returns the avatar of an active user whom the caller may see.
    pub async fn avatar_of_user(&self, who: Credential, username: String) -> Result<Avatar, ServiceError> {
        let user = self.person(who, username).await?;
        user.shown_avatar().ok_or(Refusal::NotFound("avatar"))?;
        self.avatar(Holder::Account(who.user), AvatarOf::User(user.id)).await
    }

    /// Returns the avatar of a project that the caller may read.
    pub async fn avatar_of_project(
        &self,
        who: Option<Credential>,
        holder: Holder,
        at: &ProjectPath,
    ) -> Result<Avatar, ServiceError> {
        let view = self.project(who, at, Act::Read).await?;
        self.avatar(holder, AvatarOf::Project(view.project.id)).await
    }

    /// Checks that the caller may change the chat, before a child is started for the caller.
    pub async fn check_chat_admin(&self, who: Credential, chat: ChatId) -> Result<(), ServiceError> {
        Ok(self.cache.ask(who, ManagedChat(chat)).await?)
    }

    /// Returns the avatar of a chat that the caller may read. The channel of a project has that of
    /// the project.
    pub async fn avatar_of_chat(&self, who: Credential, chat: ChatId) -> Result<Avatar, ServiceError> {
        let of = self.cache.ask(who, AvatarOfChat(chat)).await?;
        self.avatar(Holder::Account(who.user), of).await
    }

    async fn avatar(&self, holder: Holder, of: AvatarOf) -> Result<Avatar, ServiceError> {
        let found = self.readers.read(holder, move |db| avatars::avatar(db, of)).await?;
        found.ok_or_else(|| Refusal::NotFound("avatar").into())
    }
}
