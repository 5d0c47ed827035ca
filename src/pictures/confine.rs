//! Takes from the child process everything that decoding does not need, before it reads a byte.
//!
//! The kernel enforces each step. If a decoder has a flaw, its process can use some memory and
//! time, and write a wrong picture. The last steps permit no further descriptor: no file, no socket
//! and no pipe can be made, on every kernel. Landlock also forbids to read the memory of processes
//! outside, and since Linux 6.12 signals to them. Without it, the child has the rights of its user
//! there.

use std::fs;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, Scope,
};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::ThumbnailOrder;
use crate::core::machine::lower_thread_priority;

/// The newest version of the rules that is used; an older kernel enforces those that it supports.
const RULES: ABI = ABI::V6;
/// The `nice` value of the child: chat has priority.
const PRIORITY: i32 = 10;
/// Seconds of CPU time between the signal that ends a child and the signal that it cannot ignore.
const CPU_GRACE_SECONDS: u64 = 1;

/// Limits the calling process. Must run before any other thread, with its input open.
///
/// # Errors
/// A limit cannot be set. A kernel without Landlock is not an error.
pub fn confine(order: &ThumbnailOrder) -> io::Result<()> {
    // The server ended: no result is needed any more.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    lower_thread_priority(PRIORITY);
    let (mapped, data) = memory_in_use()?;
    set(Resource::As, mapped.saturating_add(order.memory_bytes), 0)?;
    set(Resource::Data, data.saturating_add(order.memory_bytes), 0)?;
    // First SIGXCPU: SIGKILL alone is also the end by an operator, or for want of memory.
    set(Resource::Cpu, order.cpu_seconds, CPU_GRACE_SECONDS)?;
    set(Resource::Core, 0, 0)?;
    // Pipes are not files: the output is not affected.
    set(Resource::Fsize, 0, 0)?;
    // No further processes. The kernel does not apply it to root.
    set(Resource::Nproc, 0, 0)?;
    // The limits apply without it.
    drop(forbid_files_and_network());
    // After the steps that open files. The standard ones and the input stay open.
    set(Resource::Nofile, 0, 0)?;
    // Root could raise the limits again.
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Sets a limit. The process can raise it by `more`.
fn set(resource: Resource, most: u64, more: u64) -> io::Result<()> {
    let within = |most: u64| getrlimit(resource).maximum.map_or(most, |own| own.min(most));
    let (current, maximum) = (within(most), within(most.saturating_add(more)));
    Ok(setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?)
}

/// Returns the bytes of address space and of writable memory that the process has (proc(5), statm).
fn memory_in_use() -> io::Result<(u64, u64)> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let mut pages = statm.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(mapped)), Some(Ok(data))) = (pages.next(), pages.nth(4)) else {
        return Err(io::Error::other("/proc/self/statm has an unknown form"));
    };
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    Ok((mapped.saturating_mul(page), data.saturating_mul(page)))
}

/// Forbids files, connections by TCP, and the abstract sockets and signals of other processes
/// (landlock(7)).
fn forbid_files_and_network() -> Result<(), RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?
        .restrict_self()
        .map(drop)
}
