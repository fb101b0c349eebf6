//! On folders made to look like cgroups: a machine has only one of the two versions. tests/runtime_metrics.rs has a real
//! cgroup.
#![allow(clippy::unwrap_used)]

use super::*;
use procfs::FromRead;
use procfs::process::MountInfos;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn controller(version: Version, folder: &tempfile::TempDir, root: &str) -> CpuController {
    CpuController { version, mount: folder.path().to_owned(), root: root.into() }
}

const STAT: &str = "usage_usec 9\nnr_periods 40\nnr_throttled 30\nthrottled_usec 2500000\n";

#[test]
fn the_tightest_limit_of_version_2_counts() {
    let folder = tree(&[
        ("kube/pod/cpu.max", "50000 100000\n"),
        ("kube/pod/cpu.stat", STAT),
        ("kube/pod/app/cpu.max", "max 100000\n"),
        ("kube/pod/app/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"),
        ("kube/cpu.max", "400000 100000\n"),
    ]);
    let throttling = Throttling { periods: 40, throttled_periods: 30, throttled_seconds: 2.5 };
    let limit = CpuLimit { cpus: 0.5, throttling: Some(throttling) };
    let cgroups = controller(Version::Two, &folder, "/");
    assert_eq!(cgroups.limit_at("/kube/pod/app").unwrap(), Some(limit));
    assert_eq!(cgroups.limit_at("/kube").unwrap(), Some(CpuLimit { cpus: 4.0, throttling: None }));
    assert_eq!(cgroups.limit_at("/").unwrap(), None);
    // A part of the tree is mounted.
    assert_eq!(controller(Version::Two, &folder, "/node").limit_at("/node/kube/pod").unwrap(), Some(limit));
}

#[test]
fn version_1_has_other_names() {
    let folder = tree(&[
        ("a/cpu.cfs_quota_us", "150000\n"),
        ("a/cpu.cfs_period_us", "100000\n"),
        ("a/cpu.stat", "nr_periods 5\nnr_throttled 4\nthrottled_time 1500000000\n"),
        ("a/b/cpu.cfs_quota_us", "-1\n"),
        ("a/b/cpu.cfs_period_us", "100000\n"),
    ]);
    let throttling = Throttling { periods: 5, throttled_periods: 4, throttled_seconds: 1.5 };
    let limit = CpuLimit { cpus: 1.5, throttling: Some(throttling) };
    assert_eq!(controller(Version::One, &folder, "/").limit_at("/a/b").unwrap(), Some(limit));
}

#[test]
fn what_is_outside_is_said_to_be() {
    let folder = tree(&[("a/cpu.max", "1 1\n")]);
    let cgroups = controller(Version::Two, &folder, "/");
    for path in ["/../other", "/gone", "relative", "", "/a/../../b"] {
        assert!(matches!(cgroups.limit_at(path), Err(CpuLimitError::Outside(_))), "{path}");
    }
    assert!(matches!(controller(Version::Two, &folder, "/node").limit_at("/else"), Err(CpuLimitError::Outside(_))));
}

#[test]
fn garbage_is_no_limit() {
    for text in ["", "max", "5", "-5 100", "5 0", "x y", "99999999999999999999999 1"] {
        let folder = tree(&[("a/cpu.max", text)]);
        assert_eq!(controller(Version::Two, &folder, "/").limit_at("/a").unwrap(), None, "{text:?}");
    }
}

#[test]
fn the_mount_with_the_controller_is_found() {
    let first = "30 20 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
    let second = "31 20 0:26 /kube /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let find = |text: &str| CpuController::among(MountInfos::from_read(text.as_bytes()).unwrap().0.iter());
    let one = find(&[second, first].concat()).unwrap();
    assert_eq!((one.version, one.mount.to_str()), (Version::One, Some("/sys/fs/cgroup/cpu,cpuacct")));
    let two = find(second).unwrap();
    assert_eq!((two.version, two.root.to_str()), (Version::Two, Some("/kube")));
    assert_eq!(find(""), None);
}
