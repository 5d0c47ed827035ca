//! The last bound of a log line: no line is longer than [`LINE_BYTES_MAX`], whatever its event
//! holds.
//!
//! Call sites cut the values of clients themselves ([`cut`](super::cut)). This bound also covers
//! errors that embed input, events of libraries, and values that a call site does not cut.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, FormatEvent, FormatFields, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::cut::{LOGGED_BYTES_MAX, cut};

/// Bytes of one log line.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// Returns the JSON format without spans: [`Bounded`] adds their fields.
pub(super) fn flat_json() -> Format<Json> {
    format::format().json().flatten_event(true).with_current_span(false).with_span_list(false)
}

/// Formats an event as `inner` does. A line that is too long is cut and stays well-formed.
///
/// In JSON, the fields of the event's spans become fields of the line, so that a program finds an
/// id under the same key in every line.
pub(super) struct Bounded<F> {
    pub(super) inner: F,
    pub(super) json: bool,
}

impl<F, S, N> FormatEvent<S, N> for Bounded<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        if self.json {
            add_span_fields(context, &mut line);
        }
        if line.len() <= LINE_BYTES_MAX {
            writer.write_str(&line)
        } else if self.json {
            writeln!(writer, "{}", bounded_json(&line))
        } else {
            writeln!(writer, "{}", bounded_text(&line))
        }
    }
}

/// Adds the fields of the event's spans to a line of JSON. The event's own fields and those of
/// inner spans win.
fn add_span_fields<S, N>(context: &FmtContext<'_, S, N>, line: &mut String)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    for span in context.event_scope().into_iter().flatten() {
        let extensions = span.extensions();
        let Some(formatted) = extensions.get::<FormattedFields<N>>() else { continue };
        let fields: Map<String, Value> = serde_json::from_str(&formatted.fields).unwrap_or_default();
        for (name, value) in fields {
            let key = Value::from(name).to_string();
            // Quotes in values are escaped, so only a key matches.
            if !line.contains(&format!("{key}:")) && line.ends_with("}\n") {
                line.truncate(line.len() - "}\n".len());
                line.push_str(&format!(",{key}:{value}}}\n"));
            }
        }
    }
}

/// Returns the beginning of a line.
fn bounded_text(line: &str) -> String {
    let end = line.floor_char_boundary(LINE_BYTES_MAX.saturating_sub(64));
    let omitted = line.len().saturating_sub(end);
    format!("{}… ({omitted} bytes more)", line.get(..end).unwrap_or_default())
}

/// Returns the same object with cut texts, or only its main fields when it is still too long.
fn bounded_json(line: &str) -> String {
    let Ok(mut event) = serde_json::from_str::<Value>(line) else {
        return Value::from(bounded_text(line)).to_string();
    };
    cut_texts(&mut event);
    let text = event.to_string();
    if text.len() <= LINE_BYTES_MAX {
        return text;
    }
    let kept = ["timestamp", "level", "message", "target"].into_iter();
    let kept = kept.filter_map(|key| Some((key.to_owned(), event.get(key)?.clone())));
    Value::Object(kept.collect()).to_string()
}

fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LOGGED_BYTES_MAX => *text = cut(&*text).to_string(),
        Value::Array(values) => values.iter_mut().for_each(cut_texts),
        Value::Object(fields) => fields.values_mut().for_each(cut_texts),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;

    /// Sends the written bytes to the test.
    #[derive(Clone)]
    struct Sink(mpsc::Sender<Vec<u8>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, value: &str) -> String {
        let (sink, lines) = mpsc::channel();
        let make = move || Sink(sink.clone());
        let builder = tracing_subscriber::fmt().with_writer(make).with_ansi(false);
        let event = || {
            let _push = tracing::error_span!("push", push.id = 7, path = "/outer").entered();
            let _batch = tracing::error_span!("batch", commit_no = 3, push.id = 8).entered();
            tracing::info!(path = value, error = %value, "{value} was refused");
        };
        if json {
            let inner = flat_json();
            let builder = builder.event_format(Bounded { inner, json }).fmt_fields(format::JsonFields::new());
            tracing::subscriber::with_default(builder.finish(), event);
        } else {
            let inner = format::format().with_ansi(false);
            tracing::subscriber::with_default(builder.event_format(Bounded { inner, json }).finish(), event);
        }
        String::from_utf8(lines.iter().flatten().collect()).unwrap()
    }

    #[test]
    fn log_line_is_bounded_and_stays_well_formed() {
        for value in ["x".repeat(60_000), "\"\n\u{1}".repeat(20_000)] {
            let line = logged(true, &value);
            assert!(line.len() <= LINE_BYTES_MAX + 1 && line.lines().count() == 1, "{line}");
            let event: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(event["level"], "INFO");
            assert!(event["message"].as_str().unwrap().contains("bytes more"));
            assert!(logged(false, &value).len() <= LINE_BYTES_MAX + 1);
        }
        let short: Value = serde_json::from_str(&logged(true, "/api/chats")).unwrap();
        assert_eq!(
            (&short["path"], &short["message"]),
            (&"/api/chats".into(), &"/api/chats was refused".into())
        );
    }

    #[test]
    fn json_line_has_fields_of_its_spans_innermost_first() {
        let line = logged(true, "\",\"commit_no\":9");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["commit_no"], &event["push.id"]), (&3.into(), &8.into()), "{line}");
        assert_eq!(event["path"], "\",\"commit_no\":9");
        assert_eq!(line.matches("\"push.id\":").count(), 1, "{line}");
        assert!(line.starts_with("{\"timestamp\":") && event.get("spans").is_none(), "{line}");
        let text = logged(false, "/api/chats");
        assert!(text.contains("push{push.id=7 path=\"/outer\"}:batch{commit_no=3 push.id=8}: "), "{text}");
    }
}
