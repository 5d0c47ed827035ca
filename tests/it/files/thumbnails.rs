//! Thumbnails of pictures in chats.

use image::ImageFormat;
use netbit::core::limits::Limits;
use reqwest::Method;

use super::files_of;
use crate::harness::files::{PNG, blobs, thumbnails};
use crate::harness::pictures::{photograph, picture, written};
use crate::harness::{TestServer, until};

/// Returns how many requests for a picture ended in this way.
pub(super) async fn ended(server: &TestServer, outcome: &str) -> u64 {
    let (_, metrics) = server.operations("/metrics").await;
    let name = format!("netbit_pictures_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn thumbnail_fits_its_box_and_is_made_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (alice, bob) = (files_of(&server, &alice), files_of(&server, &bob));
    let large = written(&picture(1500, 1000), ImageFormat::Png);
    let (file, _) = alice.share(chat, "large.png", &large).await;
    for (size, sides) in [(360, (360, 240)), (1080, (1080, 720))] {
        let made = bob.thumbnail(file, size).await;
        assert_eq!((made.status, made.header("content-type")), (200, "image/jpeg"), "{size}");
        let small = image::load_from_memory(&made.bytes).unwrap();
        assert_eq!((small.width(), small.height()), sides);
        for (header, value) in [
            ("cache-control", "private, no-cache"),
            ("content-disposition", "inline; filename=\"large.jpg\""),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; sandbox",
            ),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(made.header(header), value);
        }
        let again = alice.thumbnail(file, size).await;
        assert_eq!((again.status, again.bytes == made.bytes), (200, true));
        let path = format!("/api/files/{file}/thumbnail?size={size}");
        let known = [("if-none-match", made.header("etag"))];
        let unchanged = bob.send(Method::GET, &path, &known, Vec::new()).await;
        assert_eq!((unchanged.status, unchanged.bytes.len()), (304, 0));
        assert!(made.header("etag").contains(&size.to_string()));
        let other = [("if-none-match", "\"other\"")];
        assert_eq!(bob.send(Method::GET, &path, &other, Vec::new()).await.status, 200);
    }
    assert_eq!((ended(&server, "made").await, ended(&server, "cached").await), (2, 4));
    assert_eq!(thumbnails(server.path()).len(), 2);
    // A small picture is encoded again as well: it loses its metadata.
    let (small, _) = alice.share(chat, "small.jpg", &photograph(40, 20)).await;
    let made = bob.thumbnail(small, 360).await;
    let shown = image::load_from_memory(&made.bytes).unwrap();
    assert_eq!((shown.width(), shown.height()), (20, 40), "turned as its camera states");
    server.stop().await;
}

#[actix_web::test]
async fn requests_at_once_share_one_child() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x.png", &written(&picture(800, 800), ImageFormat::Png)).await;
    let all = (0..8).map(|_| files.thumbnail(file, 360));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|made| made.status == 200 && made.bytes == all[0].bytes));
    assert_eq!((ended(&server, "made").await, ended(&server, "cached").await), (1, 7));
    server.stop().await;
}

#[actix_web::test]
async fn thumbnail_has_the_rights_of_its_file_and_goes_with_it() {
    let server = TestServer::with_limits(|limits| {
        *limits = Limits { maintenance_ms: 50, rates: false, ..limits.clone() };
    })
    .await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.group(&[&bob]).await;
    let (of_alice, of_bob, of_eve) =
        (files_of(&server, &alice), files_of(&server, &bob), files_of(&server, &eve));
    let bytes = written(&picture(500, 400), ImageFormat::WebP);
    let unbound = of_alice.upload(chat, "own.webp", &bytes).await;
    assert_eq!(of_alice.thumbnail(unbound, 360).await.status, 200, "its uploader");
    assert_eq!(of_bob.thumbnail(unbound, 360).await.status, 404, "no message has it");
    let (file, message) = of_alice.share(chat, "shared.webp", &bytes).await;
    assert_eq!(of_bob.thumbnail(file, 1080).await.status, 200);
    assert_eq!(of_eve.thumbnail(file, 1080).await.status, 404);
    let removed = bob.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert_eq!(removed.status, 204);
    assert_eq!(of_bob.thumbnail(file, 1080).await.status, 404, "left the chat");
    assert_eq!(thumbnails(server.path()).len(), 2, "both files have the same bytes");
    alice.delete(&format!("/api/files/{unbound}")).await;
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    assert_eq!(of_alice.thumbnail(file, 1080).await.status, 404, "the message is deleted");
    until(async || blobs(server.path()).is_empty()).await;
    assert_eq!(thumbnails(server.path()), Vec::<String>::new(), "removed with the blob");
    server.stop().await;
}

