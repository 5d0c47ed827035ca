//! A request of `git archive --remote` (git-upload-archive).
//!
//! Accepts only the arguments that select the content and format of the archive. Other arguments
//! could run a program, or read data outside of the commit.

use bytes::BytesMut;

use super::browse::path_text;
use super::pkt_line::{self, Line};
use super::program::ArchiveFormat;

/// Maximum number of arguments; git has the same limit.
const ARGUMENTS_MAX: usize = 62;
/// Maximum length of the prefix of all paths in the archive.
const PREFIX_BYTES_MAX: usize = 1024;

/// The parsed request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Archive(ArchiveRequest),
    /// The list of supported formats.
    Formats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRequest {
    pub format: ArchiveFormat,
    pub prefix: String,
    /// A ref name or an object id.
    pub reference: String,
    /// The folder of the commit to archive, as [`path_text`]; empty for the whole tree.
    pub folder: String,
    /// Files and folders within `folder`, as [`path_text`]; empty for all.
    pub paths: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveRequestError {
    #[error("the request is not in pkt-line format")]
    Malformed,
    #[error("the prefix and the name of a ref must be UTF-8")]
    NotUtf8,
    #[error("the request has more than {ARGUMENTS_MAX} arguments")]
    TooMany,
    #[error("{0} is not supported by this server")]
    Unknown(String),
    #[error("{0} requires a value")]
    NoValue(String),
    #[error("the format must be one of tar, tgz, tar.gz and zip")]
    Format,
    #[error("the prefix must have at most {PREFIX_BYTES_MAX} bytes and no control characters")]
    Prefix,
    #[error("the request names no branch, tag or commit")]
    NoReference,
}

impl Asked {
    /// Parses all pkt-lines of a request.
    ///
    /// # Errors
    /// The request is malformed, or it uses an argument or value that is not supported.
    pub fn parse(request: &[u8]) -> Result<Self, ArchiveRequestError> {
        Self::of(&arguments(request)?)
    }

    fn of(arguments: &[String]) -> Result<Self, ArchiveRequestError> {
        let mut words = arguments.iter().map(String::as_str);
        let (mut format, mut prefix, mut names) = (ArchiveFormat::Tar, String::new(), Vec::new());
        while let Some(word) = words.next() {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let mut value = || {
                let value = value.or_else(|| words.next());
                value.ok_or_else(|| ArchiveRequestError::NoValue(name.to_owned()))
            };
            match name {
                "--format" => {
                    format = ArchiveFormat::from_name(value()?).ok_or(ArchiveRequestError::Format)?
                }
                "--prefix" => prefix = utf8(value()?)?,
                "-l" | "--list" => return Ok(Self::Formats),
                // Ignored: the server chooses the compression level and reads no attributes.
                "-v"
                | "--verbose"
                | "--worktree-attributes"
                | "-0"
                | "-1"
                | "-2"
                | "-3"
                | "-4"
                | "-5"
                | "-6"
                | "-7"
                | "-8"
                | "-9" => {}
                "--" => {
                    names.extend(words.by_ref());
                }
                name if name.starts_with('-') => {
                    return Err(ArchiveRequestError::Unknown(name.chars().take(40).collect()));
                }
                _ => names.push(word),
            }
        }
        if prefix.len() > PREFIX_BYTES_MAX || prefix.chars().any(char::is_control) {
            return Err(ArchiveRequestError::Prefix);
        }
        let mut names = names.into_iter();
        let tree = names.next().ok_or(ArchiveRequestError::NoReference)?;
        let (reference, folder) = tree.split_once(':').unwrap_or((tree, ""));
        Ok(Self::Archive(ArchiveRequest {
            format,
            prefix,
            reference: utf8(reference)?,
            folder: folder.trim_end_matches('/').to_owned(),
            paths: names.map(|path| path.trim_end_matches('/').to_owned()).collect(),
        }))
    }
}

/// Decodes an argument that is not a path and must be UTF-8.
fn utf8(escaped: &str) -> Result<String, ArchiveRequestError> {
    String::from_utf8(path_text::unescaped(escaped).into_owned()).map_err(|_| ArchiveRequestError::NotUtf8)
}

/// Returns the arguments as [`path_text`]: git sends paths as bytes in any encoding.
fn arguments(request: &[u8]) -> Result<Vec<String>, ArchiveRequestError> {
    let (mut rest, mut found) = (BytesMut::from(request), Vec::new());
    loop {
        match pkt_line::take(&mut rest).map_err(|_| ArchiveRequestError::Malformed)? {
            Some(Line::Flush) => return Ok(found),
            Some(Line::Data(line)) => {
                let argument = line.strip_prefix(b"argument ").ok_or(ArchiveRequestError::Malformed)?;
                let argument = argument.strip_suffix(b"\n").unwrap_or(argument);
                if found.len() >= ARGUMENTS_MAX {
                    return Err(ArchiveRequestError::TooMany);
                }
                found.push(path_text::escaped(argument));
            }
            None => return Err(ArchiveRequestError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Asked, ArchiveRequestError> {
        let mut lines = BytesMut::new();
        for argument in arguments {
            pkt_line::put(&mut lines, format!("argument {argument}\n").as_bytes());
        }
        lines.extend_from_slice(pkt_line::FLUSH);
        Asked::parse(&lines)
    }

    #[test]
    fn archive_request_parses_content_and_format_arguments() {
        let asked = of(&["--format=zip", "-v", "-9", "--prefix", "a/", "main:src", "--", "x/", "-y"]);
        let paths = vec!["x".to_owned(), "-y".to_owned()];
        let expected = ArchiveRequest {
            format: ArchiveFormat::Zip,
            prefix: "a/".to_owned(),
            reference: "main".to_owned(),
            folder: "src".to_owned(),
            paths,
        };
        assert_eq!(asked, Ok(Asked::Archive(expected)));
        let Ok(Asked::Archive(plain)) = of(&["HEAD"]) else { panic!("it is a request") };
        assert_eq!((plain.format, plain.paths.len()), (ArchiveFormat::Tar, 0));
        assert_eq!(of(&["--list"]), Ok(Asked::Formats));
    }

    /// Paths are bytes; `%` in a path is literal, as in git.
    #[test]
    fn archive_request_accepts_non_utf_8_paths_but_not_refs() {
        let parsed = |arguments: &[&[u8]]| {
            let mut lines = BytesMut::new();
            for argument in arguments {
                pkt_line::put(&mut lines, &[b"argument ", *argument, b"\n"].concat());
            }
            lines.extend_from_slice(pkt_line::FLUSH);
            Asked::parse(&lines)
        };
        let asked = parsed(&[b"--prefix=%E9/", b"main:d\xfcr", b"caf\xe9", b"caf%E9", b"100%"]);
        let Ok(Asked::Archive(asked)) = asked else { panic!("{asked:?}") };
        assert_eq!((asked.prefix.as_str(), asked.folder.as_str()), ("%E9/", "d%FCr"));
        assert_eq!(asked.paths, ["caf%E9", "caf%25E9", "100%"]);
        for bad in [&[&b"\xff"[..]][..], &[b"--prefix=\xff", b"main"]] {
            assert_eq!(parsed(bad), Err(ArchiveRequestError::NotUtf8));
        }
    }

    #[test]
    fn archive_request_rejects_unsupported_arguments() {
        for bad in
            ["--output=/tmp/x", "--exec=x", "--remote=x", "--add-file=/etc/passwd", "--mtime=1", "-o", "-"]
        {
            assert!(matches!(of(&[bad, "HEAD"]), Err(ArchiveRequestError::Unknown(_))), "{bad}");
        }
        assert_eq!(of(&["--format=rar", "HEAD"]), Err(ArchiveRequestError::Format));
        assert_eq!(of(&["--prefix=\u{1b}", "HEAD"]), Err(ArchiveRequestError::Prefix));
        assert_eq!(of(&["--prefix"]), Err(ArchiveRequestError::NoValue("--prefix".to_owned())));
        assert_eq!(of(&[]), Err(ArchiveRequestError::NoReference));
        assert_eq!(of(&vec!["x"; 63]), Err(ArchiveRequestError::TooMany));
        for bad in [&b"zzzz"[..], b"", b"0009x\n000", b"0007abc0000", b"000eargument \xff0000"] {
            assert!(Asked::parse(bad).is_err(), "{bad:?}");
        }
    }
}
