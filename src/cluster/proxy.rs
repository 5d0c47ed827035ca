//! The layer that forwards a request about a repository to its storage node, and a request about a
//! file to the node that has its bytes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use tracing::{debug, info, warn};

use super::exchange::{ExchangeError, Patience, is_forwarded, send};
use super::hop::{BEHIND, FORWARDED, HOP_NAME, Hop, HopKey, Signed, address_of, credentials};
use super::link::{Link, connect, is_local};
use super::metrics::{Outcome, ProxyMetrics};
use super::nodes::OtherNodes;
use super::own_address::NodeProcess;
use super::refusal::{Refusal, of_broken_exchange};
use super::upstreams::{Admitted, NotTried, Upstreams, run_of};
use crate::actors::cache::{AppliedCommit, LogReader, StorageOf, StoragePlace};
use crate::core::limits::Limits;
use crate::core::node_address::NodeAddress;
use crate::core::shares::{Holder, PoolMetrics, PoolName, Slot, Slots};
use crate::core::telemetry;
use crate::core::trust::Trust;
use crate::domain::ids::FileId;
use crate::domain::node::NodeName;
use crate::http::address::{is_https, percent_decoded};
use crate::http::extract::viewer;
use crate::http::observe::client_request_id;
use crate::http::route_names::Route;
use crate::http::{AsSent, HttpError, peer_of};
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::storage::nodes::Node;

const REQUEST_ID: &str = "x-request-id";
const UNREACHABLE: &str = "the node cannot be reached: its repositories are answered with 503";
/// The end of the routes that concern a repository without its files: whom a reader sees is known
/// to the node of the reader's session.
const OWN_ROUTES: [&str; 1] = ["/visitors"];

/// The objects of Git LFS: an upload is answered when its last bytes are durable.
const LFS_OBJECTS: &str = "/info/lfs/objects/{oid}";

/// The beginning of the routes about a file.
const FILE_ROUTES: &str = "/api/files/{id}";

/// Forwards requests; one per application. See the [module](super).
pub struct Proxy {
    pub(super) own: NodeProcess,
    pub(super) key: HopKey,
    nodes: OtherNodes,
    log: LogReader,
    upstreams: Upstreams,
    clients: Slots,
    metrics: ProxyMetrics,
    /// For nodes with TLS.
    trust: OnceLock<Trust>,
    connect: Duration,
    patience: Patience,
    catch_up: Duration,
}

/// The places of a request that is forwarded.
struct Held {
    /// The number of the storage node.
    number: i16,
    run: u64,
    _admitted: Admitted,
    _slot: Slot,
}

impl Proxy {
    /// `signing_key`: the key of all nodes. Returns `None` if it cannot be used.
    pub fn new(
        own: NodeProcess,
        signing_key: &[u8],
        (nodes, log): (OtherNodes, LogReader),
        limits: &Limits,
        (metrics, pools): (ProxyMetrics, &PoolMetrics),
    ) -> Option<Self> {
        let retry = Duration::from_millis(limits.proxy_retry_ms);
        // Four networks do not take all places of a node.
        let per_network = (limits.proxied_requests_per_node / 4).max(1);
        let clients = Slots::new(limits.proxied_requests, per_network);
        Some(Self {
            own,
            key: HopKey::new(signing_key)?,
            nodes,
            log,
            upstreams: Upstreams::new(limits.proxied_requests_per_node, retry),
            clients: clients.measured(pools.meter(PoolName::Proxied)),
            metrics,
            trust: OnceLock::new(),
            connect: Duration::from_millis(limits.proxy_connect_ms),
            patience: Patience {
                idle: Duration::from_millis(limits.proxy_idle_ms),
                head: limits.proxy_head(),
            },
            catch_up: Duration::from_millis(limits.proxy_catch_up_ms),
        })
    }

