//! Limits of the background maintenance of repositories.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Pushes to a repository after which it is packed again in the background. A push leaves at
    /// most one pack, and git itself packs again above 50 packs (`gc.autoPackLimit`).
    maintenance_pushes: i64 = 50,
    /// Interval of the background search for repositories to pack, pushes to settle and trash. A
    /// choice: work that is known to be due starts at once.
    maintenance_ms: u64 = 30_000,
}}}
pub(super) use add_limits;
