//! The command `git archive`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::{EMPTY_TREE, Git};
use crate::git::browse::path_text;
use crate::git::child::GitCommand;

/// The part of a commit that an archive contains. Paths are encoded as in [`path_text`].
#[derive(Debug, Default)]
pub struct ArchivePart {
    /// Prefix of all paths in the archive.
    pub prefix: String,
    /// The folder of the commit to archive; empty for the whole tree.
    pub folder: String,
    /// Paths within `folder`; empty for all.
    pub paths: Vec<String>,
}

/// The format of an archive. git also does the compression, including gzip (since 2.38).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    Tar,
    TarGz,
    Zip,
}

impl ArchiveFormat {
    /// The names that `git archive --list` prints.
    pub const NAMES: [(&str, Self); 4] =
        [("tar", Self::Tar), ("tgz", Self::TarGz), ("tar.gz", Self::TarGz), ("zip", Self::Zip)];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Returns the suffix of the file name, which is also git's name of the format.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }
}

impl Git {
    /// Returns `git archive` of a commit, which is named by its object id.
    ///
    /// Attributes of the tree are ignored: `working-tree-encoding` would run iconv, `export-subst`
    /// would expand a message into every file, and `export-ignore` would omit files.
    /// `--worktree-attributes` makes git read attributes from a working tree, which does not exist.
    /// git then also builds no index of the whole tree, which would take 150 bytes per file. In git
    /// 2.43 to 2.45, a bare repository would use `HEAD` instead; there the empty tree takes its
    /// place. Large files are streamed unless they are stored as deltas.
    pub fn archive(
        &self,
        repository: &Path,
        commit: &str,
        format: ArchiveFormat,
        ArchivePart { prefix, folder, paths }: &ArchivePart,
    ) -> GitCommand {
        let tree = if folder.is_empty() { commit.to_owned() } else { format!("{commit}:{folder}") };
        let mut command = self.at(repository, self.reader());
        command.env("GIT_ATTR_SOURCE", EMPTY_TREE);
        command.set("tar.umask=0022").set("core.bigFileThreshold=1m");
        let format = format.suffix();
        command
            .args(["archive", "--worktree-attributes"])
            .arg(format!("--format={format}"))
            .arg(format!("--prefix={prefix}"));
        let bytes = |text: &str| OsString::from_vec(path_text::unescaped(text).into_owned());
        command.arg(bytes(&tree)).arg("--").args(paths.iter().map(|path| bytes(path)));
        command
    }
}
