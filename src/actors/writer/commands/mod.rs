//! The commands: a struct for each kind of change, named in the imperative.
//!
//! Each command checks the caller and the rules inside the transaction. A user who was removed or
//! logged out just before therefore cannot win a race.

mod access_tokens;
mod accounts;
mod adding;
mod administration;
mod avatars;
mod blocks;
mod chats;
mod code_talks;
mod cursors;
mod fan_out;
#[cfg(test)]
mod fan_out_test;
mod files;
mod leaving;
mod lfs;
mod logins;
mod message_updates;
mod messages;
mod notifications;
mod projects;
mod pushes;
mod removal;
mod repositories;
mod retention;
#[cfg(test)]
mod statements_test;
mod take_over;
mod threads;

pub use access_tokens::{
    CreateAccessToken, EndExpiredTokens, RecordTokenUses, RevokeAccessToken, RevokeAllAccessTokens,
    WarnOfExpiringTokens,
};
pub use accounts::{
    ChangePassword, EndExpiredLogins, EndLogin, INVALID_SETUP_CODE, LoginSecret, Logout, NewUser,
    REGISTRATION_CLOSED, RefreshLogin, Refreshed, RegisterUser, RehashPassword, StartLogin, UpdateProfile,
};
pub use administration::{AddUser, RenameChannels, RenameUser, ResetPassword, SetUserActive, SetUserAdmin};
pub use avatars::SetAvatar;
pub use blocks::SetBlock;
pub use chats::{CreateChat, NewChat, RemoveParticipant, SetNotifyLevel, SetParticipant, UpdateChat};
pub use cursors::{MarkAllRead, MarkRead, MarkUnread, Marks, MergeMarks, SetHidden};
pub use fan_out::{CountDeliveryAttempt, DeliverNotifications, Undelivered};
pub use files::{BeginFile, CompleteFile, DropFile, MoveFiles, ReleaseFiles, RemoveFiles};
pub use leaving::{LeaveChats, LeftChats};
pub use lfs::{AddLfsObject, CreateLfsLock, CreatedLock, DeleteLfsLock, RemoveLfsObjects};
pub use logins::{EndOwnLogin, RecordWebLoginUses};
pub use message_updates::{UpdateMessage, UpdatedMessage};
pub use messages::{AppendMessage, Appended};
pub use notifications::MarkNotificationsRead;
pub use projects::{CreateProject, DeleteProject, SetMember, SetProjectConfig, SetWatch, UpdateProject};
pub use pushes::{CountAttempt, OpenPush, Opened, SettlePush, Settled, WantedRefs};
pub use repositories::{
    AbandonRepository, ActivateRepository, BeginRepository, DeleteRepository, FinishDeletion,
    MoveRepositories, Moved, NODE_RUNS, RecordMaintenance, UpdateRepository,
};

pub use removal::{DeleteChat, DeleteEmptyChat, PurgeChat};
pub use retention::{SetRetention, TrimChat};
pub use take_over::{TakeOverChat, TakeOverProject};
pub use threads::FollowThread;

use super::{DbWriterActor, Drain, ReadLog};
use crate::core::actor::instrumented_actor;

// The rows of the writer's statistics: every command, `Drain` and `ReadLog`.
instrumented_actor!(
    DbWriterActor,
    "writer",
    [
        AbandonRepository,
        ActivateRepository,
        AddLfsObject,
        AddUser,
        AppendMessage,
        BeginFile,
        BeginRepository,
        ChangePassword,
        CompleteFile,
        CountDeliveryAttempt,
        CreateAccessToken,
        CreateChat,
        CreateLfsLock,
        CreateProject,
        DeleteChat,
        DeleteEmptyChat,
        DeleteLfsLock,
        DeleteProject,
        DeleteRepository,
        DeliverNotifications,
        Drain,
        DropFile,
        EndExpiredLogins,
        EndExpiredTokens,
        EndLogin,
        EndOwnLogin,
        FinishDeletion,
        FollowThread,
        LeaveChats,
        MarkAllRead,
        MarkNotificationsRead,
        MarkRead,
        MarkUnread,
        MergeMarks,
        MoveRepositories,
        OpenPush,
        CountAttempt,
        PurgeChat,
        ReadLog,
        RecordMaintenance,
        RecordTokenUses,
        RecordWebLoginUses,
        RefreshLogin,
        RegisterUser,
        RehashPassword,
        MoveFiles,
        ReleaseFiles,
        RemoveFiles,
        RemoveLfsObjects,
        RemoveParticipant,
        RenameChannels,
        RenameUser,
        ResetPassword,
        RevokeAccessToken,
        RevokeAllAccessTokens,
        SetAvatar,
        SetBlock,
        SetHidden,
        SetMember,
        SetNotifyLevel,
        SetParticipant,
        SetProjectConfig,
        SetRetention,
        SetUserActive,
        SetUserAdmin,
        SetWatch,
        SettlePush,
        StartLogin,
        TakeOverChat,
        TakeOverProject,
        TrimChat,
        UpdateChat,
        UpdateProfile,
        UpdateMessage,
        UpdateProject,
        UpdateRepository,
        WarnOfExpiringTokens,
    ]
);
