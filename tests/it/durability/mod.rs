//! What was acknowledged is there, whatever ends the process, the disk or the power: by what breaks.
//!
//! Each test begins with its story. `docs/SECURITY-TESTS.md` lists them beside what they show.

mod clock;
mod cursors;
mod damage;
mod fail_points;
mod fan_out;
mod history;
mod kills;
mod panics;
mod power_cut;
mod soak;
