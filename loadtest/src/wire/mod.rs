//! Connections of the load generator: as thin as can be, for what the generator costs is taken from the server.
//!
//! `netbit::client` is what programs should use; it makes a whole packet of every frame. Here frames are made once and
//! patched, and of what comes only that is looked at which is checked.

mod bytes;
mod frames;
mod http;
mod packet_view;
mod tcp;
mod udp;

pub(crate) use bytes::{read_some, write_all};
pub(crate) use frames::{ClientIdKind, MessageTemplate, hello, message_content, page, ping, resume};
pub(crate) use http::HttpConnection;
pub(crate) use packet_view::{Cursor, PacketView, is_presence};
pub(crate) use tcp::TcpConnection;
pub(crate) use udp::UdpConnection;
