//! Acknowledged data survives whatever ends the process, the disk or the power. The tests are
//! grouped by what fails.
//!
//! Each test begins with its story. `docs/SECURITY-TESTS.md` lists the tests next to the properties
//! that they show.

mod clock;
mod cursors;
mod damage;
mod fail_points;
mod fan_out;
mod files;
pub(crate) mod history;
pub(crate) mod kills;
mod lfs;
mod panics;
pub(crate) mod postgres;
mod power_cut;
mod soak;
