//! Pictures that attack the decoder, and through it the server.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::ImageFormat;
use netbit::client::HttpClient;
use netbit::git::sandbox::{SandboxSupport, support};
use reqwest::Method;
use serde_json::json;

use crate::harness::files::FileClient;
use crate::harness::memory::{MIB, TREE_BYTES_MAX};
use crate::harness::pictures::{Bombs, bombs, noise, photograph, picture, written};
use crate::harness::{PASSWORD, Process, TestServer, until};

/// How much the resident memory of a server may grow while its children decode bombs.
const GROWTH_BYTES_MAX: u64 = 48 * MIB;
const ARGUMENTS: [&str; 6] = [
    "thumbnail",
    "--within=1080",
    "--pixels=50000000",
    "--memory-bytes=268435456",
    "--cpu-seconds=5",
    "--output-bytes=2097152",
];

async fn login(server: &Process) -> HttpClient {
    server.http.register("alice", PASSWORD).await.unwrap();
    server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token)
}

/// Pictures of kilobytes claim or inflate to gigabytes: their children end, and the memory of the
/// server does not grow.
#[actix_web::test]
async fn bombs_end_their_child_and_leave_memory_flat() {
    let Bombs { refused, skipped } = bombs();
    let dir = tempfile::tempdir().unwrap();
    // The limits of memory and CPU time end the children, however slow the machine is.
    let server = Process::with(dir.path(), &[("NETBIT_LIMITS__THUMBNAIL_MS", "120000")]).await;
    let alice = login(&server).await;
    let chat = alice.create_group("team", &[]).await.unwrap();
    let files = FileClient::new(server.address(), &alice);
    // The caches and buffers of the first use are not counted.
    let (usual, _) = files.share(chat, "x.png", &written(&picture(900, 900), ImageFormat::Png)).await;
    assert_eq!(files.thumbnail(usual, 1080).await.status, 200);
    let watch = server.watch_memory();
    let before = server.resident_bytes();
    for (name, bytes) in refused {
        let (file, _) = files.share(chat, name, &bytes).await;
        for size in [360, 1080] {
            let answer = files.thumbnail(file, size).await;
            assert_eq!(answer.status, 415, "{name}: {:?}", answer.bytes);
        }
        let avatar = files.send(Method::PUT, "/api/users/me/avatar", &[], bytes).await;
        assert_eq!((avatar.status, &avatar.json()["errors"][0]["field"]), (422, &json!("picture")), "{name}");
    }
    for (name, bytes) in skipped {
        let (file, _) = files.share(chat, name, &bytes).await;
        assert_eq!(files.thumbnail(file, 360).await.status, 200, "{name}");
        let avatar = files.send(Method::PUT, "/api/users/me/avatar", &[], bytes).await;
        assert_eq!(avatar.status, 204, "{name}");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "the server grew by {} MiB", grown / MIB);
    watch.assert_below(TREE_BYTES_MAX);
    assert_eq!(files.thumbnail(usual, 360).await.status, 200, "it goes on");
    drop(watch);
    server.stop().await;
}

/// Positions in photographs, and scripts after their end, are not in what readers see.
#[actix_web::test]
async fn thumbnails_have_no_byte_of_their_file() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = FileClient::new(&server.app.addresses.http.to_string(), &alice.http);
    let script = b"<script>alert(1)</script>";
    let gif = written(&picture(50, 50), ImageFormat::Gif);
    let commented = [&gif[..gif.len() - 1], b"\x21\xfe\x19", script, b"\0\x3b"].concat();
    for (name, bytes) in [("photograph.jpg", photograph(600, 400)), ("comment.gif", commented)] {
        let (file, _) = files.share(chat, name, &bytes).await;
        assert_eq!(files.get(file).await.bytes, bytes, "the file itself is unchanged");
        let made = files.thumbnail(file, 360).await;
        assert_eq!(made.status, 200, "{name}");
        for foreign in [&b"script"[..], b"GPS", b"Exif", b"GIF89a"] {
            assert!(!made.bytes.windows(foreign.len()).any(|part| part == foreign), "{name}");
        }
        assert!(made.bytes.starts_with(b"\xff\xd8\xff") || made.bytes.starts_with(b"\x89PNG"));
    }
    server.stop().await;
}

/// A shell and its child, which has made a picture and waits for a reader of its output.
struct Blocked {
    shell: Child,
    child: u32,
}

impl Blocked {
    async fn start(folder: &Path) -> Self {
        let input = folder.join("noise.png");
        fs::write(&input, written(&noise(1000, 1000), ImageFormat::Png)).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "input=$1; shift; \"$0\" \"$@\" <\"$input\" & echo $! >&2; wait"])
            .args([env!("CARGO_BIN_EXE_netbit").as_ref(), input.as_os_str()])
            .args(ARGUMENTS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let child = line.trim().parse().unwrap();
        // The first byte of the output: the picture is complete.
        let mut first = [0];
        shell.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(first, [0xff]);
        Self { shell, child }
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child)).unwrap_or_default()
    }

    /// A process that has ended and was not reaped yet has no limits.
    fn runs(&self) -> bool {
        self.proc("status").lines().any(|line| line.starts_with("VmRSS:"))
    }
}

