//! How the process takes memory from the kernel.

use tracing::debug;

/// The allocator asks for pages of 2 MiB, of which a server at rest uses a few percent each: that is tens of MiB that
/// nobody needs. From here on there are only small ones, also for the children. Called before anything allocates much.
pub fn take_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        debug!(%error, "huge pages could not be switched off: the process takes more memory than it needs");
    }
}
