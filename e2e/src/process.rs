//! What a process takes, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// The high-water mark of a process's resident memory, in bytes; 0 when it is gone.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
}

/// Lets the high-water mark begin anew at what the process holds now.
///
/// # Panics
/// When the process is gone, or is another user's.
pub fn forget_peak_memory(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}

/// How long a process kept a processor busy; zero where it has ended.
pub fn busy(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the process stands in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    // Of its own and of the kernel for it, in hundredths of a second.
    let ticks = fields.skip(11).take(2).filter_map(|field| -> Option<u64> { field.parse().ok() });
    Duration::from_millis(10 * ticks.sum::<u64>())
}
