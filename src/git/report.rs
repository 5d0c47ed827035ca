//! Messages that the server itself sends to a git client: reports of refusals, and lines of text.

use bytes::{Bytes, BytesMut};

use super::pkt_line::{self, Line, MalformedLine};
use super::push_request::{Declined, PushRequest};
use crate::domain::push::RefUpdate;

/// The side bands of the report and of text for users (gitprotocol-pack, "side-band").
pub(super) const REPORT_BAND: u8 = 1;
pub(super) const TEXT_BAND: u8 = 2;
/// The side band of an error, which ends the transfer.
pub(super) const ERROR_BAND: u8 = 3;

/// Returns text that `git push` prints after `remote: `, without control characters that could
/// affect a terminal.
pub fn text(lines: &str) -> Bytes {
    let plain: String = lines.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let mut output = BytesMut::new();
    pkt_line::put_band(&mut output, TEXT_BAND, plain.as_bytes());
    output.freeze()
}

/// Returns the line with the reason why a request is ended, which clones, fetches and
/// advertisements display (gitprotocol-pack, "Packet-Line Based ERR").
pub fn error_line(why: &str) -> Bytes {
    let mut output = BytesMut::new();
    pkt_line::put(&mut output, format!("ERR {}\n", one_line(why)).as_bytes());
    output.freeze()
}

/// Returns the reason on the error side band, for a push whose refs the server does not know.
pub fn error_band(why: &str) -> Bytes {
    let mut output = BytesMut::new();
    pkt_line::put_band(&mut output, ERROR_BAND, format!("{}\n", one_line(why)).as_bytes());
    output.extend_from_slice(pkt_line::FLUSH);
    output.freeze()
}

/// Returns the reason as a refusal of an archive (git-upload-archive).
pub fn nack(why: &str) -> Bytes {
    let mut output = BytesMut::new();
    pkt_line::put(&mut output, format!("NACK {}\n", one_line(why)).as_bytes());
    output.freeze()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns the report lines of the refs that were not forwarded to git.
pub fn declined(head: &PushRequest) -> Bytes {
    let mut lines = BytesMut::new();
    for Declined { name, why } in head.declined.iter().filter(|_| head.wants_report()) {
        put_refused(&mut lines, name, why);
    }
    lines.freeze()
}

fn put_refused(lines: &mut BytesMut, name: &[u8], why: &str) {
    pkt_line::put(lines, &[b"ng ", name, b" ", one_line(why).as_bytes(), b"\n"].concat());
}

/// Returns a complete answer that refuses every ref; `why` is called with each of them, in order.
pub fn refusal(head: &PushRequest, detail: Option<&str>, mut why: impl FnMut(&RefUpdate) -> String) -> Bytes {
    let mut report = BytesMut::new();
    if head.wants_report() {
        pkt_line::put(&mut report, b"unpack ok\n");
        for update in &head.updates {
            put_refused(&mut report, update.name.as_bytes(), &why(update));
        }
        report.extend_from_slice(&declined(head));
        report.extend_from_slice(pkt_line::FLUSH);
    }
    if !head.has_side_band() {
        return report.freeze();
    }
    let mut output = BytesMut::new();
    if let Some(detail) = detail {
        output.extend_from_slice(&text(&format!("{detail}\n")));
    }
    pkt_line::put_band(&mut output, REPORT_BAND, &report);
    output.extend_from_slice(pkt_line::FLUSH);
    output.freeze()
}

/// Returns the reason why a push of a single ref was refused, from a report without side bands;
/// `None` if the ref was updated.
///
/// # Errors
/// If the report is not complete.
pub fn refused_in(report: &[u8]) -> Result<Option<String>, MalformedLine> {
    let mut report = BytesMut::from(report);
    let mut unpacked = None;
    while let Some(Line::Data(line)) = pkt_line::take(&mut report)? {
        let line = String::from_utf8_lossy(&line);
        let mut words = line.trim_end().splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("unpack"), Some("ok"), None) => {}
            (Some("unpack"), why, more) => {
                unpacked = Some([why.unwrap_or_default(), more.unwrap_or_default()].join(" "));
            }
            (Some("ok"), ..) => return Ok(None),
            (Some("ng"), _, why) => return Ok(Some(unpacked.or(why.map(str::to_owned)).unwrap_or_default())),
            _ => return Err(MalformedLine),
        }
    }
    Err(MalformedLine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::push_request::PushRequestReader;

    fn head(capabilities: &str) -> PushRequest {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let mut bytes = BytesMut::new();
        pkt_line::put(&mut bytes, format!("{zero} {one} refs/heads/x\0{capabilities}").as_bytes());
        bytes.extend_from_slice(pkt_line::FLUSH);
        let mut reader = PushRequestReader::new(10, 4096);
        assert!(reader.feed(&bytes).unwrap());
        reader.finish().0
    }

    #[test]
    fn refusal_reports_each_ref() {
        let plain = refusal(&head("report-status"), Some("no"), |_| "protected branch".to_owned());
        assert_eq!(plain, "000eunpack ok\n0025ng refs/heads/x protected branch\n0000");
        let banded = refusal(&head("report-status side-band-64k"), Some("no"), |_| "why".to_owned());
        assert!(banded.starts_with(b"0008\x02no\n"));
        assert!(banded.ends_with(b"00000000"), "the flush of the report, then the flush of the answer");
    }

    #[test]
    fn report_of_a_single_ref_is_read() {
        let plain = refusal(&head("report-status"), None, |_| "protected branch: no".to_owned());
        assert_eq!(refused_in(&plain), Ok(Some("protected branch: no".to_owned())));
        assert_eq!(refused_in(b"000eunpack ok\n0014ok refs/heads/x\n0000"), Ok(None));
        let broken = b"0011unpack bad x\n0016ng refs/heads/x y\n0000";
        assert_eq!(refused_in(broken), Ok(Some("bad x".to_owned())));
        for incomplete in [&b""[..], b"0000", b"000eunpack ok\n", b"000eunpack ok\n0000", b"0006?\n"] {
            assert_eq!(refused_in(incomplete), Err(MalformedLine), "{incomplete:?}");
        }
    }

    #[test]
    fn error_is_a_single_line_without_control_characters() {
        assert_eq!(error_line("a\nb\u{1b}[31m"), "0011ERR a b [31m\n");
        assert_eq!(error_band("no\nplace"), "000e\x03no place\n0000");
    }

    #[test]
    fn text_contains_no_terminal_control_characters() {
        assert_eq!(text("a\u{1b}[31m\u{7}b\n"), "000c\x02a[31mb\n");
    }
}
