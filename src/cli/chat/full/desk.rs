//! REST requests and attempts to connect, one at a time.
//!
//! Invariant: the tokens ([`Rest`]) have one owner, the running work, because a refresh token may
//! be used only once.

use std::pin::Pin;

use serde_json::Value;

use super::model::{Call, Then};
use crate::cli::chat::attach::{Fault, Step};
use crate::cli::chat::link::{Wire, open_once};
use crate::cli::chat::rest::{Rest, RestError};
use crate::protocol::answer::ReceivedPacket;

/// Result of an attempt to connect; `Ok(None)`: the login is not valid any more.
pub(super) type Attempt = Result<Option<(Box<Wire>, Box<ReceivedPacket>)>, String>;

pub(super) enum Done {
    Answer(Then, Result<Value, RestError>),
    Attempt(Box<Attempt>),
    Attached(Result<Value, Fault>),
}

type Work = Pin<Box<dyn Future<Output = (Rest, Done)>>>;

pub(super) struct Desk {
    host: String,
    /// `None` while work is running.
    rest: Option<Rest>,
    work: Option<Work>,
}

impl Desk {
    pub(super) fn new(rest: Rest, host: String) -> Self {
        Self { host, rest: Some(rest), work: None }
    }

    pub(super) fn is_free(&self) -> bool {
        self.rest.is_some()
    }

    pub(super) fn ask(&mut self, call: Call) {
        let Some(mut rest) = self.rest.take() else { return };
        self.work = Some(Box::pin(async move {
            let answer = rest.ask::<Value>(call.method, &call.path, call.body.as_ref()).await;
            (rest, Done::Answer(call.then, answer))
        }));
    }

    pub(super) fn attach(&mut self, step: Step) {
        let Some(mut rest) = self.rest.take() else { return };
        self.work = Some(Box::pin(async move {
            let answer = step.run(&mut rest).await;
            (rest, Done::Attached(answer))
        }));
    }

    pub(super) fn connect(&mut self) {
        let Some(mut rest) = self.rest.take() else { return };
        let host = self.host.clone();
        self.work = Some(Box::pin(async move {
            let attempt = open_once(&mut rest, &host).await;
            (rest, Done::Attempt(Box::new(attempt)))
        }));
    }

    /// Returns the result of the running work. Cancel safe.
    pub(super) async fn next(&mut self) -> Done {
        match &mut self.work {
            Some(work) => {
                let (rest, done) = work.await;
                self.work = None;
                self.rest = Some(rest);
                done
            }
            None => std::future::pending().await,
        }
    }
}