#[actix_web::test]
async fn file_without_a_thumbnail_is_415_and_remembered() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (text, _) = files.share(chat, "notes.txt", b"hello").await;
    let (broken, _) = files.share(chat, "broken.png", PNG).await;
    let answer = files.thumbnail(text, 360).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (415, Some("bad_request")));
    assert!(answer.json()["detail"].as_str().unwrap().contains("not a PNG"));
    for _ in 0..3 {
        let answer = files.thumbnail(broken, 360).await;
        assert_eq!(answer.status, 415);
        assert!(answer.json()["detail"].as_str().unwrap().contains("damaged"));
    }
    assert_eq!((ended(&server, "damaged").await, ended(&server, "cached").await), (1, 2));
    let announced = files.announce(chat, "later.png", 100).await;
    assert_eq!(files.thumbnail(announced, 360).await.status, 409);
    for query in ["", "?size=0", "?size=361", "?size=x", "?size=360&crop=1"] {
        let path = format!("/api/files/{broken}/thumbnail{query}");
        assert_eq!(files.send(Method::GET, &path, &[], Vec::new()).await.status, 400, "{query}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn removed_or_damaged_cache_is_made_again() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x.png", &written(&picture(600, 600), ImageFormat::Png)).await;
    let first = files.thumbnail(file, 360).await;
    let directory = server.stop_and_keep().await;
    for part in std::fs::read_dir(directory.path().join("thumbnails")).unwrap() {
        for entry in std::fs::read_dir(part.unwrap().path()).unwrap() {
            std::fs::write(entry.unwrap().path(), "not a picture").unwrap();
        }
    }
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!(files.thumbnail(file, 360).await.bytes, first.bytes);
    let directory = server.stop_and_keep().await;
    std::fs::remove_dir_all(directory.path().join("thumbnails")).unwrap();
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!(files.thumbnail(file, 360).await.bytes, first.bytes);
    server.stop().await;
}

#[actix_web::test]
async fn cache_holds_at_most_its_limit() {
    let server = TestServer::with_limits(|limits| limits.thumbnail_cache_bytes = 16 * 4096).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    // A part of the cache for each first digit of the hash, with room for one thumbnail of 4 KiB.
    for n in 1..=24 {
        let bytes = written(&picture(20 + n, 20), ImageFormat::Png);
        let (file, _) = files.share(chat, "x.png", &bytes).await;
        assert_eq!(files.thumbnail(file, 360).await.status, 200);
    }
    let kept = thumbnails(server.path()).len();
    assert!((1..=16).contains(&kept), "{kept}");
    let (_, metrics) = server.operations("/metrics").await;
    let line = format!("netbit_thumbnail_cache_bytes {}", kept * 4096);
    assert!(metrics.lines().any(|found| found == line), "{line}");
    server.stop().await;
}

/// Without a place, clients are asked to come back.
#[actix_web::test]
async fn busy_children_are_503_with_a_time_to_retry() {
    let server = TestServer::with_limits(|limits| {
        (limits.thumbnails, limits.thumbnails_waiting) = (1, 0);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let mut all = Vec::new();
    for n in 0..6 {
        let bytes = written(&picture(900 + n, 900), ImageFormat::Png);
        all.push(files.share(chat, "x.png", &bytes).await.0);
    }
    let answers = futures_util::future::join_all(all.iter().map(|file| files.thumbnail(*file, 360))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!made.is_empty());
    for answer in refused {
        assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("overloaded")));
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    // Later, each is made.
    for file in all {
        until(async || files.thumbnail(file, 360).await.status == 200).await;
    }
    server.stop().await;
}
