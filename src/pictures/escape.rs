//! Attempts of a decoder with a flaw, for the test that they fail. Runs only at the fail point
//! [`PICTURE_ESCAPE`](crate::core::fail_points::PICTURE_ESCAPE), after
//! [`confine`](super::confine::confine).

use std::fs::File;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getppid, setrlimit, test_kill_process};

/// Returns a line for each attempt: its name and the error, or `done`.
pub fn attempts() -> String {
    let files = Rlimit { current: Some(64), maximum: Some(64) };
    let signal = || getppid().map_or(Ok(()), test_kill_process);
    let tried: [(&str, io::Result<()>); 9] = [
        // First, because the others would profit.
        ("raise", setrlimit(Resource::Nofile, files).map_err(io::Error::from)),
        ("read", File::open("/proc/self/status").map(drop)),
        ("write", File::create("/tmp/netbit-escape").map(drop)),
        ("tcp", TcpStream::connect("127.0.0.1:9").map(drop)),
        ("udp", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("unix", UnixStream::connect("/run/netbit-escape").map(drop)),
        ("datagram", UnixDatagram::unbound().map(drop)),
        ("program", Command::new("/bin/true").output().map(drop)),
        ("signal", signal().map_err(io::Error::from)),
    ];
    let end = |result: io::Result<()>| result.err().map_or_else(|| "done".to_owned(), |e| e.to_string());
    tried.into_iter().map(|(name, result)| format!("{name}: {}\n", end(result))).collect()
}
