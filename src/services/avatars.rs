//! Avatars of users, projects and chats. A user who may see the user, the project or the
//! chat sees its avatar.

use std::fs::File;
use std::io;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::access::ProjectPath;
use super::blocking::blocking;
use super::{FieldProblem, ServiceError, Services};
use crate::actors::cache::{ManagedChat, ReadableChat};
use crate::actors::writer::commands::SetAvatar;
use crate::core::shares::{Client, Holder};
use crate::domain::access::Credential;
use crate::domain::avatar::{AVATAR_BYTES_MAX, AVATAR_SIDE, Avatar, AvatarOf};
use crate::domain::ids::ChatId;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::pictures::Shape;
use crate::pictures::cache::Failure;
use crate::pictures::child::input_of;
use crate::storage::queries::avatars;

/// Bytes of the hash that a version has.
const VERSION_BYTES: usize = 8;

impl Services {
    /// Makes an avatar from the bytes of a picture, and stores it.
    ///
    /// The child must be started on a thread of the HTTP server.
    pub async fn set_avatar(
        &self,
        who: Credential,
        client: Client,
        of: AvatarOf,
        picture: Bytes,
    ) -> Result<(), ServiceError> {
        // The command checks again. Strangers must not start children.
        self.files.check_avatars()?;
        let input = blocking(move || -> io::Result<File> { input_of(&picture) }).await?;
        let input = input.map_err(ServiceError::internal)?;
        let made = self.make_picture(client, input, Shape::Square(AVATAR_SIDE), AVATAR_BYTES_MAX).await?;
        let made = made.map_err(|failure| {
            let problem = match failure {
                Failure::Damaged => "must be a PNG, JPEG, GIF or WebP that is not damaged",
                Failure::TooLarge => "must have fewer pixels; make it smaller and try again",
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
        self.files.check_avatars()?;
        self.write_avatar(who, of, None).await
    }

    async fn write_avatar(
        &self,
        who: Credential,
        of: AvatarOf,
        avatar: Option<Avatar>,
    ) -> Result<(), ServiceError> {
        let within_rate = self.rates.message(who.user);
        Ok(self.writer.execute(who, SetAvatar { who, of, avatar, within_rate }).await?)
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

    /// Returns the avatar of a chat that the caller may read.
    pub async fn avatar_of_chat(&self, who: Credential, chat: ChatId) -> Result<Avatar, ServiceError> {
        self.cache.ask(who, ReadableChat(chat)).await?;
        self.avatar(Holder::Account(who.user), AvatarOf::Chat(chat)).await
    }

    async fn avatar(&self, holder: Holder, of: AvatarOf) -> Result<Avatar, ServiceError> {
        let found = self.readers.read(holder, move |db| avatars::avatar(db, of)).await?;
        found.ok_or_else(|| Refusal::NotFound("avatar").into())
    }
}
