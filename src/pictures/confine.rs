//! Takes from the child process everything that decoding does not need, before it reads a byte.
//!
//! Each step is enforced by the kernel. If a decoder has a flaw, its process can use some memory
//! and time, and write a wrong picture.

use std::fs;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

use super::ThumbnailOrder;
use crate::core::machine::lower_thread_priority;

/// The newest version of the rules that is used; an older kernel enforces those that it supports.
const RULES: ABI = ABI::V5;
/// Open files: the standard ones, and a copy of the first.
const OPEN_FILES: u64 = 8;

/// The `nice` value of the child: chat has priority.
const PRIORITY: i32 = 10;

/// Limits the calling process. Must run before any other thread.
///
/// # Errors
/// A limit cannot be set. A kernel without Landlock is not an error.
pub fn confine(order: &ThumbnailOrder) -> io::Result<()> {
    // The server ended: no result is needed any more.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    lower_thread_priority(PRIORITY);
    let (mapped, data) = memory_in_use()?;
    set(Resource::As, mapped.saturating_add(order.memory_bytes))?;
    set(Resource::Data, data.saturating_add(order.memory_bytes))?;
    set(Resource::Cpu, order.cpu_seconds)?;
    set(Resource::Nofile, OPEN_FILES)?;
    set(Resource::Core, 0)?;
    // Pipes are not files: the output is not affected.
    set(Resource::Fsize, 0)?;
    // No further processes. The kernel does not apply it to root.
    set(Resource::Nproc, 0)?;
    // The limits above apply without it.
    drop(forbid_files_and_network());
    Ok(())
}

/// Sets a limit, which cannot be raised again.
fn set(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |own| own.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
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

/// Forbids to open any file and any connection (landlock(7)).
fn forbid_files_and_network() -> Result<(), RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .create()?
        .restrict_self()
        .map(drop)
}