/// A decoder with a flaw reaches no file and no network, and takes little memory and time.
#[actix_web::test]
async fn child_is_confined_before_it_decodes() {
    let dir = tempfile::tempdir().unwrap();
    let mut blocked = Blocked::start(dir.path()).await;
    let limits = blocked.proc("limits");
    for (name, value) in [
        ("Max cpu time", ["5", "6"]),
        ("Max open files", ["0", "0"]),
        ("Max file size", ["0", "0"]),
        ("Max core file size", ["0", "0"]),
        ("Max processes", ["0", "0"]),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let found: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(found, value, "{name}");
    }
    for name in ["CapEff:\t", "CapPrm:\t", "CapInh:\t"] {
        let status = blocked.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(u64::from_str_radix(line, 16), Ok(0), "{name}");
    }
    for name in ["Max address space", "Max data size"] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let bytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!((256 * MIB..1536 * MIB).contains(&bytes), "{name}: {} MiB", bytes / MIB);
    }
    assert!(blocked.proc("status").lines().any(|line| line == "Threads:\t1"));
    if support() != SandboxSupport::None {
        assert!(blocked.proc("status").lines().any(|line| line == "NoNewPrivs:\t1"), "Landlock applies");
    }
    drop(blocked.shell.stdout.take());
    blocked.shell.wait().unwrap();
}

/// The child itself tries what a decoder with a flaw would: each attempt fails.
#[test]
fn child_cannot_open_connect_start_or_raise() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    fs::write(&input, written(&picture(30, 30), ImageFormat::Png)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(ARGUMENTS).stdin(File::open(&input).unwrap()).env("FAILPOINTS", "picture.escape=return");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let tried: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let names = tried.iter().map(|(name, _)| *name);
    let all = ["raise", "read", "write", "tcp", "udp", "unix", "datagram", "program", "signal"];
    assert!(names.eq(all), "{text}");
    for (name, end) in tried {
        // An older kernel cannot forbid signals.
        let is_refused = ["not permitted", "Permission denied", "Too many open files"];
        let is_refused = is_refused.iter().any(|error| end.contains(error));
        assert!(is_refused || name == "signal" && !forbids_signals(), "{name}: {end}");
    }
    assert!(!Path::new("/tmp/netbit-escape").exists());
}

/// Returns whether the kernel has Landlock with scopes, for its other processes as well.
fn forbids_signals() -> bool {
    use landlock::{ABI, Access, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    rules.scope(Scope::from_all(ABI::V6)).and_then(Ruleset::create).is_ok()
}

/// The largest pictures that PROTOCOL.md names have thumbnails, within the memory of a child.
#[test]
fn largest_pictures_fit_into_the_memory_of_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    let side = 7_000;
    let clear = image::RgbaImage::from_pixel(side, side, image::Rgba([200, 30, 90, 128]));
    let large = image::RgbImage::from_pixel(side, side, image::Rgb([200, 30, 90]));
    let deep = image::ImageBuffer::from_pixel(5_000, 5_000, image::Rgba([9_000_u16, 60_000, 1, 40_000]));
    let (clear, large) = (image::DynamicImage::from(clear), image::DynamicImage::from(large));
    for (name, bytes) in [
        ("transparent", written(&clear, ImageFormat::Png)),
        ("opaque", written(&large, ImageFormat::Png)),
        ("deep", written(&image::DynamicImage::ImageRgba16(deep), ImageFormat::Png)),
        ("photograph", written(&large, ImageFormat::Jpeg)),
    ] {
        fs::write(&path, bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
        // The maker is slow in a test build, so it gets more time.
        let arguments = ARGUMENTS.map(|argument| argument.replace("--cpu-seconds=5", "--cpu-seconds=60"));
        command.args(arguments).stdin(File::open(&path).unwrap());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{name}: {} {error}", output.status);
        let small = image::load_from_memory(&output.stdout).unwrap();
        assert_eq!((small.width(), small.height()), (1080, 1080), "{name}");
    }
}

/// The kernel ends a child with the thread that started it: no child outlives its server.
#[actix_web::test]
async fn child_ends_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut blocked = Blocked::start(dir.path()).await;
    assert!(blocked.runs());
    blocked.shell.kill().unwrap();
    blocked.shell.wait().unwrap();
    until(async || !blocked.runs()).await;
}

/// Damaged, foreign and endless inputs: the command ends with the status for each.
#[test]
fn command_refuses_what_is_not_a_picture_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let run = |bytes: &[u8]| {
        let path = dir.path().join("input");
        fs::write(&path, bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
        command.args(ARGUMENTS).stdin(File::open(&path).unwrap());
        let output = command.output().unwrap();
        (output.status.code(), output.stdout)
    };
    let whole = written(&picture(300, 300), ImageFormat::Png);
    assert_eq!(run(&whole).0, Some(0));
    for bytes in [&whole[..200], b"", b"\x89PNG", b"GIF89a", b"BM000000", b"<svg/>", b"%PDF-1.7"] {
        assert_eq!(run(bytes), (Some(65), Vec::new()), "{bytes:?}");
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_netbit"));
    let endless = piped.args(ARGUMENTS).stdin(File::open("/dev/zero").unwrap()).output().unwrap();
    assert_eq!((endless.status.code(), endless.stdout), (Some(65), Vec::new()));
}
