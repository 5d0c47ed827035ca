//! The users of a run, and the execution of each operation.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use netbit::client::HttpClient;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::arrivals::Arrivals;
use super::session::run_session;
use super::stats::{Operation, TeamStats};
use super::transcript::Transcript;
use super::transport::{SessionRequest, Transport};
use crate::scenario::Outcome;
use crate::servers::{Git, SeededServer, run_bounded};
use crate::wire::{HttpConnection, UdpConnection, message_content};

/// Users in a team.
const TEAM: usize = 20;
/// Of twenty users this many have a session over TCP, and the next over WebSocket; others use HTTP
/// only.
const OVER_TCP: usize = 14;
const OVER_SOCKETS: usize = 5;
/// Sessions that are opened concurrently.
const OPENING: usize = 64;
/// One of this many messages is sent to the chat of all users.
const TO_ALL: usize = 200;
/// Messages in a page.
const PAGE: usize = 50;
/// Time limit for operations that are pending at the end, far longer than they take.
const DONE_WITHIN: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

pub(super) struct TeamRun {
    pub(super) stats: Rc<TeamStats>,
    /// The chat of all users.
    shared_chat: i64,
    teams: Vec<i64>,
    users: Vec<TeamUser>,
    http: SocketAddr,
    /// Unused HTTP connections.
    idle: RefCell<Vec<HttpConnection>>,
    contents: std::cell::Cell<u64>,
    git: Rc<Git>,
    clones: std::cell::Cell<u32>,
    pushes: UnboundedSender<Instant>,
    pushed: Rc<RefCell<Vec<(String, String)>>>,
    tasks: RefCell<JoinSet<anyhow::Result<()>>>,
}

struct TeamUser {
    token: String,
    /// The queue of requests, for users with a session.
    session: Option<UnboundedSender<(Instant, SessionRequest)>>,
    /// The due times of Pings, for users with a UDP ticket.
    datagrams: Option<UnboundedSender<Instant>>,
}

impl TeamRun {
    /// Creates the chats of the teams and a repository, and opens all sessions.
    pub(super) async fn begin(server: &SeededServer, users: usize) -> anyhow::Result<Self> {
        let (mut transcript, mut teams, shared_chat) =
            (Transcript::default(), Vec::new(), server.first_chat()?);
        let http = HttpClient::new(format!("http://{}", server.http))?;
        transcript.add(shared_chat, 0..users);
        for first in (0..users).step_by(TEAM) {
            let members = first..(first + TEAM).min(users);
            let names =
                members.clone().skip(1).map(|n| server.user(n)).collect::<anyhow::Result<Vec<_>>>()?;
            let chat =
                http.with_token(server.token(first)?).create_group(&format!("team {first}"), &names).await?.0;
            transcript.add(chat, members);
            teams.push(chat);
        }
        // The repository belongs to an extra user without a team: pushes are announced in a
        // separate chat.
        let git = Rc::new(Git::new(server, users).await?);
        let source = git.create_repository("source", 1).await?;
        git.run(&source, &["push", "--quiet", &git.url, "HEAD:main"]).await?;

        let stats = Rc::new(TeamStats::new(transcript, Outcome::new()?));
        let mut tasks = JoinSet::new();
        let users = open(server, users, &stats, &mut tasks).await?;
        let (pushes, due) = unbounded_channel();
        let pushed = Rc::default();
        tasks.spawn_local(push(git.clone(), due, stats.clone(), Rc::clone(&pushed)));
        Ok(Self {
            stats,
            shared_chat,
            teams,
            users,
            http: server.http,
            idle: RefCell::default(),
            contents: std::cell::Cell::new(0),
            git,
            clones: std::cell::Cell::new(0),
            pushes,
            pushed,
            tasks: RefCell::new(tasks),
        })
    }

    /// Repeats an operation until `end`, each time by a random user who is able to perform it.
    pub(super) async fn repeat(
        self: Rc<Self>,
        operation: Operation,
        mut arrivals: Arrivals,
        end: Instant,
    ) -> anyhow::Result<()> {
        let can = |user: &TeamUser| match operation {
            Operation::Send | Operation::Page | Operation::Mark | Operation::Typing => user.session.is_some(),
            Operation::Ping => user.datagrams.is_some(),
            _ => true,
        };
        let able: Vec<_> =
            self.users.iter().enumerate().filter(|(_, user)| can(user)).map(|(user, _)| user).collect();
        while let Some(due) = arrivals.next(end).await {
            let user = able.get(arrivals.one_of(able.len())).copied().context("no user can perform this")?;
            let chat = self.chat_of(user, arrivals.one_of(TO_ALL) == 0)?;
            self.clone().start(operation, user, chat, due)?;
        }
        Ok(())
    }

    fn chat_of(&self, user: usize, to_all: bool) -> anyhow::Result<i64> {
        if to_all { Ok(self.shared_chat) } else { self.teams.get(user / TEAM).copied().context("no team") }
    }

