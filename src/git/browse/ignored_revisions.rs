//! Reads `.git-blame-ignore-revs`: the commits that a blame may skip, such as those that only
//! format the code (git-blame, `--ignore-revs-file`).

use git2::ObjectType;

use super::path::MODE_LINK;
use super::{BrowseError, Browser, Oid};

/// The file at the root of a repository, by convention of git hosts.
const FILE: &str = ".git-blame-ignore-revs";
/// Maximum size of the file. A larger file is not used.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of ids, each of which is an argument of git. A file with more ids is not used.
const REVISIONS_MAX: usize = 1_000;

impl Browser {
    /// Returns the commits that the file names and that exist; empty if the file does not exist or
    /// is too large.
    pub fn ignored_revisions(&self, commit: Oid) -> Result<Vec<Oid>, BrowseError> {
        let commit = self.find_commit(commit.raw())?;
        let (_, place) = self.find_path(&commit, FILE)?;
        let Some(place) = place.filter(|place| place.mode != MODE_LINK) else { return Ok(Vec::new()) };
        let is_small = self.blob_size(place.oid).is_some_and(|bytes| bytes <= FILE_BYTES_MAX);
        let listed = if is_small { parse(&self.read_blob(place.oid, FILE_BYTES_MAX)?) } else { Vec::new() };
        // git refuses an id that is not the id of a commit.
        let mut commits = Vec::with_capacity(listed.len());
        for oid in listed {
            match self.look_up(oid.raw(), "commit") {
                Ok(stored) if stored.kind == ObjectType::Commit => commits.push(oid),
                Ok(_) | Err(BrowseError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(commits)
    }
}

/// Returns the object ids in the file. Text after `#` is a comment; lines without a full id are
/// skipped.
fn parse(text: &[u8]) -> Vec<Oid> {
    let id = |line: &[u8]| {
        let id = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        std::str::from_utf8(id).ok().and_then(Oid::parse)
    };
    let found: Vec<_> =
        text.split(|byte| *byte == b'\n').filter_map(id).take(REVISIONS_MAX.saturating_add(1)).collect();
    if found.len() > REVISIONS_MAX { Vec::new() } else { found }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{FILE as MODE_FILE, Files, SampleRepository, files};
    use super::*;

    #[test]
    fn ignored_revisions_are_existing_commits_of_the_file() {
        let sample = SampleRepository::new();
        let root = sample.commit(&[], &files(&[("a", "1\n")]));
        let blob = sample.blob(b"1\n");
        let text = format!(
            "# formatting\n{root} # all of it\n\r\n{}\n{blob}\nHEAD\n--output=x\n{}\r\n",
            "1".repeat(40),
            root.to_string().to_uppercase(),
        );
        let head = sample.commit(&[root], &files(&[(FILE, &text)]));
        assert_eq!(sample.browser().ignored_revisions(head), Ok(vec![root, root]));
        assert_eq!(sample.browser().ignored_revisions(root), Ok(Vec::new()));
    }

    #[test]
    fn ignored_revisions_are_not_used_above_their_limits() {
        let sample = SampleRepository::new();
        let root = sample.commit(&[], &files(&[("a", "1\n")]));
        let count = |lines: String| {
            let head = sample.commit(&[root], &files(&[(FILE, &lines)]));
            sample.browser().ignored_revisions(head).unwrap().len()
        };
        let line = format!("{root}\n");
        assert_eq!(count(line.repeat(REVISIONS_MAX)), REVISIONS_MAX);
        assert_eq!(count(line.repeat(REVISIONS_MAX + 1)), 0);
        assert_eq!(count(format!("{line}{}", "#".repeat(FILE_BYTES_MAX))), 0);
    }

    #[test]
    fn folder_or_link_with_that_name_ignores_nothing() {
        let sample = SampleRepository::new();
        let folder = files(&[(".git-blame-ignore-revs/x", "1\n")]);
        let link: Files = [(FILE.to_owned(), (MODE_LINK, b"a".to_vec()))].into();
        let plain: Files = [("a".to_owned(), (MODE_FILE, Vec::new()))].into();
        for files in [folder, link, plain] {
            let head = sample.commit(&[], &files);
            assert_eq!(sample.browser().ignored_revisions(head), Ok(Vec::new()));
        }
    }
}