    /// Opens a connection to the storage node; `None` if there is none now.
    async fn reach(&self, request: &ServiceRequest, name: &NodeName) -> Option<(Link, Held)> {
        let Some(mut node) = self.nodes.find(name).await else {
            self.metrics.count(Outcome::Unreachable);
            return None;
        };
        let client = peer_of(request.request()).ok()?;
        let Some(slot) = self.clients.enter(Holder::network(client)) else {
            self.metrics.count(Outcome::Refused);
            return None;
        };
        // The node may have started again since its row was read.
        let mut is_fresh = !node.is_running();
        if is_fresh {
            node = self.nodes.find_again(name).await.unwrap_or(node);
        }
        let outcome = loop {
            match self.attempt(&node).await {
                Ok((link, admitted)) => {
                    let (number, run) = (node.number, run_of(&node));
                    return Some((link, Held { number, run, _admitted: admitted, _slot: slot }));
                }
                Err(Outcome::Unreachable) if !is_fresh => {
                    is_fresh = true;
                    let again = self.nodes.find_again(name).await;
                    match again.filter(|again| run_of(again) != run_of(&node)) {
                        Some(again) => node = again,
                        None => break Outcome::Unreachable,
                    }
                }
                Err(outcome) => break outcome,
            }
        };
        self.metrics.count(outcome);
        None
    }

    /// Connects to the node, if it is to be tried.
    async fn attempt(&self, node: &Node) -> Result<(Link, Admitted), Outcome> {
        let (name, run) = (&node.name, run_of(node));
        let admitted = self.upstreams.admit(node.number, run).map_err(|why| match why {
            NotTried::Busy => Outcome::Refused,
            NotTried::Unreachable => Outcome::Unreachable,
        })?;
        let connected = match NodeAddress::parse(&node.address) {
            // A process that hangs still accepts connections. It must not get credentials.
            _ if !node.is_running() => {
                let has_stopped = node.silent_ms().is_none();
                let why = if has_stopped { "it has stopped" } else { "it has not run for 30 s" };
                Err(std::io::Error::other(why))
            }
            Some(address) => connect(&address, &self.trust, self.connect).await,
            None => Err(std::io::Error::other("the address is not a URL")),
        };
        if let Err(error) = &connected
            && is_local(error)
        {
            warn!(node = name, %error, "this node cannot open a connection");
            return Err(Outcome::Refused);
        }
        let has_changed = self.upstreams.connected(node.number, run, connected.is_ok());
        match connected {
            Ok(link) => {
                if has_changed {
                    info!(node = name, "the node can be reached again");
                }
                Ok((link, admitted))
            }
            Err(error) => {
                if has_changed {
                    warn!(node = name, address = node.address, %error, "{UNREACHABLE}");
                }
                Err(Outcome::Unreachable)
            }
        }
    }

    /// Returns how long a request of this route may take. A push is unpacked and checked before its
    /// answer begins, for as long as the storage node permits.
    fn patience(&self, route: &str) -> Patience {
        let is_push = route.ends_with("/git-receive-pack") || route.contains(LFS_OBJECTS);
        Patience { head: if is_push { self.patience.idle } else { self.patience.head }, ..self.patience }
    }

    /// Records that a forwarded request has failed.
    fn failed(&self, node: &NodeName, (number, run): (i16, u64), error: &ExchangeError) {
        self.metrics.count(Outcome::Failed);
        self.nodes.refresh();
        let shown = telemetry::chain(error);
        match error {
            // The other node logs that it has lost the database.
            ExchangeError::Behind => debug!(%node, error = %shown, "a forwarded request failed"),
            _ => warn!(%node, error = %shown, "a forwarded request failed"),
        }
        if matches!(error, ExchangeError::Silent) && self.upstreams.connected(number, run, false) {
            warn!(%node, "{UNREACHABLE}");
        }
    }

