//! The frames of the floor, encoded field by field, with the fields and the order of NetBit.

use super::writer::Row;

pub(super) type Encoded = Vec<u8>;

/// A frame under construction. [`Frame::done`] fills in its length.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    pub(super) fn map(fields: u8) -> Self {
        Self(vec![0, 0, 0, 0, 0x80 | fields])
    }

    pub(super) fn done(mut self) -> Encoded {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(0);
        if let Some(prefix) = self.0.first_chunk_mut::<4>() {
            *prefix = length.to_be_bytes();
        }
        self.0
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        put_text(&mut self.0, text);
        self
    }

    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        put_number(&mut self.0, number);
        self
    }

    pub(super) fn truth(&mut self, truth: bool) -> &mut Self {
        self.0.push(if truth { 0xc3 } else { 0xc2 });
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn list(&mut self, items: usize) -> &mut Self {
        self.0.push(0xdc);
        self.0.extend_from_slice(&u16::try_from(items).unwrap_or(u16::MAX).to_be_bytes());
        self
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(short) if short < 32 => out.push(0xa0 | short),
        Ok(byte) => out.extend_from_slice(&[0xd9, byte]),
        Err(_) => {
            out.push(0xda);
            out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    match (u8::try_from(number), u32::try_from(number)) {
        (Ok(small), _) if small < 128 => out.push(small),
        (_, Ok(middle)) => {
            out.push(0xce);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

pub(super) fn ack(row: &Row) -> Encoded {
    let mut frame = Frame::map(5);
    frame.text("packet_type").text("Ack").text("request_id");
    frame.number(i64::try_from(row.request_id).unwrap_or(0)).text("success").truth(true);
    frame.text("message_id").number(row.id).text("seq").number(row.seq);
    frame.done()
}

/// Returns the pushed event, and the message within it for pages.
pub(super) fn event(row: &Row) -> (Encoded, Encoded) {
    let mut message = vec![0x87];
    for (name, number) in [("id", row.id), ("chat_id", row.chat), ("seq", row.seq), ("sender_id", row.sender)]
    {
        put_text(&mut message, name);
        put_number(&mut message, number);
    }
    put_text(&mut message, "client_id");
    message.extend_from_slice(&[0xc4, 16]);
    message.extend_from_slice(&row.client_id);
    put_text(&mut message, "content");
    put_text(&mut message, &row.content);
    put_text(&mut message, "created_at");
    put_number(&mut message, row.created_at);
    let mut frame = head(row, 7);
    frame.text("message").raw(&message);
    (frame.done(), message)
}

/// Returns the event as the session of its sender receives it.
pub(super) fn stub(row: &Row) -> Encoded {
    head(row, 6).done()
}

fn head(row: &Row, fields: u8) -> Frame {
    let mut frame = Frame::map(fields);
    frame.text("packet_type").text("Event").text("chat_id").number(row.chat).text("seq").number(row.seq);
    frame.text("kind").text("message").text("actor_id").number(row.sender);
    frame.text("created_at").number(row.created_at);
    frame
}
