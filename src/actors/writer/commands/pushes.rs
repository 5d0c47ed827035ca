//! Commands about pushes: the intent before git moves refs, and the result afterwards.
//!
//! Invariants
//! * A ref moves only after its intent is committed ([`OpenPush`]), and at most one intent per
//!   repository is pending. The old and new values of a ref therefore show unambiguously whether it
//!   moved.
//! * A push has at most one event in the channel of its project, however often it is settled: the
//!   database accepts only one event and one message for each push.

use std::sync::Arc;

use super::messages::write;
use super::notifications::notify;
use super::projects::{access, username};
use crate::actors::writer::Head;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::Chat;
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, PushId, RepositoryId, Seq, UserId};
use crate::domain::message::{CONTENT_BYTES_MAX, ClientId, Content, NewMessage};
use crate::domain::metadata::Metadata;
use crate::domain::notification::{Cause, Decision, RecipientFacts, decide};
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{Project, ProjectRole};
use crate::domain::push::{FastForward, PUSH_REFS_MAX, Push, PushSummary, RefUpdate};
use crate::domain::refusal::Refusal;
use crate::domain::repository::Repository;
use crate::storage::queries::{accounts, blocks, chats, messages, projects, pushes, repositories};
use crate::storage::rows::notification::NewNotificationRow;
use crate::storage::rows::push::{NewPushIntentRow, PushIntent};

/// Refs or commits that count as one more small push.
const CHANGES_PER_SMALL_PUSH: usize = 20;
/// Bytes that count as one more small push: an import gets its bitmap at once, not after many small
/// pushes.
const BYTES_PER_SMALL_PUSH: i64 = 1024 * 1024;

/// Stores the intent of a push. Checks permissions and branch rules in the same transaction.
pub struct OpenPush {
    pub who: Credential,
    pub repository: RepositoryId,
    pub refs: WantedRefs,
    /// The project and the role with which all refs were checked before. While they are unchanged,
    /// a push of many refs costs the writer little.
    pub checked: Option<(Arc<Project>, Option<ProjectRole>)>,
    /// The branches of which receive-pack refuses non-fast-forward updates.
    pub fast_forward: FastForward,
    pub chat_text: Option<String>,
    /// Prefix of links in the stored message: `http.public_url`, or empty.
    pub base_url: String,
}

/// The refs that a push may move, with their JSON form. It is built before the command reaches the
/// writer.
#[derive(Debug, Clone)]
pub struct WantedRefs {
    updates: Arc<[RefUpdate]>,
    json: Arc<str>,
}

impl WantedRefs {
    /// # Errors
    /// A refusal if the refs cannot be written as JSON.
    pub fn new(updates: Vec<RefUpdate>) -> Result<Self, Refusal> {
        let json = serde_json::to_string(&updates);
        let json = json.map_err(|_| Refusal::invalid("refs", "cannot be written as JSON"))?;
        Ok(Self { updates: updates.into(), json: json.into() })
    }

    pub fn updates(&self) -> &[RefUpdate] {
        &self.updates
    }
}

/// A push that may move its refs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub push: PushId,
    /// Whether the text for the channel was left out, because the access token may not write to
    /// chats.
    pub is_text_left_out: bool,
}

impl Command for OpenPush {
    type Output = Opened;

