//! The child process from the side of the server: started with one open file, read up to a bound,
//! ended at its deadline.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::{PictureType, Shape, ThumbnailOrder};
use crate::core::limits::Limits;
use crate::core::saturate;

/// The running program, also after a new version has replaced its file.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The exit status for a file that is not a picture (`EX_DATAERR` of sysexits.h).
pub const EXIT_DAMAGED: u8 = 65;
/// The exit status for a picture that exceeds a limit (`EX_UNAVAILABLE`).
pub const EXIT_TOO_LARGE: u8 = 69;
/// The exit status if a limit of the process cannot be set (`EX_OSERR`).
pub const EXIT_NOT_CONFINED: u8 = 71;
/// The exit status for input that cannot be read, and output that cannot be written (`EX_IOERR`).
pub const EXIT_IO: u8 = 74;
/// The exit status of a Rust program that panicked.
const EXIT_PANIC: u8 = 101;
/// Signals that a file causes: CPU time used up; memory used up, or a crash.
const SIGNALS_OF_FILES: [Signal; 4] = [Signal::XCPU, Signal::ABORT, Signal::SEGV, Signal::ILL];
/// Keeps the allocator from reserving a gigabyte, which would count as memory of the program.
const ALLOCATOR: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "0");

/// The reason why a child made none.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("the file is not a picture, or it is damaged")]
    Damaged,
    #[error("the picture is too large")]
    TooLarge,
    /// The file made the child use up its memory or CPU time, or crash.
    #[error("the child exceeded its memory or CPU time, or crashed: {0}")]
    Exhausted(ExitStatus),
    #[error("the child did not end in time")]
    Late,
    /// The child could not start or read, or ended for a reason that is not in the file.
    #[error("the child that makes pictures failed: {0}")]
    Io(#[from] io::Error),
}

/// A picture that a child has made.
#[derive(Debug, Clone)]
pub struct Picture {
    pub bytes: Vec<u8>,
    pub picture_type: PictureType,
}

/// Starts children. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PictureProgram {
    program: PathBuf,
    pixels: u64,
    memory_bytes: u64,
    cpu_seconds: u64,
    within: Duration,
}

impl PictureProgram {
    /// `program`: a `netbit`; the running one if it is not given.
    pub fn new(program: Option<&Path>, limits: &Limits) -> Self {
        Self {
            program: program.unwrap_or(Path::new(OWN_PROGRAM)).to_owned(),
            pixels: limits.thumbnail_pixels,
            memory_bytes: limits.thumbnail_memory_bytes,
            cpu_seconds: limits.thumbnail_cpu_seconds,
            within: Duration::from_millis(limits.thumbnail_ms),
        }
    }

    /// Makes a picture of at most `output_bytes` from an open file. Dropping the future kills the
    /// child with its process group.
    ///
    /// Must be called on a thread that lasts as long as the server: the kernel kills the child with
    /// the thread that started it.
    pub async fn make(&self, input: File, shape: Shape, output_bytes: u64) -> Result<Picture, ChildError> {
        let order = ThumbnailOrder {
            shape,
            pixels: self.pixels,
            memory_bytes: self.memory_bytes,
            cpu_seconds: self.cpu_seconds,
            output_bytes,
        };
        let child = Command::new(&self.program)
            .arg("thumbnail")
            .args(order.arguments())
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal of the server is not for its children.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let mut running = Running(child);
        let ended = tokio::time::timeout(self.within, output_of(&mut running.0, output_bytes)).await;
        // Late: killed when it is dropped. Its end is not awaited, which a disk may delay.
        let (bytes, status) = ended.map_err(|_| ChildError::Late)??;
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(0) => {}
            Some(EXIT_DAMAGED) => return Err(ChildError::Damaged),
            Some(EXIT_TOO_LARGE) => return Err(ChildError::TooLarge),
            Some(EXIT_PANIC) => return Err(ChildError::Exhausted(status)),
            None if SIGNALS_OF_FILES.iter().any(|signal| status.signal() == Some(signal.as_raw())) => {
                return Err(ChildError::Exhausted(status));
            }
            // Also SIGKILL: the kernel had no memory, or an operator ended the child.
            _ => return Err(io::Error::other(status.to_string()).into()),
        }
        // The child may be under the control of the file that it read.
        let picture_type = PictureType::of(&bytes).filter(|_| saturate::to_u64(bytes.len()) <= output_bytes);
        let picture_type = picture_type.ok_or(ChildError::Exhausted(status))?;
        Ok(Picture { bytes, picture_type })
    }
}

/// Returns bytes as an open file without a name, as the input of a child. It is in memory.
pub fn input_of(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("picture", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// A child, killed with its process group when this is dropped before its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // `None` after its end was read: another process may have its number.
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _sent = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Reads at most a byte more than `bytes_max`, and waits until the child has ended.
async fn output_of(child: &mut Child, bytes_max: u64) -> io::Result<(Vec<u8>, ExitStatus)> {
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    // The pipe is closed: a child that writes more is ended by SIGPIPE, or fails.
    Ok((bytes, child.wait().await?))
}
