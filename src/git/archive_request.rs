//! A request of `git archive --remote` (git-upload-archive): its arguments, of which those are taken that choose what is
//! packed and how. The rest would run something, or read what is not in the commit.

use bytes::BytesMut;

use super::browse::path_text;
use super::pkt_line::{self, Line};
use super::program::ArchiveFormat;

/// As git has it.
const ARGUMENTS_MAX: usize = 62;
/// The folder that everything is packed in.
const PREFIX_BYTES_MAX: usize = 1024;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Archive(ArchiveRequest),
    /// The names of the formats.
    Formats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRequest {
    pub format: ArchiveFormat,
    pub prefix: String,
    /// A name or an object id.
    pub reference: String,
    /// The folder of it that is packed, as [`path_text`]; empty for all.
    pub folder: String,
    /// Files and folders in that, as [`path_text`]; none for all.
    pub paths: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveRequestError {
    #[error("the request is not framed as git frames it")]
    Malformed,
    #[error("the prefix and the name of a ref must be UTF-8")]
    NotUtf8,
    #[error("more than {ARGUMENTS_MAX} arguments")]
    TooMany,
    #[error("{0} is not supported by this server")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("the format is one of tar, tgz, tar.gz and zip")]
    Format,
    #[error("the prefix may have {PREFIX_BYTES_MAX} bytes, without control characters")]
    Prefix,
    #[error("the request names no branch, tag or commit")]
    NoReference,
}

impl Asked {
    /// Reads the lines of a whole request.
    ///
    /// # Errors
    /// It is none, or asks for what is not served.
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
                // How it is packed is the server's choice.
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

/// An argument that is not a path.
fn utf8(escaped: &str) -> Result<String, ArchiveRequestError> {
    String::from_utf8(path_text::unescaped(escaped).into_owned()).map_err(|_| ArchiveRequestError::NotUtf8)
}

/// The arguments as [`path_text`]: git sends paths as bytes, in any encoding.
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
    fn arguments_choose_what_is_packed_and_how() {
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

    /// Paths are bytes; `%` in them stands for itself, as in git.
    #[test]
    fn paths_may_have_any_encoding_and_refs_may_not() {
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
    fn arguments_that_do_more_are_refused() {
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
