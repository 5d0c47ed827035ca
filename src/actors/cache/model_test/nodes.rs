//! Three nodes of one PostgreSQL database run random commands in random order. After each batch,
//! the writer cache of every node equals the database; at the end, so do its read models.
//!
//! `NETBIT_TEST_POSTGRES` is the URL of the database server; without it the test does not run.

use std::cell::RefCell;

use diesel::connection::SimpleConnection;
use proptest::test_runner::{Config, TestRunner};

use super::acts::{Act, act};
use super::furnish;
use super::world::{Node, World, limits};
use crate::core::database::Db;
use crate::core::database::postgres::{self, Purpose, Server};
use crate::storage::commit_log;

const NODES: usize = 3;
const CASES: u32 = 24;

/// A database that is dropped at the end.
struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    fn create(server: &str, case: u32) -> Self {
        let name = format!("netbit_model_{}_{case}", std::process::id());
        execute(server, &format!("CREATE DATABASE {name}"));
        Self { server: server.to_owned(), name }
    }

    fn url(&self) -> String {
        let (base, _) = self.server.rsplit_once('/').unwrap();
        format!("{base}/{}", self.name)
    }

    fn connect(&self, purpose: Purpose) -> Db {
        let server = Server::new(&self.url()).unwrap();
        Db::Postgres(Box::new(server.connect(purpose).unwrap()))
    }

    fn migrate(&self) {
        let Db::Postgres(mut db) = self.connect(Purpose::Migration) else { unreachable!() };
        postgres::migrate(&mut db.queries).unwrap();
        commit_log::begin_log(&mut db.queries).unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        execute(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn execute(server: &str, sql: &str) {
    let mut db = Server::new(server).unwrap().connect(Purpose::Migration).unwrap();
    db.queries.batch_execute(sql).unwrap();
}

/// The running node is in the world, the others are parked.
struct Nodes {
    world: World,
    parked: Vec<Node>,
}

impl Nodes {
    fn new(database: &TestDatabase) -> Self {
        database.migrate();
        let (writer, reader) = (database.connect(Purpose::Writer), database.connect(Purpose::Reader));
        let mut world = World::on(writer, reader, limits(), None);
        let mut parked = Vec::new();
        for number in 1..NODES {
            let number = i16::try_from(number).unwrap();
            parked.push(world.node(database.connect(Purpose::Writer), number, limits()));
        }
        Self { world, parked }
    }

    /// Runs this node instead of the first; a second call runs the first again.
    fn switch_to(&mut self, node: usize) {
        if let Some(node) = node.checked_sub(1) {
            self.world.switch(&mut self.parked[node]);
        }
    }

    /// Checks the writer cache of each node after it has read the log.
    fn check_caches(&mut self) {
        for node in 0..NODES {
            self.switch_to(node);
            self.world.read_log();
            let differences = self.world.executor.cache_differences();
            assert_eq!(differences, Vec::<String>::new(), "at node {node} of this round");
            self.switch_to(node);
        }
    }

    fn check_models(&mut self) {
        for node in 0..NODES {
            self.switch_to(node);
            self.world.read_log();
            let fresh = self.world.fresh();
            assert_eq!(self.world.models.differences(&fresh), Vec::<String>::new(), "at node {node}");
            assert_eq!(self.world.models.chats.window_differences(&fresh.chats), vec![], "at node {node}");
            self.switch_to(node);
        }
    }
}

/// A node that was away for long took the trimmed log for a database that has lost commits. It
/// ended, and its next start logged out all users.
#[test]
fn node_behind_the_trimmed_log_reads_a_snapshot() {
    let Ok(server) = std::env::var("NETBIT_TEST_POSTGRES") else {
        println!("SKIPPED: NETBIT_TEST_POSTGRES is not set");
        return;
    };
    let database = TestDatabase::create(&server, 0);
    let mut nodes = Nodes::new(&database);
    furnish(&mut nodes.world);
    let profile = |nodes: &mut Nodes, n: u8| {
        let command = nodes.world.queued(&Act::Profile { by: 1, n });
        nodes.world.run(command.into_iter().collect());
    };
    profile(&mut nodes, 1);
    execute(&database.url(), "DELETE FROM commits WHERE commit_no < (SELECT max(commit_no) FROM commits)");
    nodes.check_models();
    assert_eq!(nodes.world.reloads, 2, "both nodes have loaded a snapshot");
    nodes.check_caches();
    nodes.switch_to(1);
    profile(&mut nodes, 2);
    nodes.switch_to(1);
    execute(&database.url(), "DELETE FROM commits WHERE commit_no < (SELECT max(commit_no) FROM commits)");
    nodes.switch_to(2);
    profile(&mut nodes, 3);
    nodes.switch_to(2);
    assert_eq!(nodes.world.reloads, 3, "node 2 has loaded a snapshot before it wrote");
    nodes.check_models();
    nodes.check_caches();
    drop(nodes);
}

#[test]
fn caches_and_models_of_all_nodes_equal_the_database() {
    let Ok(server) = std::env::var("NETBIT_TEST_POSTGRES") else {
        println!("SKIPPED: NETBIT_TEST_POSTGRES is not set");
        return;
    };
    let case = RefCell::new(0);
    let mut runner = TestRunner::new(Config { cases: CASES, max_shrink_iters: 64, ..Config::default() });
    let rounds = proptest::collection::vec((0..NODES, proptest::collection::vec(act(), 1..5)), 1..40);
    let outcome = runner.run(&rounds, |rounds| {
        *case.borrow_mut() += 1;
        let database = TestDatabase::create(&server, *case.borrow());
        let mut nodes = Nodes::new(&database);
        furnish(&mut nodes.world);
        for (node, acts) in rounds {
            nodes.switch_to(node);
            let commands: Vec<_> = acts.iter().filter_map(|act| nodes.world.queued(act)).collect();
            nodes.world.run(commands);
            acts.iter().for_each(|act| nodes.world.do_to_cache(act));
            nodes.world.heal_logins();
            nodes.switch_to(node);
            nodes.check_caches();
        }
        // A lost batch shows with the next batch.
        nodes.world.lose_next = false;
        let last = nodes.world.queued(&Act::Profile { by: 1, n: rand::random() });
        nodes.world.run(last.into_iter().collect());
        nodes.world.deliver_all();
        nodes.check_models();
        drop(nodes);
        Ok(())
    });
    outcome.unwrap();
}
