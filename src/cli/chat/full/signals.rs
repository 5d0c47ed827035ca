//! Signals that end, stop, continue or resize the client.

use std::task::{Context, Poll};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signalled {
    End,
    /// Ctrl-Z of another terminal, or `kill -TSTP`.
    Stop,
    Continue,
    Resize,
}

/// The signals that the client handles from its start on.
pub(super) struct Signals(Vec<(Signal, Signalled)>);

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let kinds = [
            (SignalKind::terminate(), Signalled::End),
            (SignalKind::hangup(), Signalled::End),
            (SignalKind::interrupt(), Signalled::End),
            (SignalKind::quit(), Signalled::End),
            (SignalKind::from_raw(Number::TSTP.as_raw()), Signalled::Stop),
            (SignalKind::from_raw(Number::CONT.as_raw()), Signalled::Continue),
            (SignalKind::window_change(), Signalled::Resize),
        ];
        let signals = kinds.into_iter().map(|(kind, meaning)| Ok((signal(kind)?, meaning)));
        signals.collect::<std::io::Result<_>>().map(Self)
    }

    /// Returns the next signal. Cancel safe.
    pub(super) async fn next(&mut self) -> Signalled {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Signalled> {
        for (signal, meaning) in &mut self.0 {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(*meaning);
            }
        }
        Poll::Pending
    }

    /// Returns when a signal ends the client.
    pub(super) async fn end(&mut self) {
        while self.next().await != Signalled::End {}
    }
}

/// Stops the process until it is continued.
pub(super) fn stop() {
    // Without a process to stop, the client goes on.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Number::STOP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_have_their_meaning() {
        let mut signals = Signals::new().unwrap();
        for (number, meaning) in [
            (Number::CONT, Signalled::Continue),
            (Number::WINCH, Signalled::Resize),
            (Number::HUP, Signalled::End),
            (Number::TERM, Signalled::End),
        ] {
            rustix::process::kill_process(rustix::process::getpid(), number).unwrap();
            assert_eq!(signals.next().await, meaning);
        }
    }
}