    /// Builds the head of the forwarded request to the node.
    fn head_of(&self, request: &ServiceRequest, node: &NodeName, commit_no: i64) -> Option<Request<()>> {
        let (method, address) = (request.method().as_str(), address_of(request));
        let client = peer_of(request.request()).ok()?;
        let hop = Hop { client, is_https: is_https(request.request()), commit_no };
        let mut head = Request::builder().method(method).uri(address);
        let headers = head.headers_mut()?;
        let listed = request.headers().get("connection").and_then(|value| value.to_str().ok());
        let listed = listed.unwrap_or_default();
        for (name, value) in request.headers() {
            if is_forwarded(name.as_str(), listed) && !FORWARDED.contains(name) {
                let name = HeaderName::try_from(name.as_str()).ok()?;
                headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
            }
        }
        let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let signed = Signed { to: node, method, address, credentials: &credentials(all) };
        let value = HeaderValue::try_from(self.key.sign(&hop, signed)).ok()?;
        headers.insert(HeaderName::from_static(HOP_NAME), value);
        // The id that the client gets, so that the answer does not show which node made it.
        let shown = client_request_id(request.headers()).map(Into::into).or_else(telemetry::request_id);
        if let Some(id) = shown {
            headers.insert(REQUEST_ID, HeaderValue::try_from(&*id).ok()?);
        }
        head.body(()).ok()
    }

    /// Reads the commits that the forwarding node has applied. Returns whether that succeeded.
    async fn catch_up(&self, services: &Services, commit_no: i64) -> bool {
        match services.cache.ask_anonymously(AppliedCommit).await {
            Ok(applied) if applied >= commit_no => true,
            // One read serves all requests that wait for it.
            Ok(_) => matches!(tokio::time::timeout(self.catch_up, self.log.read()).await, Ok(Ok(()))),
            Err(_) => false,
        }
    }
}

/// Returns the repository that the route names, as the client sent it.
fn repository_of(pattern: &str, path: &str) -> Option<RepositoryPath> {
    if OWN_ROUTES.iter().any(|end| pattern.ends_with(end)) {
        return None;
    }
    let at = |name: &str| pattern.split('/').position(|segment| segment == name);
    let text = |name: &str| {
        let segment = path.split('/').nth(at(name)?)?;
        String::from_utf8(percent_decoded(segment)).ok()
    };
    let (user, project, mut repo) = (text("{user}")?, text("{project}")?, text("{repo}")?);
    // Routes of git clients, and what a user copies from there.
    if let Some(name) = repo.strip_suffix(".git") {
        repo = name.to_owned();
    }
    Some(RepositoryPath { user, project, repo })
}

/// Returns the file that the route names.
fn file_of(pattern: &str, path: &str) -> Option<FileId> {
    let rest = pattern.strip_prefix(FILE_ROUTES)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    path.strip_prefix("/api/files/")?.split('/').next()?.parse().ok().map(FileId)
}

/// The object that a request is about.
enum Subject {
    Repository(RepositoryPath),
    File(FileId),
}

impl Subject {
    fn of(pattern: &str, path: &str) -> Option<Self> {
        let file = || file_of(pattern, path).map(Self::File);
        repository_of(pattern, path).map(Self::Repository).or_else(file)
    }

    /// Returns the node that answers requests about it. `None` if it does not exist, the cache does
    /// not answer, or the caller may not read a file: the handler refuses the request then.
    async fn place(self, services: &Arc<Services>, request: &HttpRequest) -> Option<StoragePlace> {
        match self {
            Self::Repository(at) => storage_of(services, at).await,
            Self::File(id) => {
                // Before the database is read: a client without credentials costs no read.
                let who = viewer(request).await.ok()?;
                let node = Some(services.node_of_file(who, id).await?);
                let commit_no = services.cache.ask_anonymously(AppliedCommit).await.ok()?;
                Some(StoragePlace { node, commit_no })
            }
        }
    }
}

async fn local<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    Ok(next.call(request).await?.map_into_left_body())
}