    /// Starts an operation of `user` that was due at `due`.
    fn start(
        self: Rc<Self>,
        operation: Operation,
        user: usize,
        chat: i64,
        due: Instant,
    ) -> anyhow::Result<()> {
        let team_user = self.users.get(user).context("no such user")?;
        let ask = match operation {
            Operation::Send => {
                Some(SessionRequest::Send { chat, content: self.new_content(user, chat, due) })
            }
            Operation::Page => Some(SessionRequest::Page { chat }),
            Operation::Typing => Some(SessionRequest::Typing { chat }),
            Operation::Mark => {
                let cursors = self.stats.cursors.borrow();
                let received = cursors.get(&user).and_then(|cursors| cursors.get(&chat));
                // A user without received events has nothing to mark.
                let Some(cursor) = received else { return Ok(()) };
                Some(SessionRequest::Mark { chat, seq: cursor.0 })
            }
            _ => None,
        };
        self.stats.begin(operation);
        if let Some(ask) = ask {
            team_user.session.as_ref().context("no session")?.send((due, ask))?;
            return Ok(());
        }
        match operation {
            Operation::Ping => team_user.datagrams.as_ref().context("no ticket")?.send(due)?,
            Operation::Push => self.pushes.send(due)?,
            Operation::Clone => {
                let run = self.clone();
                self.tasks.borrow_mut().spawn_local(async move { run.clone_repository(due).await });
            }
            _ => {
                let run = self.clone();
                self.tasks
                    .borrow_mut()
                    .spawn_local(async move { run.request(operation, user, chat, due).await });
            }
        }
        Ok(())
    }

    /// Returns a content that no other message has.
    fn new_content(&self, user: usize, chat: i64, due: Instant) -> String {
        self.contents.set(self.contents.get() + 1);
        let content = message_content(u64::try_from(user).unwrap_or(0), self.contents.get());
        self.stats.transcript.borrow_mut().sent(chat, content.clone(), due);
        content
    }

    async fn request(
        &self,
        operation: Operation,
        user: usize,
        chat: i64,
        due: Instant,
    ) -> anyhow::Result<()> {
        let idle = self.idle.borrow_mut().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => HttpConnection::connect(self.http).await?,
        };
        let token = &self.users.get(user).context("no such user")?.token;
        let get = |path: &str| HttpConnection::request("GET", path, token, None);
        let of_chat = |chat: i64| format!("/api/chats/{chat}/messages");
        match operation {
            Operation::Post => {
                let (id, content) = (uuid::Uuid::now_v7(), self.new_content(user, chat, due));
                let body = format!(r#"{{"client_id":"{id}","content":"{content}"}}"#);
                connection.ask(&HttpConnection::request("POST", &of_chat(chat), token, Some(&body))).await?;
                self.stats.transcript.borrow_mut().acknowledged(chat);
            }
            Operation::GetMessages => {
                let body = connection.ask(&get(&format!("{}?limit={PAGE}", of_chat(chat)))).await?;
                self.check_page(chat, body)?;
            }
            Operation::GetForeignMessages => {
                let other = self.teams.get((user / TEAM + 1) % self.teams.len()).context("no team")?;
                let answer = connection.ask(&get(&of_chat(*other))).await.map(<[u8]>::len);
                let refused = answer.as_ref().is_err_and(|error| error.to_string().contains("HTTP/1.1 404"));
                let alone = self.teams.len() < 2;
                self.stats
                    .outcome
                    .borrow_mut()
                    .check(refused || alone, || format!("user {user} can read chat {other} of another team"));
                self.stats.done(operation, due);
                return Ok(());
            }
            _ => {
                let body: Value = serde_json::from_slice(connection.ask(&get("/api/chats")).await?)?;
                let count = body.get("items").and_then(Value::as_array).map_or(0, Vec::len);
                // The chat of all users and the chat of the team.
                self.stats
                    .outcome
                    .borrow_mut()
                    .check(count == 2, || format!("user {user} has {count} chats"));
            }
        }
        self.stats.done(operation, due);
        self.idle.borrow_mut().push(connection);
        Ok(())
    }

    fn check_page(&self, chat: i64, body: &[u8]) -> anyhow::Result<()> {
        let page: Value = serde_json::from_slice(body)?;
        let items = page.get("items").and_then(Value::as_array).context("a page without items")?;
        let seqs: Vec<_> = items.iter().filter_map(|item| item.get("seq")?.as_i64()).collect();
        let right = seqs.len() == items.len()
            && seqs.windows(2).all(|two| matches!(two, [one, next] if one + 1 == *next))
            && items.iter().all(|item| item.get("chat_id").is_some_and(|id| *id == chat));
        self.stats
            .outcome
            .borrow_mut()
            .check(right, || format!("a page of chat {chat} has the seqs {seqs:?}"));
        Ok(())
    }

