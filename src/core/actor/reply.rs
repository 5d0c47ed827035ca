//! Replies: carry the answer of an actor to its caller. Every caller receives exactly one.

use tokio::sync::oneshot;

/// The actor dropped the request unanswered: it panicked or has ended. The outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer was lost")]
pub struct ReplyDropped;

/// Calls back exactly once: with the answer, or with [`ReplyDropped`] when it is dropped.
///
/// The callback runs on the answering actor's thread. It may move values, send on channels and push
/// bytes into an outbox, and must not block.
pub struct Reply<T, E: From<ReplyDropped>> {
    callback: Option<Callback<T, E>>,
}

type Callback<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

impl<T: Send + 'static, E: From<ReplyDropped> + Send + 'static> Reply<T, E> {
    pub fn call(callback: impl FnOnce(Result<T, E>) + Send + 'static) -> Self {
        Self { callback: Some(Box::new(callback)) }
    }

    /// Returns a reply that is awaited. A dropped receiver is not an error: its caller has left.
    pub fn channel() -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (sender, receiver) = oneshot::channel();
        (Self::call(move |answer| drop(sender.send(answer))), receiver)
    }
}

impl<T, E: From<ReplyDropped>> Reply<T, E> {
    pub fn send(mut self, answer: Result<T, E>) {
        if let Some(callback) = self.callback.take() {
            callback(answer);
        }
    }
}

impl<T, E: From<ReplyDropped>> Drop for Reply<T, E> {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            callback(Err(ReplyDropped.into()));
        }
    }
}
