//! The screen of a busy server at common terminal sizes.

use std::time::Duration;

use super::screen::Screen;
use super::view::View;
use crate::client::metrics::Scrape;

fn scrape(messages: u64, waited: f64, depth: u64) -> Scrape {
    Scrape::parse(&format!(
        "netbit_build_info{{version=\"9.9.9\"}} 1\nnetbit_ready 1\nprocess_start_time_seconds 0\n\
         netbit_actor_mailbox_capacity{{actor=\"writer\"}} 1024\nnetbit_actor_asks_inside{{actor=\"writer\"}} {depth}\n\
         netbit_actor_messages_total{{actor=\"writer\",message=\"AppendMessage\"}} {messages}\n\
         netbit_actor_messages_total{{actor=\"hub\",message=\"Lane\"}} {messages}\n\
         netbit_actor_mailbox_depth{{actor=\"writer\",message=\"AppendMessage\"}} {depth}\n\
         netbit_actor_mailbox_depth_max{{actor=\"writer\",message=\"AppendMessage\"}} 900\n\
         netbit_actor_queue_wait_seconds_total{{actor=\"writer\",message=\"AppendMessage\"}} {waited}\n\
         netbit_actor_handling_seconds_total{{actor=\"hub\",message=\"Lane\"}} {waited}\n\
         netbit_cache_hits_total {messages}\nnetbit_cache_misses_total 10\n\
         netbit_sessions{{transport=\"tcp\"}} 1000\nnetbit_slow_readers{{transport=\"tcp\"}} 3\n\
         netbit_commit_seconds_bucket{{le=\"0.001\"}} {messages}\nnetbit_commit_seconds_bucket{{le=\"+Inf\"}} {messages}\n\
         netbit_commit_seconds_count {messages}\nnetbit_git_children{{work=\"fetch\"}} 2\n"
    ))
}

fn busy() -> View {
    View::between(&scrape(1_000, 1.0, 0), &scrape(3_000, 2.0, 870), Duration::from_secs(2))
}

#[test]
fn view_shows_the_difference_of_two_readings() {
    let view = busy();
    let writer = view.actors.iter().find(|actor| actor.actor == "writer").unwrap();
    assert_eq!((writer.inside, writer.load.depth, writer.load.depth_max), (Some(870.0), 870.0, 900.0));
    assert_eq!((writer.load.per_second, writer.load.wait_us), (1_000.0, 500.0));
    assert_eq!(view.messages.iter().find(|row| row.message == "Lane").unwrap().load.busy_percent, 50.0);
    assert_eq!(view.cache.hit_percent, Some(100.0));
    assert_eq!(view.commits.p50_us, Some(500.0));
}

#[test]
fn view_counts_from_0_after_a_restart() {
    let view = View::between(&scrape(3_000, 2.0, 0), &scrape(500, 0.5, 0), Duration::from_secs(1));
    let writer = view.actors.iter().find(|actor| actor.actor == "writer").unwrap();
    assert_eq!(writer.load.per_second, 500.0);
}

#[test]
fn screen_of_80_by_24_shows_all_meters() {
    let mut screen = Screen::new("127.0.0.1:8083".into(), 1);
    screen.show(busy());
    let text = screen.as_text(80, 24).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() <= 24 && lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    for part in [
        "NetBit 9.9.9",
        "ready",
        "870/1024",
        "tcp 1000",
        "slow 3",
        "git 2",
        "100.0% hits",
        "w AppendMessage",
        "q Quit",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let larger = screen.as_text(200, 60).unwrap();
    assert!(larger.contains("OVER TIME") && larger.contains("█"), "{larger}");
}

#[test]
fn screen_of_any_size_is_drawn() {
    let mut screen = Screen::new("127.0.0.1:8083".into(), 1);
    for (width, height) in [(1, 1), (10, 3), (40, 8), (500, 200)] {
        screen.as_text(width, height).unwrap();
        screen.show(busy());
        screen.as_text(width, height).unwrap();
    }
}

#[test]
fn keys_sort_pause_and_scroll() {
    let mut screen = Screen::new("127.0.0.1:8083".into(), 1);
    screen.show(busy());
    let first = |screen: &Screen| {
        let text = screen.as_text(100, 24).unwrap();
        text.lines().find(|line| line.starts_with("  w ") || line.starts_with("  h ")).unwrap().to_owned()
    };
    assert!(first(&screen).contains("Lane"), "the busiest is the first");
    screen.press('w');
    assert!(first(&screen).contains("AppendMessage"), "the longest wait is the first");
    screen.scroll(1);
    assert!(first(&screen).contains("Lane"));
    screen.scroll(-5);
    screen.press(' ');
    assert!(screen.is_paused());
    screen.lost("connection refused");
    assert!(screen.as_text(100, 24).unwrap().contains("LOST: connection refused"));
}
