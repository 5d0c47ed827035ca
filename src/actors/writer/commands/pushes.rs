//! Commands about pushes: the intent before git moves refs, and the result afterwards.
//!
//! Invariants
//! * A ref moves only after its intent is committed ([`OpenPush`]), and at most one intent per
//!   repository is pending. The old and new values of a ref therefore show unambiguously whether it
//!   moved.
//! * A ref of a repository moves on its storage node only: no other node can open a push.
//! * A push has at most one event in the channel of its project, however often it is settled: the
//!   database accepts only one event and one message for each push.

use std::sync::Arc;

use super::messages::write;
use super::notifications::notify_all;
use super::projects::access;
use crate::actors::writer::Head;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::Chat;
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, PushId, RepositoryId, Seq, UserId};
use crate::domain::message::{CONTENT_BYTES_MAX, ClientId, Content, Message, NewMessage};
use crate::domain::metadata::Metadata;
use crate::domain::node::NodeName;
use crate::domain::notification::{Cause, Decision, RecipientFacts, decide};
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{Project, ProjectRole};
use crate::domain::push::{FastForward, PUSH_REFS_MAX, Push, PushSummary, RefUpdate};
use crate::domain::refusal::Refusal;
use crate::domain::repository::Repository;
use crate::storage::queries::watchers;
use crate::storage::queries::{chats, messages, pushes, repositories};
use crate::storage::rows::notification::NewNotificationRow;
use crate::storage::rows::push::{NewPushIntentRow, PushIntent};
use crate::storage::rows::push::{PENDING, Progress, Settling};
use crate::storage::rows::watcher::{AnnouncedPush, Recipient};

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
    /// This node.
    pub node: Option<NodeName>,
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
        check_node(&repository, self.node.as_ref())?;
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
            state: PENDING,
            created_at: tx.now.0,
        };
        let is_text_left_out = self.chat_text.is_some() && chat_text.is_none();
        Ok(Opened { push: pushes::insert(tx.write(), &row)?, is_text_left_out })
    }
}

/// Refuses a command about the refs of a repository on another node than its storage node.
fn check_node(repository: &Repository, node: Option<&NodeName>) -> Result<(), Refusal> {
    let why = "the repository was moved to another node; try again";
    repository.is_stored_on(node).then_some(()).ok_or(Refusal::Conflict(why))
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
    /// This node.
    pub node: Option<NodeName>,
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
        let Some(settling) = pushes::to_settle(tx.reader(), self.push)? else {
            return Ok(Settled::default());
        };
        let Settling { intent, pusher, repository, project, owner } = settling;
        if let Some(repository) = &repository {
            check_node(repository, self.node.as_ref())?;
        }
        let moved = intent.announced || !self.summary.refs.is_empty();
        // Objects may stay although no ref moved. Their size counts until packing removes them.
        if let Some(repository) = repository.as_ref().filter(|_| !moved && self.summary.size_bytes > 0) {
            count(tx, repository, &self.summary)?;
        }
        let settled = Progress::settled(tx.now.0);
        // The members of a project that was deleted meanwhile are not notified.
        let (Some(repository), Some(project), true) = (repository, project, moved) else {
            pushes::set_progress(tx.write(), self.push, &settled)?;
            return Ok(Settled::default());
        };
        let path = format!("{owner}/{}/{}", project.name, repository.name);
        let push = MovedRefs { intent: &intent, pusher: &pusher, path: &path, project: &project };
        let mentioned = serde_json::to_string(&self.summary.mentioned).unwrap_or_else(|_| "[]".to_owned());
        let (announced, message) = match intent.event_seq {
            Some(seq) => push.announced_before(tx, seq)?,
            None => push.announce(tx, &repository, &self.summary)?,
        };
        let next = push.notify_slice(tx, &announced, message)?;
        let progress = next.map_or(settled, Progress::notified_to);
        let progress = match intent.event_seq {
            Some(_) => progress,
            None => progress.announced(announced.seq, &mentioned),
        };
        pushes::set_progress(tx.write(), self.push, &progress)?;
        Ok(Settled { announced: Some((project.channel_id, announced.seq)), more: next.is_some() })
    }
}

/// A push that has its event.
struct Announced {
    /// The seq of the event.
    seq: Seq,
    /// Users whom commit messages name.
    mentioned: Vec<UserId>,
    /// The push in one line.
    text: String,
}

/// A push that moved refs.
struct MovedRefs<'a> {
    intent: &'a PushIntent,
    /// The name of the user who pushed.
    pusher: &'a str,
    /// `owner/project/name` as of now.
    path: &'a str,
    project: &'a Project,
}

