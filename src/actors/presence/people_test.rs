//! Presence by user and device, and which users see each other.

use super::*;

const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const EVE: UserId = UserId(3);
const CHAT: ChatId = ChatId(7);

fn device(name: &str) -> DeviceKey {
    DeviceKey::Named(name.into())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Creates Alice and Bob in one chat, and Eve in none.
fn people() -> (TrackedUsers, Instant) {
    let mut people = TrackedUsers::new(&Limits::default());
    people.track_user(ALICE, vec![CHAT]);
    people.track_user(BOB, vec![CHAT]);
    people.track_user(EVE, vec![]);
    (people, Instant::now())
}

fn shown(people: &TrackedUsers) -> Shown {
    people.as_seen_by(BOB, ALICE, true).status
}

#[test]
fn user_is_shown_with_the_highest_status_of_their_devices() {
    let (mut people, now) = people();
    assert_eq!(shown(&people), Shown::Offline);
    people.connect(ALICE, device("phone"), now);
    people.connect(ALICE, device("desk"), now);
    people.set_status(ALICE, &device("phone"), Status::Away, None, now);
    assert_eq!(shown(&people), Shown::Online);
    people.set_status(ALICE, &device("desk"), Status::Dnd, None, now);
    assert_eq!(shown(&people), Shown::Dnd);
    people.set_status(ALICE, &device("desk"), Status::Invisible, None, now);
    assert_eq!(shown(&people), Shown::Away, "an invisible device does not count");
    people.set_status(ALICE, &device("phone"), Status::Invisible, None, now);
    assert_eq!(shown(&people), Shown::Offline, "at once, without the debounce time");
}

#[test]
fn late_status_does_not_replace_a_newer_one() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    let counting = |status, version, is_new| EffectiveStatus { status, version, is_new };
    let dnd = people.set_status(ALICE, &device("phone"), Status::Dnd, Some(5), now);
    assert_eq!(dnd, counting(Status::Dnd, 5, true));
    for late in [4, 5] {
        let effective = people.set_status(ALICE, &device("phone"), Status::Online, Some(late), now);
        assert_eq!(effective, counting(Status::Dnd, 5, false));
    }
    assert_eq!(shown(&people), Shown::Dnd);
    let away = people.set_status(ALICE, &device("phone"), Status::Away, None, now);
    assert_eq!(away, counting(Status::Away, 6, true));
    assert_eq!(shown(&people), Shown::Away);
}

#[test]
fn user_is_shown_offline_only_after_the_debounce_time() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    people.take_changed();
    people.disconnect(ALICE, &device("phone"), now);
    assert_eq!((shown(&people), people.next_deadline()), (Shown::Online, Some(now + seconds(15))));
    people.connect(ALICE, device("desk"), now + seconds(14));
    people.expire(now + seconds(20));
    assert!(!people.has_changes() && people.next_deadline().is_none(), "the reconnect is not a change");
    people.disconnect(ALICE, &device("desk"), now + seconds(20));
    people.expire(now + seconds(34));
    assert_eq!(shown(&people), Shown::Online);
    people.expire(now + seconds(35));
    assert_eq!(shown(&people), Shown::Offline);
    assert_eq!(people.take_changed(), [ALICE].into());
    assert_eq!(people.next_deadline(), None);
}

#[test]
fn user_with_a_session_stays_online_without_udp() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    people.record_datagram(ALICE, &device("phone"), now);
    people.expire(now + seconds(1000));
    assert_eq!((shown(&people), people.next_deadline()), (Shown::Online, None));
    // Conversely, datagrams alone keep a user online for their time to live.
    people.disconnect(ALICE, &device("phone"), now + seconds(1000));
    people.record_datagram(ALICE, &device("phone"), now + seconds(1000));
    people.expire(now + seconds(1089));
    assert_eq!(shown(&people), Shown::Online);
    people.expire(now + seconds(1090));
    people.expire(now + seconds(1106));
    assert_eq!(shown(&people), Shown::Offline);
}

#[test]
fn only_users_who_share_a_chat_see_each_other() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    assert_eq!(people.as_seen_by(EVE, ALICE, false).status, Shown::Offline);
    assert_eq!(people.as_seen_by(ALICE, ALICE, false).status, Shown::Online);
    assert_eq!(people.watchers(ALICE), [ALICE, BOB].into());
    people.take_changed();
    let before = people.version();
    people.join(CHAT, EVE);
    people.connect(EVE, device("desk"), now);
    assert_eq!(people.take_changed(), [EVE].into());
    assert_eq!(people.as_seen_by(EVE, ALICE, true).status, Shown::Online);
    assert_eq!(people.seen_by(BOB, before).iter().map(|view| view.user_id).collect::<Vec<_>>(), [EVE]);
    people.leave(CHAT, EVE);
    assert!(people.seen_by(EVE, 0).iter().all(|view| view.user_id != ALICE));
    assert_eq!(people.online_members(CHAT, EVE), None);
}

#[test]
fn invisible_user_leaves_no_trace() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    people.set_status(ALICE, &device("phone"), Status::Invisible, None, now);
    let before = people.version();
    assert_eq!((people.take_changed(), people.version()), ([].into(), before));
    assert!(people.seen_by(BOB, 0).is_empty());
}

#[test]
fn invisible_user_stays_hidden_for_a_while_after_leaving() {
    let (mut people, now) = people();
    assert!(!people.is_hidden(ALICE), "without a device there is nothing to hide");
    people.connect(ALICE, device("phone"), now);
    people.set_status(ALICE, &device("phone"), Status::Invisible, None, now);
    assert!(people.is_hidden(ALICE));
    people.disconnect(ALICE, &device("phone"), now);
    people.remove_if_gone(ALICE);
    assert!(people.is_hidden(ALICE), "the last marks are written after the session");
    let later = now + Duration::from_millis(Limits::default().offline_debounce_ms);
    assert_eq!((people.expire(later), people.is_hidden(ALICE)), (vec![ALICE], false));
    people.remove_if_gone(ALICE);
    assert_eq!(people.next_deadline(), None);
}

#[test]
fn invisible_choice_is_remembered_until_a_visible_session() {
    let (mut people, now) = people();
    assert!(!people.is_invisible(ALICE));
    people.connect(ALICE, device("phone"), now);
    people.set_status(ALICE, &device("phone"), Status::Invisible, None, now);
    people.disconnect(ALICE, &device("phone"), now);
    people.take_changed();
    people.expire(now + seconds(600));
    people.remove_if_gone(ALICE);
    assert!(!people.people.contains_key(&ALICE) && people.is_invisible(ALICE));
    people.track_user(ALICE, vec![CHAT]);
    people.connect(ALICE, device("phone"), now + seconds(700));
    assert!(!people.is_invisible(ALICE));
    // Without memory for more choices, users without a device are not shown.
    people.invisible = (100..).take(INVISIBLE_MAX).map(UserId).collect();
    assert_eq!((people.is_invisible(ALICE), people.is_invisible(UserId(99))), (false, true));
}

#[test]
fn offline_user_is_removed_once_others_are_notified() {
    let (mut people, now) = people();
    people.connect(ALICE, device("phone"), now);
    people.take_changed();
    people.disconnect(ALICE, &device("phone"), now);
    people.expire(now + seconds(15));
    people.remove_if_gone(ALICE);
    assert!(people.people.contains_key(&ALICE), "the others must be notified first");
    people.take_changed();
    for user in [ALICE, BOB, EVE] {
        people.remove_if_gone(user);
    }
    assert!(people.people.is_empty() && people.chats.is_empty() && people.deadlines.is_empty());
}
