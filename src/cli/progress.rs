//! Progress bar on a terminal; shows nothing without a terminal.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::backup::BackupProgress;

/// Progress bar on standard error; shows one part of the work after the other.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Whether steps are counted in bytes.
    bytes: bool,
}

impl Bar {
    /// `bytes`: steps of parts with a known size are counted in bytes.
    pub(super) fn new(bytes: bool) -> Self {
        Self { bar: ProgressBar::no_length(), bytes }
    }

    pub(super) fn show(&mut self, progress: BackupProgress<'_>) {
        match progress {
            BackupProgress::Begin(what, total) => {
                self.bar.finish_and_clear();
                self.bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
                let template = match (total, self.bytes) {
                    (0, _) => "{spinner} {msg}",
                    (_, true) => "{msg:>14} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}",
                    (_, false) => "{msg:>14} [{bar:30}] {pos} of {len}",
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    self.bar.set_style(style);
                }
                self.bar.set_message(Cow::Owned(what.to_owned()));
                self.bar.enable_steady_tick(Duration::from_millis(100));
            }
            BackupProgress::Done(steps) => self.bar.inc(steps),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