    async fn clone_repository(&self, due: Instant) -> anyhow::Result<()> {
        self.clones.set(self.clones.get() + 1);
        let path = format!("clone-{}", self.clones.get());
        self.git.run(self.git.home(), &["clone", "--quiet", &self.git.url, &path]).await?;
        self.stats.done(Operation::Clone, due);
        let path: PathBuf = self.git.home().join(path);
        std::fs::remove_dir_all(path)?;
        Ok(())
    }

    /// Waits until all operations and deliveries are complete; later ones count as lost.
    pub(super) async fn end(self: Rc<Self>) -> anyhow::Result<Outcome> {
        let (last, stats) = (Instant::now() + DONE_WITHIN, self.stats.clone());
        let missing = || {
            let cursors = stats.cursors.borrow();
            let none = super::transcript::Cursors::new();
            let with_sessions = self.users.iter().enumerate().filter(|(_, user)| user.session.is_some());
            let users = with_sessions.map(|(user, _)| (user, cursors.get(&user).unwrap_or(&none)));
            stats.transcript.borrow().missing(users)
        };
        while Instant::now() < last
            && (stats.under_way() > 0 || missing().0 > 0)
            && stats.outcome.borrow().is_right()
        {
            while let Some(ended) = self.tasks.borrow_mut().try_join_next() {
                ended??;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let (lacking, more) = missing();
        let pushed = self.pushed.take();
        let lost_pushes = self.git.lost_pushes(&pushed).await?;
        self.tasks.borrow_mut().abort_all();
        let mut outcome = stats.outcome.replace(Outcome::new()?);
        outcome.check(lacking == 0, || format!("lost: {lacking} users lack an acknowledged message"));
        outcome.check(more == 0, || format!("{more} events without a message"));
        let under_way = stats.under_way();
        outcome.check(under_way == 0, || {
            format!("lost: {under_way} operations were started and never completed")
        });
        for push in lost_pushes {
            outcome.wrong(|| format!("lost: {push} was pushed"));
        }
        outcome
            .notes
            .push("latencies above: from the due time of a message until another user has it".to_owned());
        outcome.notes.extend(stats.lines());
        Ok(outcome)
    }
}

/// Opens the sessions, and starts a task for each.
async fn open(
    server: &SeededServer,
    users: usize,
    stats: &Rc<TeamStats>,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Vec<TeamUser>> {
    // The spawned futures are `'static`: they own their tokens.
    let tokens = (0..users).map(|user| server.token(user)).collect::<anyhow::Result<Vec<_>>>()?;
    let (tcp, http) = (server.tcp(), server.http);
    let transports = run_bounded(users, OPENING, {
        let tokens = tokens.clone();
        move |user| {
            let token = tokens.get(user).cloned().unwrap_or_default();
            async move {
                Ok(match user % TEAM {
                    0..OVER_TCP => {
                        let (transport, udp) = Transport::tcp(tcp, token).await?;
                        (Some(transport), Some(udp))
                    }
                    n if n < OVER_TCP + OVER_SOCKETS => (Some(Transport::socket(http, &token).await?), None),
                    _ => (None, None),
                })
            }
        }
    });
    let mut users = Vec::new();
    for (user, ((transport, udp), token)) in transports.await?.into_iter().zip(tokens).enumerate() {
        let mut team_user = TeamUser { token, session: None, datagrams: None };
        if let Some(transport) = transport {
            let (session, asks) = unbounded_channel();
            team_user.session = Some(session);
            let stats = stats.clone();
            tasks.spawn_local(async move {
                run_session(transport, user, asks, stats).await;
                Ok(())
            });
        }
        if let Some(udp) = udp {
            let (datagrams, due) = unbounded_channel();
            team_user.datagrams = Some(datagrams);
            tasks.spawn_local(ping(udp, due, stats.clone()));
        }
        users.push(team_user);
    }
    Ok(users)
}

async fn ping(
    mut udp: UdpConnection,
    mut due: UnboundedReceiver<Instant>,
    stats: Rc<TeamStats>,
) -> anyhow::Result<()> {
    while let Some(due) = due.recv().await {
        udp.ping().await?;
        stats.done(Operation::Ping, due);
    }
    Ok(())
}

/// Pushes on behalf of one user, one push after the other.
async fn push(
    git: Rc<Git>,
    mut due: UnboundedReceiver<Instant>,
    stats: Rc<TeamStats>,
    pushed: Rc<RefCell<Vec<(String, String)>>>,
) -> anyhow::Result<()> {
    let path = git.create_repository("pusher", 0).await?;
    while let Some(due) = due.recv().await {
        let branch = format!("branch-{}", pushed.borrow().len());
        let commit = git.push(&path, &branch).await?;
        stats.done(Operation::Push, due);
        pushed.borrow_mut().push((branch, commit));
    }
    Ok(())
}