    fn bytes(&self) -> usize {
        256 + self.refs.json.len()
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Opened> {
        let repository =
            repositories::repository(tx.reader(), self.repository)?.ok_or(Refusal::NotFound("repository"))?;
        let (project, role) = access(tx, self.who, repository.project_id, Some(repository.id), Act::Push)?;
        let was_checked = |(before, as_role): &(Arc<Project>, Option<ProjectRole>)| {
            before.config == project.config && *as_role == role
        };
        if !self.checked.as_ref().is_some_and(was_checked) {
            self.check(&project, role)?;
        }
        if pushes::pending_of(tx.reader(), repository.id)?.is_some() {
            return Err(Refusal::Conflict("another push to this repository is in progress; try again").into());
        }
        let may_write =
            tx.authenticate(self.who, RequiredScope::Identity)?.check(RequiredScope::ChatWrite).is_ok();
        let chat_text = self.chat_text.as_deref().filter(|_| may_write);
        let row = NewPushIntentRow {
            repository_id: repository.id,
            user_id: self.who.user,
            refs: &self.refs.json,
            chat_text,
            base_url: &self.base_url,
            client_id: &ClientId::fresh().0,
            state: pushes::PENDING,
            created_at: tx.now.0,
        };
        let is_text_left_out = self.chat_text.is_some() && chat_text.is_none();
        Ok(Opened { push: pushes::insert(tx.write(), &row)?, is_text_left_out })
    }
}

impl OpenPush {
    fn check(&self, project: &Project, role: Option<ProjectRole>) -> Result<(), Refusal> {
        for update in self.refs.updates() {
            permission::check_update(&project.config, role, update)?;
            let must = permission::must_fast_forward(&project.config, update);
            if must && !self.fast_forward.covers(&update.name) {
                let why = "the branch rules have changed during the push; push again";
                return Err(Refusal::Forbidden(why));
            }
        }
        Ok(())
    }
}

/// Stores the result of a push: event, message and notifications. Does nothing if the push is
/// already settled.
pub struct SettlePush {
    pub push: PushId,
    pub summary: PushSummary,
}

/// Counts an attempt to settle an interrupted push, before it is made. Returns the number of
/// attempts including this one.
pub struct CountAttempt {
    pub push: PushId,
}

impl Command for CountAttempt {
    type Output = i64;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<i64> {
        Ok(pushes::count_attempt(tx.write(), self.push)?.unwrap_or(0))
    }
}

/// The outcome of settling a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Position of the event in the channel of the project, if a ref moved.
    pub announced: Option<(ChatId, Seq)>,
    /// More users are to be notified: send the command again.
    pub more: bool,
}

impl Command for SettlePush {
    type Output = Settled;

