//! The work that turns contents of a repository into a page.

use super::{RepositoryView, ServiceError, Services};

impl Services {
    /// Runs the work of a page on a blocking thread, with a permit for reading: highlighting a file
    /// takes longer than reading it.
    pub async fn paint<T: Send + 'static>(
        &self,
        view: &RepositoryView,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.git.blocking(view.client(), work).await
    }
}
