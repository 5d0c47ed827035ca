//! The sockets of the server.
//!
//! All of them are bound before any of them serves, so that an address in use ends the start early.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use tracing::warn;

use super::{Addresses, StartError};
use crate::core::config::{Config, Listen};
use crate::messaging;

/// The bound sockets of clients, and all addresses.
pub(super) struct Sockets {
    pub(super) http: TcpListener,
    pub(super) tcp: TcpListener,
    pub(super) udp: UdpSocket,
    pub(super) addresses: Addresses,
}

/// Returns a function that adds the key and the address to an error.
pub(super) fn listen_error(
    key: &'static str,
    address: &impl ToString,
) -> impl FnOnce(std::io::Error) -> StartError {
    let address = address.to_string();
    move |source| StartError::Listen { key, address, source }
}

/// Returns the address of a listener; resolves a host name.
fn resolve(key: &'static str, listen: &Listen) -> Result<SocketAddr, StartError> {
    listen.resolve().map_err(listen_error(key, listen))
}

/// Binds a TCP listener. Returns it with its address, which differs for port 0.
fn bind_tcp(key: &'static str, listen: &Listen) -> Result<(TcpListener, SocketAddr), StartError> {
    let wanted = resolve(key, listen)?;
    let listener = messaging::bind(wanted).map_err(listen_error(key, &wanted))?;
    let address = listener.local_addr().map_err(listen_error(key, &wanted))?;
    Ok((listener, address))
}

/// Binds the operations listener.
pub(super) fn bind_operations(config: &Config) -> Result<(TcpListener, SocketAddr), StartError> {
    bind_tcp("ops.listen", &config.ops.listen)
}

/// Binds the sockets of clients. `operations` is the address of the operations listener.
pub(super) fn bind(
    config: &Config,
    operations: SocketAddr,
    is_encrypted: bool,
) -> Result<Sockets, StartError> {
    let (http, http_address) = bind_tcp("http.listen", &config.http.listen)?;
    let (tcp, tcp_address) = bind_tcp("tcp.listen", &config.tcp.listen)?;
    let wanted = resolve("udp.listen", &config.udp.listen)?;
    let udp_error = |source| listen_error("udp.listen", &wanted)(source);
    let udp = UdpSocket::bind(wanted).map_err(udp_error)?;
    udp.set_nonblocking(true).map_err(udp_error)?;
    let udp_address = udp.local_addr().map_err(udp_error)?;
    for address in [http_address, tcp_address] {
        if !is_encrypted && !address.ip().is_loopback() {
            warn!(%address, "listening on a non-loopback address without TLS: set tls.certificate and tls.key, or put a TLS proxy in front");
        }
    }
    let addresses = Addresses { http: http_address, tcp: tcp_address, udp: udp_address, ops: operations };
    Ok(Sockets { http, tcp, udp, addresses })
}