    fn bytes(&self) -> usize {
        4096 + self.summary.refs.iter().map(|update| 128 + update.name.len()).sum::<usize>()
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Settled> {
        let Some(intent) = pushes::unsettled(tx.reader(), self.push)? else {
            return Ok(Settled::default());
        };
        let now = tx.now.0;
        let repository = repositories::repository(tx.reader(), intent.repository_id)?;
        let project = match &repository {
            Some(repository) => projects::project(tx.reader(), repository.project_id)?,
            None => None,
        };
        let moved = intent.announced || !self.summary.refs.is_empty();
        // Objects may stay although no ref moved. Their size counts until packing removes them.
        if let Some(repository) = repository.as_ref().filter(|_| !moved && self.summary.size_bytes > 0) {
            count(tx, repository, &self.summary)?;
        }
        // The members of a project that was deleted meanwhile are not notified.
        let (Some(repository), Some(project), true) = (repository, project, moved) else {
            pushes::set_settled(tx.write(), self.push, now)?;
            return Ok(Settled::default());
        };
        let (seq, mentioned, text) = match intent.event_seq {
            Some(seq) => (seq, intent.mentioned.clone(), None),
            None => {
                let (seq, text) = announce(tx, &intent, &repository, &project, &self.summary)?;
                (seq, self.summary.mentioned.clone(), Some(text))
            }
        };
        let text = match text {
            Some(text) => text,
            None => headline(tx, &intent, &project, seq)?,
        };
        let announced = Announced { seq, mentioned: &mentioned, text: &text, repository: &repository };
        let more = notify_slice(tx, &intent, &project, &announced)?;
        if !more {
            pushes::set_settled(tx.write(), self.push, now)?;
        }
        Ok(Settled { announced: Some((project.channel_id, seq)), more })
    }
}

/// Returns the push in one line, as it was announced.
fn headline(tx: &mut Tx<'_>, intent: &PushIntent, project: &Project, seq: Seq) -> Execution<String> {
    let pusher = username(tx, intent.user_id)?;
    let events = chats::events_between(tx.reader(), project.channel_id, seq - 1, seq + 1, 1, false)?;
    Ok(match events.first().map(|event| &event.change) {
        Some(Change::Push(push)) => format!("{pusher} {}", push.headline()),
        _ => format!("{pusher} pushed"),
    })
}

/// Returns `owner/project/name` as of now.
fn path_of(tx: &mut Tx<'_>, project: &Project, repository: &Repository) -> Execution<String> {
    let owner = username(tx, project.owner_id)?;
    Ok(format!("{owner}/{}/{}", project.name, repository.name))
}

/// Stores event and message. Returns the seq of the event and the push in one line.
fn announce(
    tx: &mut Tx<'_>,
    intent: &PushIntent,
    repository: &Repository,
    project: &Project,
    summary: &PushSummary,
) -> Execution<(Seq, String)> {
    let mut chat = chats::chat(tx.reader(), project.channel_id)?.ok_or(Refusal::NotFound("chat"))?;
    let push = Push {
        repository_id: repository.id,
        repository: path_of(tx, project, repository)?,
        refs: summary.refs.iter().take(PUSH_REFS_MAX).cloned().collect(),
        ref_count: summary.ref_count,
        commits: summary.commits.clone(),
        commit_count: summary.commit_count,
    };
    let headline = format!("{} {}", username(tx, intent.user_id)?, push.headline());
    let default_branch = summary.default_branch.as_ref().unwrap_or(&repository.default_branch);
    let mut content = push.message(intent.chat_text.as_deref(), &intent.base_url, default_branch);
    content.truncate(content.floor_char_boundary(CONTENT_BYTES_MAX));
    let content = Content::parse(content)
        .map_err(|_| Refusal::invalid("content", "of the message of the push is not acceptable"))?;
    let mut last_seq = chat.last_seq;
    tx.append_event(chat.id, &mut last_seq, intent.user_id, Change::Push(Arc::new(push)))?;
    pushes::mark_event(tx.write(), chat.id, last_seq, intent.id)?;
    let seq = last_seq;
    chat.last_seq = seq;
    post(tx, intent, &chat, content)?;
    let mentioned = serde_json::to_string(&summary.mentioned).unwrap_or_else(|_| "[]".to_owned());
    pushes::set_announced(tx.write(), intent.id, seq, &mentioned)?;
    count(tx, repository, summary)?;
    Ok((seq, headline))
}

/// Stores the size of the repository, its default branch if the push created its first branches,
/// and the weight of the push for packing.
fn count(tx: &mut Tx<'_>, repository: &Repository, summary: &PushSummary) -> Execution<()> {
    let weight = weight(summary, repository.size_bytes);
    repositories::count_push(tx.write(), repository.id, summary.size_bytes, weight)?;
    let default_branch = summary.default_branch.as_ref().unwrap_or(&repository.default_branch).clone();
    if default_branch != repository.default_branch {
        repositories::set_default_branch(tx.write(), repository.id, &default_branch)?;
    }
    let repository =
        Arc::new(Repository { size_bytes: summary.size_bytes, default_branch, ..repository.clone() });
    tx.announce(Event::RepositoryChanged { repository });
    Ok(())
}

/// Returns the number of small pushes that this push equals, for packing: each leaves a pack, and a
/// file for each ref. `size_bytes` is the size of the repository before.
fn weight(summary: &PushSummary, size_bytes: i64) -> i64 {
    let changes = summary.ref_count.max(summary.commit_count) / CHANGES_PER_SMALL_PUSH;
    let changes = saturate::to_i64(changes);
    let bytes = summary.size_bytes.saturating_sub(size_bytes).max(0) / BYTES_PER_SMALL_PUSH;
    changes.max(bytes).saturating_add(1)
}

/// Appends the message of a push, sent by the pusher. The current permissions of the pusher do not
/// matter, because the refs have moved.
fn post(tx: &mut Tx<'_>, intent: &PushIntent, chat: &Chat, content: Content) -> Execution<()> {
    let metadata = Metadata::of("push_seq", chat.last_seq);
    let text = serde_json::to_string(&metadata)
        .map_err(|_| Refusal::invalid("metadata", "cannot be written as JSON"))?;
    let client_id = ClientId(intent.client_id);
    let message = NewMessage { client_id, content, reply_to: None, metadata: Some(metadata) };
    // No request has this hash: the message is not from a client.
    let written = write(tx, (chat, Head::of(chat)), intent.user_id, &message, None, Some(text), [0; 32])?;
    written.map(drop).ok_or(Refusal::ClientIdReused.into())
}

/// A push that has its event.
struct Announced<'a> {
    /// The seq of the event.
    seq: Seq,
    /// Users whom commit messages name.
    mentioned: &'a [UserId],
    /// The push in one line.
    text: &'a str,
    repository: &'a Repository,
}

