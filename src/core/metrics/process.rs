//! Metrics of the process, from Linux (proc(5)). The names are those of Prometheus' client
//! libraries.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::{Export, Rows};

/// Collects the values of `/proc/self`.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    started_at: SystemTime,
}

impl Process {
    /// Creates the metrics of a process that has just started.
    pub fn started() -> Self {
        Self { started_at: SystemTime::now() }
    }
}

impl Export for Process {
    fn export(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(*self));
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        let mut rows = Rows(encoder);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        rows.gauges("netbit_build_info", "Always 1; the label is the running version", [(version, 1.0)])?;
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        rows.gauge(
            "process_start_time_seconds",
            "When the server was started, in seconds since 1970",
            started.as_secs_f64(),
        )?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of_status = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        rows.gauge(
            "process_resident_memory_bytes",
            "Memory in RAM, without that of git children",
            of_status("VmRSS") * 1024.0,
        )?;
        rows.gauge("process_threads", "Threads", of_status("Threads"))?;
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        rows.gauge("process_open_fds", "Open file descriptors", f64::from(saturating(descriptors)))?;
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        rows.gauge(
            "process_max_fds",
            "File descriptors that may be open",
            f64::from(u32::try_from(most).unwrap_or(u32::MAX)),
        )?;
        rows.counter("process_cpu_seconds", "CPU time, user and system", cpu_seconds().unwrap_or(0.0))
    }
}

fn saturating(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Sums fields 14 and 15 of `/proc/self/stat`. The second field, the program's name, may hold
/// anything, even brackets.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    let per_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).ok()?);
    Some((ticks.next()? + ticks.next()?) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_process_reports_memory_threads_and_descriptors() {
        let mut registry = Registry::default();
        Process::started().export(&mut registry);
        let text = super::super::render(&registry).unwrap();
        for name in
            ["process_resident_memory_bytes", "process_threads", "process_open_fds", "process_max_fds"]
        {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        }
        let spent = |until: f64| while cpu_seconds().unwrap() < until {};
        spent(cpu_seconds().unwrap() + 0.01);
    }
}