impl MovedRefs<'_> {
    /// Returns the push as it was announced, with its message.
    fn announced_before(&self, tx: &mut Tx<'_>, seq: Seq) -> Execution<(Announced, Option<Arc<Message>>)> {
        let (channel, pusher) = (self.project.channel_id, self.pusher);
        let events = chats::events_between(tx.reader(), channel, seq - 1, seq + 1, 1, false)?;
        let text = match events.first().map(|event| &event.change) {
            Some(Change::Push(push)) => format!("{pusher} {}", push.headline()),
            _ => format!("{pusher} pushed"),
        };
        let message = messages::message_at(tx.reader(), channel, seq + 1)?;
        let announced = Announced { seq, mentioned: self.intent.mentioned.clone(), text };
        Ok((announced, message.map(Arc::new)))
    }

    /// Stores event and message.
    fn announce(
        &self,
        tx: &mut Tx<'_>,
        repository: &Repository,
        summary: &PushSummary,
    ) -> Execution<(Announced, Option<Arc<Message>>)> {
        let intent = self.intent;
        let (chat, head, _) = tx.chat_to_append(self.project.channel_id, intent.user_id)?;
        let push = Push {
            repository_id: repository.id,
            repository: self.path.to_owned(),
            refs: summary.refs.iter().take(PUSH_REFS_MAX).cloned().collect(),
            ref_count: summary.ref_count,
            commits: summary.commits.clone(),
            commit_count: summary.commit_count,
        };
        let text = format!("{} {}", self.pusher, push.headline());
        let default_branch = summary.default_branch.as_ref().unwrap_or(&repository.default_branch);
        let mut content = push.message(intent.chat_text.as_deref(), &intent.base_url, default_branch);
        content.truncate(content.floor_char_boundary(CONTENT_BYTES_MAX));
        let content = Content::parse(content)
            .map_err(|_| Refusal::invalid("content", "of the message of the push is not acceptable"))?;
        let mut seq = head.seq;
        let event = tx.next_event(chat.id, &mut seq, intent.user_id, Change::Push(Arc::new(push)));
        // The message moves the head of the chat for both.
        chats::insert_event_of_push(tx.write(), &event, intent.id)?;
        tx.announce(Event::Chat(event.into()));
        let message = post(tx, intent, (&chat, Head { seq, ..head }), content)?;
        count(tx, repository, summary)?;
        Ok((Announced { seq, mentioned: summary.mentioned.clone(), text }, Some(message)))
    }
}

/// Stores the size of the repository, its default branch if the push created its first branches,
/// and the weight of the push for packing.
fn count(tx: &mut Tx<'_>, repository: &Repository, summary: &PushSummary) -> Execution<()> {
    let weight = weight(summary, repository.size_bytes);
    let default_branch = summary.default_branch.as_ref().unwrap_or(&repository.default_branch).clone();
    repositories::count_push(tx.write(), repository.id, summary.size_bytes, weight, &default_branch)?;
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
fn post(
    tx: &mut Tx<'_>,
    intent: &PushIntent,
    (chat, head): (&Chat, Head),
    content: Content,
) -> Execution<Arc<Message>> {
    let metadata = Metadata::of("push_seq", head.seq);
    let text = serde_json::to_string(&metadata)
        .map_err(|_| Refusal::invalid("metadata", "cannot be written as JSON"))?;
    let client_id = ClientId(intent.client_id);
    let message =
        NewMessage { client_id, content, reply_to: None, metadata: Some(metadata), files: Vec::new() };
    // No request has this hash: the message is not from a client.
    let new = (&message, Vec::new());
    let written = write(tx, (chat, head), intent.user_id, new, None, Some(text), [0; 32])?;
    written.ok_or(Refusal::ClientIdReused.into())
}

impl MovedRefs<'_> {
    /// Notifies the next users. Returns the last of them, if more are left.
    fn notify_slice(
        &self,
        tx: &mut Tx<'_>,
        announced: &Announced,
        message: Option<Arc<Message>>,
    ) -> Execution<Option<UserId>> {
        let (intent, project) = (self.intent, self.project);
        // A deleted message notifies no user.
        let Some(message) = message.filter(|message| !message.deleted) else { return Ok(None) };
        // Mentioned users are part of the first slice, and count.
        let is_first = intent.notified_to == UserId(0);
        let named = if is_first { announced.mentioned.as_slice() } else { &[] };
        let limit = tx.limits.notifications_per_command.saturating_sub(saturate::to_i64(named.len())).max(1);
        let (channel, pusher) = (project.channel_id, intent.user_id);
        let push = AnnouncedPush { project: project.id, channel, pusher };
        let found = watchers::recipients(tx.reader(), push, (intent.notified_to, limit), named)?;
        let in_slice = |person: &&Recipient| person.watches && person.user_id > intent.notified_to;
        let slice: Vec<_> = found.iter().filter(in_slice).take(usize::try_from(limit).unwrap_or(0)).collect();
        let is_full = saturate::to_i64(slice.len()) >= limit;
        let next = slice.last().filter(|_| is_full).map(|person| person.user_id);
        let named: Vec<_> =
            named.iter().filter_map(|user| found.iter().find(|person| person.user_id == *user)).collect();
        let others = slice.into_iter().filter(|person| !announced.mentioned.contains(&person.user_id));
        let people =
            named.into_iter().map(|person| (person, true)).chain(others.map(|person| (person, false)));
        let now = tx.now.0;
        let row = |(person, mentioned): (&Recipient, bool)| {
            let facts = self.facts(person, mentioned);
            let Decision::Notify(kind, _) = decide(Cause::Push, facts) else { return None };
            // The recipient may have read the message before a slice runs.
            let is_read = person.read_seq.is_some_and(|read_seq| read_seq >= message.seq);
            Some(NewNotificationRow {
                user_id: person.user_id,
                kind: kind.as_str(),
                chat_id: Some(channel),
                message_id: Some(message.id),
                actor_id: Some(pusher),
                text: &announced.text,
                created_at: now,
                read_at: is_read.then_some(now),
                seq: Some(message.seq),
                repository: Some(self.path),
                reason: Some(facts.push_reason().as_str()),
            })
        };
        let rows: Vec<_> = people.filter_map(row).collect();
        notify_all(tx, &rows)?;
        Ok(next)
    }

    fn facts(&self, person: &Recipient, mentioned: bool) -> RecipientFacts {
        let may_read = permission::check(Act::Read, self.project.visibility, person.role, "project").is_ok();
        RecipientFacts {
            is_actor: self.intent.user_id == person.user_id,
            may_read,
            active: person.active,
            watches: person.watches,
            mentioned,
            blocks_actor: person.blocks_pusher,
            ..RecipientFacts::BYSTANDER
        }
    }
}
