//! How the process takes memory from the kernel.

use tracing::debug;

/// Switches huge pages off for this process and its children.
///
/// The allocator requests pages of 2 MiB, of which an idle server uses a few percent each: tens of
/// MiB would be unused. Must be called before anything allocates much.
pub fn disable_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        debug!(%error, "huge pages could not be switched off: the process takes more memory than it needs");
    }
}