/// The innermost layer: forwards a request about a repository or a file of another node, and passes
/// all other requests on.
pub async fn forward<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let route = request.extensions().get::<Route>().cloned().unwrap_or_default().0;
    let at = route.as_deref().and_then(|route| Subject::of(route, request.path()));
    let proxy = request.app_data::<web::Data<Proxy>>().cloned();
    let services = request.app_data::<web::Data<Services>>().cloned();
    let (Some(route), Some(at), Some(proxy), Some(services)) = (route, at, proxy, services) else {
        return local(request, next).await;
    };
    let hop = request.extensions().get::<Hop>().cloned();
    if let Some(hop) = hop {
        // Whatever this node knows of the repository, the request ends here.
        if !proxy.catch_up(&services, hop.commit_no).await {
            return Ok(behind(request));
        }
        return local(request, next).await;
    }
    let place = at.place(&services, request.request()).await;
    let Some(StoragePlace { node: Some(node), commit_no }) = place.filter(|place| !place.is(&proxy.own.name))
    else {
        return local(request, next).await;
    };
    let (Some((link, held)), Some(head)) =
        (proxy.reach(&request, &node).await, proxy.head_of(&request, &node, commit_no))
    else {
        return local(request, next).await;
    };
    let payload = payload_of(&mut request);
    let (has_body, tried) = (payload.is_some(), (held.number, held.run));
    match send(link, head, payload, proxy.patience(&route), held).await {
        Ok(response) => {
            proxy.metrics.count(Outcome::Answered);
            Ok(request.into_response(response).map_into_right_body())
        }
        Err(error) => {
            proxy.failed(&node, tried, &error);
            if !has_body {
                return local(request, next).await;
            }
            Ok(match of_broken_exchange(&route, &node) {
                Refusal::InProtocol(response) => request.into_response(*response).map_into_right_body(),
                Refusal::Http(error) => refused(request, error),
            })
        }
    }
}

/// Returns the storage node of the repository.
async fn storage_of(services: &Arc<Services>, at: RepositoryPath) -> Option<StoragePlace> {
    let query = StorageOf { owner: at.user, project: at.project, repository: at.repo };
    services.cache.ask_anonymously(query).await.ok()
}

/// Takes the body of the request, if it has one.
fn payload_of(request: &mut ServiceRequest) -> Option<Payload> {
    let length = request.headers().get(CONTENT_LENGTH);
    let has_body =
        length.is_some_and(|length| length != "0") || request.headers().contains_key(TRANSFER_ENCODING);
    has_body.then(|| request.take_payload())
}

/// Answers that this node is behind. The forwarding node then answers its client as if this one
/// could not be reached: a stranger does not learn that the repository exists.
fn behind<B: MessageBody + 'static>(request: ServiceRequest) -> ServiceResponse<EitherBody<B>> {
    let mut response = HttpResponse::ServiceUnavailable().insert_header((HOP_NAME, BEHIND)).finish();
    response.extensions_mut().insert(AsSent);
    request.into_response(response).map_into_right_body()
}

fn refused<B: MessageBody + 'static>(
    request: ServiceRequest,
    error: HttpError,
) -> ServiceResponse<EitherBody<B>> {
    let response: HttpResponse = HttpResponse::from_error(error);
    request.into_response(response).map_into_right_body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_from_the_route() {
        assert_eq!(file_of("/api/files/{id}", "/api/files/7"), Some(FileId(7)));
        assert_eq!(file_of("/api/files/{id}/upload", "/api/files/7/upload"), Some(FileId(7)));
        assert_eq!(file_of("/api/files/{id}", "/api/files/x"), None);
        assert_eq!(file_of("/api/chats/{id}/files", "/api/chats/7/files"), None);
    }

    #[test]
    fn repository_is_read_from_the_route() {
        let of = |pattern: &str, path: &str| {
            repository_of(pattern, path).map(|at| format!("{} {} {}", at.user, at.project, at.repo))
        };
        let git = "/{user}/{project}/{repo}/info/refs";
        assert_eq!(of(git, "/alice/hello/web.git/info/refs").as_deref(), Some("alice hello web"));
        let api = "/api/projects/{user}/{project}/repos/{repo}/raw/{ref}/{path:.*}";
        assert_eq!(of(api, "/api/projects/a/b/repos/%63/raw/main/x/y").as_deref(), Some("a b c"));
        let lfs = "/{user}/{project}/{repo}/info/lfs/objects/{oid}";
        assert_eq!(of(lfs, "/a/b/c.git/info/lfs/objects/00ff").as_deref(), Some("a b c"));
        assert_eq!(of("/{user}/{project}/{repo}", "/a/b/c").as_deref(), Some("a b c"));
        assert_eq!(of("/{user}/{project}", "/a/b"), None);
        assert_eq!(
            of("/api/projects/{user}/{project}/repos/{repo}/visitors", "/api/projects/a/b/repos/c/visitors"),
            None
        );
    }
}
