//! Requests an answer of this node at the address that other nodes use for it, until it arrives.
//!
//! A wrong `cluster.address` does not stop the node: it may be right for the other nodes, and the
//! node serves all but its repositories without it.
//!
//! The layer [`accept`](super::accept) answers, only to the holders of the key that nodes share.
//! The node that receives the request answers with its name, so that the log of this one can show
//! which it is.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::HttpResponse;
use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::Request;
use hyper::header::{HOST, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::hop::{HOP_NAME, Hop, HopKey, Signed, credentials};
use super::link::connect;
use crate::core::limits::Limits;
use crate::core::node_address::NodeAddress;
use crate::core::telemetry::chain;
use crate::core::trust::Trust;
use crate::domain::node::NodeName;
use crate::services::OwnAddress;

/// The path of the request.
pub(super) const PATH: &str = "/api/node";
/// The name of the receiver in the header of the request: any node. No node has an empty name.
pub(super) const ANY_NODE: &str = "";
/// Pause between two requests.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after the first request, whose failure is not shown: the name of a node that starts may
/// not be published yet.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// How long an answer may take, after the connection.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Maximum size of an answer.
const ANSWER_BYTES: usize = 4096;

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProcess {
    pub name: NodeName,
    /// A random text of the process.
    pub instance: String,
}

impl NodeProcess {
    /// Answers the request.
    pub(super) fn answer(&self) -> HttpResponse {
        HttpResponse::Ok().json(self)
    }
}

/// The reason why an address does not lead to this node.
#[derive(Debug, thiserror::Error)]
enum Elsewhere {
    #[error("cluster.address is not set")]
    Unknown,
    #[error("no connection: {0}")]
    Unreachable(#[from] io::Error),
    #[error("no answer within {} s", ANSWER_MAX.as_secs())]
    Silent,
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer is not that of a node of this database (status {0})")]
    Stranger(u16),
    #[error("node {0} answers")]
    OtherNode(NodeName),
    #[error("another process of this name answers")]
    OtherProcess,
}

/// The task that requests the answer. See the [module](self).
pub struct OwnAddressCheck {
    /// Empty: unknown.
    address: String,
    own: NodeProcess,
    key: HopKey,
    connect: Duration,
    trust: OnceLock<Trust>,
    found: OwnAddress,
}

impl OwnAddressCheck {
    /// `signing_key`: the key of all nodes. Returns `None` if it cannot be used.
    pub fn new(
        address: String,
        own: NodeProcess,
        signing_key: &[u8],
        limits: &Limits,
        found: OwnAddress,
    ) -> Option<Self> {
        let connect = Duration::from_millis(limits.proxy_connect_ms);
        Some(Self { address, own, key: HopKey::new(signing_key)?, connect, trust: OnceLock::new(), found })
    }

    /// Runs until this node has answered.
    pub async fn run(self) {
        let mut outcome = self.request().await;
        if outcome.is_err() {
            tokio::time::sleep(FIRST_PAUSE).await;
            outcome = self.request().await;
        }
        while let Err(problem) = outcome {
            if self.found.set(Some(chain(&problem).to_string())) {
                warn!(
                    address = self.address,
                    problem = %chain(&problem),
                    "other nodes may not reach the repositories of this node: check cluster.address"
                );
            }
            if matches!(problem, Elsewhere::Unknown) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            outcome = self.request().await;
        }
        self.found.set(None);
        info!(address = self.address, "this node is reached at its address");
    }

    async fn request(&self) -> Result<(), Elsewhere> {
        let Some(address) = NodeAddress::parse(&self.address) else { return Err(Elsewhere::Unknown) };
        let mut link = connect(&address, &self.trust, self.connect).await?;
        let answered = tokio::time::timeout(ANSWER_MAX, async {
            let answer = link.sender.send_request(self.head(&address)?).await?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            let stranger = |_| Elsewhere::Stranger(status);
            let body = body.map_err(|_| Elsewhere::Stranger(status))?.to_bytes();
            serde_json::from_slice::<NodeProcess>(&body).map_err(stranger)
        });
        let found = answered.await.map_err(|_| Elsewhere::Silent)??;
        match found {
            found if found == self.own => Ok(()),
            found if found.name == self.own.name => Err(Elsewhere::OtherProcess),
            found => Err(Elsewhere::OtherNode(found.name)),
        }
    }

    /// Builds the request, which has no body.
    fn head(&self, address: &NodeAddress) -> Result<Request<super::link::Outgoing>, Elsewhere> {
        let hop = Hop { client: [0, 0, 0, 0].into(), is_https: address.is_encrypted, commit_no: 0 };
        let none = credentials(|_| std::iter::empty());
        let to = &NodeName::from(ANY_NODE);
        let signed = Signed { to, method: "GET", address: PATH, credentials: &none };
        let invalid =
            |error: &dyn std::error::Error| Elsewhere::Unreachable(io::Error::other(error.to_string()));
        let host = match address.host.contains(':') {
            true => format!("[{}]:{}", address.host, address.port),
            false => format!("{}:{}", address.host, address.port),
        };
        let code = self.key.sign(&hop, signed);
        Request::get(PATH)
            .header(HOST, HeaderValue::try_from(host).map_err(|error| invalid(&error))?)
            .header(
                HeaderName::from_static(HOP_NAME),
                HeaderValue::try_from(code).map_err(|error| invalid(&error))?,
            )
            .body(Either::Left(Empty::new()))
            .map_err(|error| invalid(&error))
    }
}
