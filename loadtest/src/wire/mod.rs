//! Connections of the load generator. They do little work, because the generator takes CPU time
//! from the server.
//!
//! Programs should use `netbit::client`, which decodes every frame into a whole packet. Here frames
//! are encoded once and patched, and only the checked fields of a received packet are decoded.

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