/// Notifies the next users. Returns whether more are left.
fn notify_slice(
    tx: &mut Tx<'_>,
    intent: &PushIntent,
    project: &Project,
    announced: &Announced<'_>,
) -> Execution<bool> {
    let Announced { seq, mentioned, text, repository } = *announced;
    let first = intent.notified_to == UserId(0);
    // Mentioned users are part of the first slice, and count.
    let named = if first { saturate::to_i64(mentioned.len()) } else { 0 };
    let limit = tx.limits.notifications_per_command.saturating_sub(named).max(1);
    let channel = project.channel_id;
    let message = match messages::at_seq(tx.reader(), channel, seq + 1)? {
        Some(id) => messages::by_ids(tx.reader(), &[id])?.pop().filter(|message| !message.deleted),
        None => None,
    };
    // A deleted message notifies no user.
    let Some(message) = message else { return Ok(false) };
    let watchers = projects::watchers_above(tx.reader(), project.id, intent.notified_to, limit)?;
    let more = saturate::to_i64(watchers.len()) >= limit;
    let named = mentioned.iter().copied().filter(|_| first).map(|user| (user, true));
    let others = watchers.iter().copied().filter(|user| !mentioned.contains(user));
    let people: Vec<_> = named.chain(others.map(|user| (user, false))).collect();
    let repository = path_of(tx, project, repository)?;
    for (user, mentioned) in people {
        let facts = recipient_facts(tx, intent, project, user, mentioned)?;
        if let Decision::Notify(kind, _) = decide(Cause::Push, facts) {
            let participant = chats::participant(tx.reader(), channel, user)?;
            // The recipient may have read the message before a slice runs.
            let is_read = participant.is_some_and(|participant| participant.read_seq >= message.seq);
            let row = NewNotificationRow {
                user_id: user,
                kind: kind.as_str(),
                chat_id: Some(channel),
                message_id: Some(message.id),
                actor_id: Some(intent.user_id),
                text,
                created_at: tx.now.0,
                read_at: is_read.then_some(tx.now.0),
                seq: Some(message.seq),
                repository: Some(&repository),
                reason: Some(facts.push_reason().as_str()),
            };
            notify(tx, &row)?;
        }
    }
    if let (true, Some(last)) = (more, watchers.last()) {
        pushes::set_notified_to(tx.write(), intent.id, *last)?;
    }
    Ok(more)
}

fn recipient_facts(
    tx: &mut Tx<'_>,
    intent: &PushIntent,
    project: &Project,
    user: UserId,
    mentioned: bool,
) -> Execution<RecipientFacts> {
    let row = accounts::user(tx.reader(), user)?;
    let role = projects::member_role(tx.reader(), project.id, user)?;
    Ok(RecipientFacts {
        is_actor: intent.user_id == user,
        may_read: permission::check(Act::Read, project.visibility, role, "project").is_ok(),
        active: row.is_some_and(|row| row.deactivated_at.is_none()),
        watches: projects::watches(tx.reader(), project.id, user)?,
        mentioned,
        blocks_actor: blocks::exists(tx.reader(), user, intent.user_id)?,
        ..RecipientFacts::BYSTANDER
    })
}
