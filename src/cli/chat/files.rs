//! The files of a message, as lines of text. `netbit chat` shows name, size and address; a browser
//! that is logged in opens the address.

use super::text::clean_line;
use crate::core::plural::size;
use crate::domain::message::Message;

/// Returns a line for each file.
pub(super) fn file_lines(message: &Message, server: &str) -> Vec<String> {
    let line = |(id, name, bytes): (i64, &str, i64)| {
        let bytes = size(u64::try_from(bytes).unwrap_or(0));
        format!("file: {} ({bytes}) {}/api/files/{id}", clean_line(name), server.trim_end_matches('/'))
    };
    message.files.iter().map(|file| line((file.id.0, &file.name, file.size))).collect()
}

/// Returns the text of a message and the lines of its files.
pub(super) fn with_files(text: &str, message: &Message, server: &str) -> String {
    let text = (!text.is_empty()).then(|| text.to_owned());
    text.into_iter().chain(file_lines(message, server)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file::AttachedFile;
    use crate::domain::ids::FileId;

    #[test]
    fn files_follow_the_text_and_cannot_move_the_cursor() {
        let file = AttachedFile {
            id: FileId(7),
            name: "a\u{1b}[2J.png".to_owned(),
            size: 1536,
            media_type: "image/png".to_owned(),
            w: None,
            h: None,
        };
        let message = Message { files: vec![file], ..Message::example() };
        let shown = with_files("", &message, "http://host/");
        assert!(shown.starts_with("file: a") && !shown.contains('\u{1b}'), "{shown:?}");
        assert!(shown.ends_with("(1.5 KiB) http://host/api/files/7"), "{shown:?}");
        assert_eq!(with_files("hello", &message, "http://host"), format!("hello\n{shown}"));
        assert_eq!(with_files("hello", &Message::example(), ""), "hello");
    }
}
