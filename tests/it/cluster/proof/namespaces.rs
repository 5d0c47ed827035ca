//! Network namespaces: each node in its own, with a pair of virtual interfaces for each link.
//!
//! The addresses are of 198.18.0.0/15, which is reserved for measurements. Names and addresses
//! depend on the id of the test process, so test processes do not disturb each other. A namespace
//! is removed at the end of its trial, also after a panic; those of killed processes are removed by
//! a later test.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::network::{CutAt, Link, NODES};

/// The prefix of all namespaces; the id of the process, a number and the node follow.
const PREFIX: &str = "netbit-proof-";
/// The networks of a process: further ones reuse the addresses of removed ones.
const PER_PROCESS: u32 = 4;
/// The subnets of 32 addresses in 198.18.0.0/15.
const BLOCKS: u32 = 4096;

const LINKS: [Link; 2] = [Link::Clients, Link::Database];

pub(super) struct Namespaces {
    process: u32,
    number: u32,
}

impl Namespaces {
    /// # Errors
    ///
    /// Returns the reason when this process may not make namespaces.
    pub(super) fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("the test does not run as root".to_owned());
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_those_of_ended_processes();
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % PER_PROCESS;
        let namespaces = Self { process: std::process::id(), number };
        namespaces.make()?;
        Ok(namespaces)
    }

    fn make(&self) -> Result<(), String> {
        // Answers to a node without a route must not leave by the route of this machine.
        ip(&["route", "add", "blackhole", &self.block()])?;
        for node in 0..NODES {
            let name = &self.name(node);
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            for link in LINKS {
                let (outside, inside) = (&self.interface(node, link), inside_interface(link));
                ip(&["link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name])?;
                let address = format!("{}/30", self.outside(node, link));
                ip(&["address", "add", &address, "dev", outside])?;
                ip(&["link", "set", outside, "up"])?;
                let address = format!("{}/30", self.inside(node, link));
                ip(&["-n", name, "address", "add", &address, "dev", inside])?;
                ip(&["-n", name, "link", "set", inside, "up"])?;
            }
            ip(&["netns", "exec", name, "true"])?;
        }
        Ok(())
    }

    pub(super) fn name(&self, node: usize) -> String {
        format!("{PREFIX}{}-{}-{node}", self.process, self.number)
    }

    fn interface(&self, node: usize, link: Link) -> String {
        interface(self.process, self.number, node, link)
    }

    fn block(&self) -> String {
        block(self.process, self.number)
    }

    fn address(&self, node: usize, link: Link, host: u32) -> Ipv4Addr {
        let link = u32::try_from(node * LINKS.len() + usize::from(link == Link::Database)).unwrap();
        Ipv4Addr::from_bits(first_address(self.process, self.number) + link * 4 + host)
    }

    /// Returns the address of this machine on a link.
    pub(super) fn outside(&self, node: usize, link: Link) -> String {
        self.address(node, link, 1).to_string()
    }

    /// Returns the address of the node on a link.
    pub(super) fn inside(&self, node: usize, link: Link) -> String {
        self.address(node, link, 2).to_string()
    }

    pub(super) fn database_addresses(&self) -> Vec<String> {
        (0..NODES).map(|node| self.outside(node, Link::Database)).collect()
    }

    pub(super) fn cut(&self, node: usize, link: Link, at: CutAt) {
        self.set(node, link, at, "down");
    }

    pub(super) fn mend(&self, node: usize, link: Link) {
        self.set(node, link, CutAt::Far, "up");
        self.set(node, link, CutAt::Near, "up");
    }

    fn set(&self, node: usize, link: Link, at: CutAt, state: &str) {
        let (name, outside) = (self.name(node), self.interface(node, link));
        let done = match at {
            CutAt::Far => ip(&["link", "set", &outside, state]),
            CutAt::Near => ip(&["-n", &name, "link", "set", inside_interface(link), state]),
        };
        done.unwrap();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(self.process, self.number);
    }
}

fn inside_interface(link: Link) -> &'static str {
    match link {
        Link::Clients => "clients",
        Link::Database => "database",
    }
}

/// Returns the name of an interface: at most 15 characters, also of the largest process id.
fn interface(process: u32, number: u32, node: usize, link: Link) -> String {
    let link = node * LINKS.len() + usize::from(link == Link::Database);
    format!("nb{process}k{number}l{link}")
}

fn first_address(process: u32, number: u32) -> u32 {
    let block = (process * PER_PROCESS + number) % BLOCKS;
    Ipv4Addr::new(198, 18, 0, 0).to_bits() + block * 32
}

fn block(process: u32, number: u32) -> String {
    format!("{}/27", Ipv4Addr::from_bits(first_address(process, number)))
}

/// Removes a network, or what exists of it.
fn remove(process: u32, number: u32) {
    for node in 0..NODES {
        let name = format!("{PREFIX}{process}-{number}-{node}");
        // Nodes outlive a test process that was killed.
        for line in ip(&["netns", "pids", &name]).unwrap_or_default().lines() {
            let pid = line.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        for link in LINKS {
            // The namespace removes its interfaces some time later.
            ip(&["link", "delete", &interface(process, number, node, link)]).ok();
        }
        ip(&["netns", "delete", &name]).ok();
    }
    ip(&["route", "delete", "blackhole", &block(process, number)]).ok();
}

fn remove_those_of_ended_processes() {
    let Ok(all) = std::fs::read_dir("/run/netns") else { return };
    for name in all.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let mut parts = name.strip_prefix(PREFIX).into_iter().flat_map(|rest| rest.split('-'));
        let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
        if let (Some(process), Some(number)) = (next(), next())
            && !Path::new("/proc").join(process.to_string()).exists()
        {
            remove(process, number);
        }
    }
}

/// Runs `ip`; returns its output.
///
/// # Errors
///
/// Returns what it printed.
fn ip(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("ip");
    let output = command.args(arguments).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

#[test]
fn names_of_interfaces_fit_and_networks_differ() {
    let largest = 4_194_304;
    assert!(interface(largest, PER_PROCESS - 1, NODES - 1, Link::Database).len() <= 15);
    let blocks: std::collections::BTreeSet<_> =
        (0..PER_PROCESS).flat_map(|number| [block(largest - 1, number), block(largest, number)]).collect();
    assert_eq!(blocks.len(), 2 * usize::try_from(PER_PROCESS).unwrap());
    assert!(blocks.iter().all(|block| block.starts_with("198.18.") || block.starts_with("198.19.")));
}
