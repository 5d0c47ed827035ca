//! Some sessions stop reading while others send. No other session may lose an event, and the memory
//! of the server stays within its bounds. Runs the scenario [`messages`](crate::messages).

use std::time::Duration;

use super::{Compared, Outcome, Plan, Scenario};
use crate::messages::Messages;
use crate::servers::{SeededServer, Setup};

/// Maximum growth of the server without slow readers.
const GROWTH_MAX_KIB: u64 = 256 * 1024;
/// Additional growth for each slow reader: twice its outbox.
const GROWTH_MAX_EACH_KIB: u64 = 2 * 1024;
/// Time limit of a run, far longer than it takes.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct SlowReaders {
    pub(crate) slow: usize,
}

impl Scenario for SlowReaders {
    fn name(&self) -> String {
        format!("slow_readers/{}", self.slow)
    }

    fn plan(&self) -> Plan {
        Plan {
            // The outboxes of the floor are unbounded: it would buffer everything for the slow
            // readers.
            has_floor: false,
            needs_own_server: true,
            ..Plan::new(Setup { users: 1, ..Setup::default() }, Compared::Rate)
        }
    }

    async fn round(&self, server: &SeededServer, _: Duration) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new()?;
        server.process()?.reset_peak();
        let before = server.memory()?;
        let url = format!("http://{}", server.http);
        outcome.begin();
        let report = Messages::with_slow_readers(self.slow).run(Some(&url), TIMEOUT).await?;
        let after = server.memory()?;
        outcome.done(u64::try_from(report.messages)?);
        let grown = after.peak_kib.saturating_sub(before.resident_kib);
        let most = GROWTH_MAX_KIB + GROWTH_MAX_EACH_KIB * u64::try_from(self.slow)?;
        outcome.check(grown <= most, || format!("the server grew by {grown} KiB, more than {most} KiB"));
        for error in report.errors.iter().chain(report.faults.first()) {
            outcome.wrong(|| error.clone());
        }
        outcome.check(report.ok(), || "a reading session lost events".to_owned());
        outcome.notes.extend(report.rows.iter().map(|(name, value)| format!("{name}: {value}")));
        outcome.notes.push(format!("the server grew by at most {} MiB", grown / 1024));
        Ok(outcome)
    }
}
