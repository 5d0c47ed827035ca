//! Images of a repository, for pages that show them.

use super::browsing::RawFile;
use super::{RepositoryView, ServiceError, Services};
use crate::domain::access::Credential;
use crate::domain::image::{ImageKind, PREFIX_BYTES_MAX, image_kind};
use crate::git::browse::Oid;

/// A file that is an image, and its bytes.
pub struct Image {
    pub kind: ImageKind,
    pub file: RawFile,
}

impl Services {
    /// Returns a file if it is an image, with the limits of [`Services::raw`]; `None` for any other
    /// file. Its content decides, not its name. A large file is sent only while the caller may read
    /// the repository.
    pub async fn image(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        commit: Oid,
        path: String,
    ) -> Result<Option<Image>, ServiceError> {
        let file = self.raw(who, view, commit, path).await?;
        let (kind, is_text) = match &file {
            RawFile::Small { bytes, is_text } => (image_kind(bytes), *is_text),
            RawFile::Large(spooled) => {
                (image_kind(&spooled.first_bytes(PREFIX_BYTES_MAX).await?), spooled.is_text)
            }
        };
        let kind = kind.filter(|kind| *kind != ImageKind::Svg || is_text);
        Ok(kind.map(|kind| Image { kind, file }))
    }
}
