//! How much memory this process may use.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Where the kernel shows control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The memory, in bytes, that this process may use: the lowest limit of its control group and of those around it, as far as
/// they are visible, and at most the memory of the machine. `u64::MAX` if the system does not tell.
pub fn limit() -> u64 {
    let read = |path: &Path| fs::read_to_string(path).ok();
    lowest(read)
}

fn lowest(read: impl Fn(&Path) -> Option<String>) -> u64 {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files).filter_map(|file| read(&file)?.trim().parse().ok());
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total_memory(&text));
    limits.chain(machine).min().unwrap_or(u64::MAX)
}

/// The files that may limit the memory of a group, from a line of `/proc/self/cgroup` (man page cgroups(7)): `0::/path` in
/// version 2, and `number:controllers:/path` in version 1.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (root, file) = if controllers.is_empty() {
        (PathBuf::from(CGROUPS), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (Path::new(CGROUPS).join("memory"), "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    // A group outside the visible part of the tree has a path that leads upwards.
    let names = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
    let group = names.fold(root.clone(), |group, name| group.join(name));
    let around = group.ancestors().take_while(|ancestor| ancestor.starts_with(&root));
    around.map(|group| group.join(file)).collect()
}

/// The memory of the machine, from `/proc/meminfo`.
fn total_memory(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn with_files(files: &[(&str, &str)]) -> u64 {
        lowest(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  1 kB\n");

    #[test]
    fn the_lowest_limit_around_the_process_counts() {
        let groups = ("/proc/self/cgroup", "0::/service/copy\n");
        let own = ("/sys/fs/cgroup/service/copy/memory.max", "max\n");
        let around = ("/sys/fs/cgroup/service/memory.max", "1073741824\n");
        let root = ("/sys/fs/cgroup/memory.max", "2147483648\n");
        assert_eq!(with_files(&[MACHINE, groups, own, around, root]), GIB);
        assert_eq!(with_files(&[MACHINE, groups, own, root]), 2 * GIB);
        assert_eq!(with_files(&[MACHINE, groups, own]), 8 * GIB);
        // As in a container whose own group is not visible by its name.
        let outside = ("/proc/self/cgroup", "0::/../../other\n");
        assert_eq!(with_files(&[MACHINE, outside, root]), 2 * GIB);
    }

    #[test]
    fn version_1_limits_are_read_too() {
        let groups = ("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/1f\n0::/\n");
        let unlimited = ("/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes", "9223372036854771712\n");
        let limited = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        let of_cpu = ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1\n");
        assert_eq!(with_files(&[MACHINE, groups, unlimited, of_cpu]), 8 * GIB);
        assert_eq!(with_files(&[MACHINE, groups, unlimited, limited]), GIB / 2);
    }

    #[test]
    fn a_system_that_tells_nothing_has_no_limit() {
        assert_eq!(with_files(&[]), u64::MAX);
        assert_eq!(
            with_files(&[("/proc/self/cgroup", "nonsense\n"), ("/proc/meminfo", "MemTotal: much\n")]),
            u64::MAX
        );
    }
}
