//! The read models equal the database after random commands, panics in the middle of batches,
//! evictions, fills that race with commits, duplicated and lost batches. Each case ends with a
//! comparison with a fresh load.

mod acts;
mod made;
mod nodes;
mod world;

use acts::{Act, ProjectAct, RepositoryAct, act};
use proptest::prelude::*;
use world::{World, queued, start_login};

use super::chats::Lookup;
use super::common_chats::CommonChats;
use super::read_models::ReadModels;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{EndOwnLogin, LoginSecret, RecordWebLoginUses, StartLogin};
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::event::Change;
use crate::domain::event_page::EventRange;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;

/// Creates a project of two users with a repository that accepts pushes. Without it most random
/// acts would have no target.
fn furnish(world: &mut World) {
    let project = |what| Act::Project { by: None, project: 1, what };
    for act in [
        Act::CreateProject { by: 1, name: 0, public: false },
        project(ProjectAct::Member { user: 2, role: 2 }),
        project(ProjectAct::BeginRepository { name: 0 }),
        Act::Repository { by: None, repository: 1, what: RepositoryAct::Activate },
    ] {
        let queued = world.queued(&act);
        world.run(queued.into_iter().collect());
    }
}

fn push(world: &mut World, push: i64) {
    for act in [
        Act::Repository { by: None, repository: 1, what: RepositoryAct::OpenPush },
        Act::Settle { push, moved: true, names: 1 },
        Act::Settle { push, moved: true, names: 1 },
    ] {
        let queued = world.queued(&act);
        world.run(queued.into_iter().collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn read_models_equal_a_fresh_load(acts in proptest::collection::vec(act(), 1..120), batch in 1..7usize) {
        let mut world = World::new();
        furnish(&mut world);
        for acts in acts.chunks(batch) {
            let commands: Vec<_> = acts.iter().filter_map(|act| world.queued(act)).collect();
            world.run(commands);
            acts.iter().for_each(|act| world.do_to_cache(act));
            world.heal_logins();
        }
        // A lost batch shows with the next batch.
        world.lose_next = false;
        let again = world.queued(&Act::Profile { by: 1, n: rand::random() });
        world.run(again.into_iter().collect());
        world.deliver_all();
        let fresh = world.fresh();
        prop_assert_eq!(world.models.differences(&fresh), Vec::<String>::new());
        prop_assert_eq!(world.models.chats.window_differences(&fresh.chats), vec![]);
    }
}

/// A window is evicted and requested again. While it is being read, more messages are committed:
/// the read may see none, some or all of them.
#[test]
fn window_refilled_during_commits_stays_dense() {
    for seen in 0..=3 {
        let mut world = World::new();
        let create = world.queued(&Act::Create { by: 1, with: 2, kind: 1 });
        world.run(create.into_iter().collect());
        let append = |world: &mut World, key| {
            let queued = world.queued(&Act::Say { by: 1, chat: 1, key });
            world.run(queued.into_iter().collect());
        };
        (0..4).for_each(|key| append(&mut world, key));
        world.models.chats.evict_one(ChatId(1));
        world.do_to_cache(&Act::Look { chat: 1 });
        (0..seen).for_each(|key| append(&mut world, 10 + key));
        let rows = world.window_rows(ChatId(1));
        (seen..3).for_each(|key| append(&mut world, 10 + key));
        let fill = world.fills.remove(0);
        world.models.chats.filled(fill, rows).unwrap();
        let range = EventRange { before: None, after: None, limit: 5, messages_only: true };
        let Lookup::Here(page) = world.models.chats.page(ChatId(1), &range) else {
            panic!("the window is there")
        };
        let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!((seqs, page.as_of), (vec![5, 6, 7, 8, 9], 9), "seen {seen}");
    }
}

/// A request for many users compared all their chats in one message.
#[test]
fn comparisons_beyond_the_bound_need_another_message() {
    let mut world = World::new();
    let create = world.queued(&Act::Create { by: 1, with: 2, kind: 1 });
    world.run(create.into_iter().collect());
    let ask = |max| {
        let mut common = CommonChats::new(&world.models.chats, UserId(1), max);
        [2, 3, 2].map(|user| common.share(UserId(user)))
    };
    assert_eq!(ask(100), [Some(true), Some(false), Some(true)]);
    assert_eq!(ask(1), [Some(true), None, None]);
}

/// A fill read a message. Before it was delivered the message was edited and deleted, and its
/// content came back.
#[test]
fn fill_shows_a_message_that_changed_during_the_read() {
    for changes in [&[0][..], &[0, 1], &[1], &[2, 4]] {
        let mut world = World::new();
        for act in [Act::Create { by: 1, with: 2, kind: 1 }, Act::Say { by: 1, chat: 1, key: 1 }] {
            let queued = world.queued(&act);
            world.run(queued.into_iter().collect());
        }
        world.models.chats.evict_one(ChatId(1));
        for act in [Act::Look { chat: 1 }, Act::Fetch] {
            world.do_to_cache(&act);
        }
        for what in changes {
            let queued = world.queued(&Act::Alter { by: 1, message: 1, what: *what });
            world.run(queued.into_iter().collect());
        }
        world.do_to_cache(&Act::Fill);
        let fresh = world.fresh();
        assert_eq!(world.models.chats.window_differences(&fresh.chats), vec![], "{changes:?}");
        let range = EventRange { before: None, after: None, limit: 5, messages_only: false };
        assert!(matches!(world.models.chats.page(ChatId(1), &range), Lookup::Here(_)), "it was compared");
    }
}

#[test]
fn fill_of_an_earlier_generation_is_void() {
    let mut world = World::new();
    let create = world.queued(&Act::Create { by: 1, with: 2, kind: 1 });
    world.run(create.into_iter().collect());
    world.models.chats.evict_one(ChatId(1));
    world.do_to_cache(&Act::Look { chat: 1 });
    let fill = world.fills.remove(0);
    world.models.chats.fill_failed(fill);
    let rows = world.window_rows(ChatId(1));
    world.do_to_cache(&Act::Look { chat: 1 });
    world.models.chats.filled(fill, rows).unwrap();
    let range = EventRange { before: None, after: None, limit: 5, messages_only: false };
    assert!(
        matches!(world.models.chats.page(ChatId(1), &range), Lookup::Missing(None)),
        "the newer fill is awaited"
    );
}

#[test]
fn lost_batch_is_detected_by_the_next_batch() {
    let mut world = World::new();
    world.lose_next = true;
    for n in 0..2 {
        let queued = world.queued(&Act::Profile { by: 1, n });
        world.run(queued.into_iter().collect());
    }
    assert_eq!(world.reloads, 1);
    let fresh = world.fresh();
    assert!(world.models.differences(&fresh).is_empty());
}

/// Makes sure that the comparison can fail.
#[test]
fn model_that_missed_a_batch_differs() {
    let mut world = World::new();
    world.lose_next = true;
    let queued = world.queued(&Act::Create { by: 1, with: 2, kind: 1 });
    world.run(queued.into_iter().collect());
    let fresh = world.fresh();
    assert!(world.models.differences(&fresh).len() >= 2);
}

/// Between a message and the slices that notify of it, users leave, mute, block, read and delete.
#[test]
fn slice_notifies_by_the_state_when_it_runs() {
    let mut world = World::with(Limits {
        notifications_per_message: 1,
        notifications_per_command: 1,
        notifications_slice_ms: 1_000,
        rates: false,
        ..Limits::default()
    });
    let notified = |world: &mut World, user: i64| {
        let fresh = world.fresh();
        let page = fresh.notifications.page(UserId(user), None, false, 10).unwrap();
        page.iter().map(|one| (one.seq, one.read_at.is_some())).collect::<Vec<_>>()
    };
    let act = |world: &mut World, act: Act| {
        let queued = world.queued(&act);
        world.run(queued.into_iter().collect());
    };
    act(&mut world, Act::Create { by: 1, with: 2, kind: 1 });
    for user in [3, 4] {
        act(&mut world, Act::Add { by: 1, chat: 1, user, role: 0 });
    }
    let seq = |world: &mut World| world.models.chats.get(ChatId(1)).unwrap().chat.last_seq;
    let mut before = [0; 5];
    for user in 1..=4 {
        before[usize::try_from(user).unwrap()] = notified(&mut world, user).len();
    }
    // Added users have a notification of that already; counting starts here.
    let since = |world: &mut World, user: i64| {
        let mut all = notified(world, user);
        all.truncate(all.len() - before[usize::try_from(user).unwrap()]);
        all
    };
    act(&mut world, Act::Say { by: 1, chat: 1, key: 3 });
    let first = seq(&mut world);
    act(&mut world, Act::Level { by: 2, chat: 1, level: 2 });
    act(&mut world, Act::Block { by: 3, user: 1, blocks: true });
    act(&mut world, Act::Read { by: 4, chat: 1 });
    world.deliver_all();
    assert_eq!((since(&mut world, 2), since(&mut world, 3)), (vec![], vec![]));
    assert_eq!(since(&mut world, 4), [(Some(first), true)], "it was read before it was written");

    act(&mut world, Act::Level { by: 2, chat: 1, level: 0 });
    act(&mut world, Act::Block { by: 3, user: 1, blocks: false });
    act(&mut world, Act::Say { by: 1, chat: 1, key: 6 });
    let second = seq(&mut world);
    act(&mut world, Act::Deliver);
    act(&mut world, Act::Deliver);
    act(&mut world, Act::Remove { by: 1, chat: 1, user: 3 });
    world.deliver_all();
    assert_eq!((since(&mut world, 2), since(&mut world, 3)), (vec![(Some(second), false)], vec![]));

    act(&mut world, Act::Say { by: 1, chat: 1, key: 9 });
    act(&mut world, Act::Deliver);
    act(&mut world, Act::Deliver);
    assert_eq!(since(&mut world, 2).len(), 2);
    act(&mut world, Act::Alter { by: 1, message: 3, what: 1 });
    world.deliver_all();
    assert_eq!((since(&mut world, 2).len(), since(&mut world, 4).len()), (1, 2));
    let fresh = world.fresh();
    assert_eq!(world.models.differences(&fresh), Vec::<String>::new());
}

/// With a small limit the database dropped notifications that the cache still showed.
#[test]
fn evicted_notifications_are_dropped_by_database_and_cache() {
    for keep in [3, 400] {
        let mut world = World::with(Limits { notifications_per_user: keep, ..Limits::default() });
        furnish(&mut world);
        (1..=105).for_each(|number| push(&mut world, number));
        let fresh = world.fresh();
        assert_eq!(world.models.differences(&fresh), Vec::<String>::new());
        let page = fresh.notifications.page(UserId(2), None, false, 100).unwrap();
        assert_eq!(page.len(), usize::try_from(keep).unwrap().min(100));
    }
}

/// The owner removed the retention between two commands of a round: no event reported the trimmed
/// messages.
#[test]
fn trim_is_reported_when_retention_ends_in_its_round() {
    let mut world = World::new();
    let act = |world: &mut World, act: Act| {
        let queued = world.queued(&act);
        world.run(queued.into_iter().collect());
    };
    act(&mut world, Act::Create { by: 1, with: 2, kind: 1 });
    for key in 1..=8 {
        act(&mut world, Act::Say { by: 1, chat: 1, key });
    }
    act(&mut world, Act::Keep { by: 1, chat: 1, keep: 3 });
    act(&mut world, Act::Trim { chat: 1 });
    act(&mut world, Act::Keep { by: 1, chat: 1, keep: 0 });
    let trims = |world: &mut World| -> Vec<_> {
        let entries = world.window_rows(ChatId(1)).entries;
        let trims = entries.iter().filter_map(|event| match event.change {
            Change::Trim { to_seq } => Some(to_seq),
            _ => None,
        });
        trims.collect()
    };
    assert!(trims(&mut world).is_empty());
    for _ in 0..2 {
        act(&mut world, Act::Trim { chat: 1 });
        let trimmed = world.models.chats.get(ChatId(1)).unwrap().chat.trimmed_seq;
        assert!(trimmed > 0);
        assert_eq!(trims(&mut world), [trimmed], "once");
    }
    let fresh = world.fresh();
    assert_eq!(world.models.differences(&fresh), Vec::<String>::new());
}

/// A web login is found by its hash, in the models and in a fresh load, until it ends.
#[test]
fn web_login_is_found_by_its_hash_until_it_ends() {
    let mut world = World::new();
    let hash = [7; 32];
    let found = |models: &ReadModels| {
        let found = models.directory.web_login(&hash);
        found.map(|found| (found.id, found.who, found.handle.last_used_at))
    };
    let start = StartLogin { secret: LoginSecret::Web(hash), ..start_login(UserId(1), 1, true) };
    let (start, mut answer) = queued(start);
    world.run(vec![start]);
    let login = answer.try_recv().unwrap().unwrap();
    let (id, who, _) = found(&world.models).unwrap();
    assert_eq!((id, who), (login, Credential::login(UserId(1), login, 1)));
    world.models.directory.authenticate(who).unwrap();

    let at = Timestamp::now().plus_seconds(3600);
    world.run(vec![queued(RecordWebLoginUses { uses: vec![(login, at)] }).0]);
    assert_eq!(found(&world.models), Some((login, who, at)));
    assert_eq!(found(&world.fresh()), Some((login, who, at)));

    // Another user's login stays.
    let others = Credential { user: UserId(2), ..who };
    let (end, mut refused) = queued(EndOwnLogin { who: others, login });
    world.run(vec![end]);
    assert!(refused.try_recv().unwrap().is_err());
    assert!(found(&world.models).is_some());

    let (end, mut ended) = queued(EndOwnLogin { who, login });
    world.run(vec![end]);
    assert_eq!(ended.try_recv().unwrap(), Ok(()));
    assert_eq!((found(&world.models), found(&world.fresh())), (None, None));
    let (end, mut again) = queued(EndOwnLogin { who: world.who(1), login });
    world.run(vec![end, queued(RecordWebLoginUses { uses: vec![(login, at)] }).0]);
    assert_eq!(again.try_recv().unwrap(), Err(CommandError::Refused(Refusal::NotFound("login"))));
    assert_eq!(found(&world.models), None);
}
