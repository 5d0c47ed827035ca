//! Tests of the repository directories.

use super::*;

#[test]
fn store_creates_finds_updates_head_and_discards_repository() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = StorageKey::fresh();
    assert!(matches!(store.existing(key), Err(StoreError::Missing)));
    store.create(key, "trunk").unwrap();
    let path = store.existing(key).unwrap();
    assert_eq!(fs::read_to_string(path.join("HEAD")).unwrap(), "ref: refs/heads/trunk\n");
    assert!(!path.join("hooks").exists());
    store.ensure_head(key, "main").unwrap();
    assert_eq!(fs::read_to_string(path.join("HEAD")).unwrap(), "ref: refs/heads/main\n");
    store.discard(key).unwrap();
    assert!(matches!(store.existing(key), Err(StoreError::Missing)));
    store.discard(key).unwrap();
    store.empty_trash().unwrap();
    assert!(fs::read_dir(store.trash()).unwrap().next().is_none());
}

#[test]
fn store_removes_incomplete_repositories_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = StorageKey::fresh();
    fs::create_dir_all(store.tmp().join(key.to_string()).join("objects")).unwrap();
    store.create(key, "main").unwrap();
    fs::create_dir_all(store.tmp().join("half")).unwrap();
    store.empty_tmp().unwrap();
    assert!(fs::read_dir(store.tmp()).unwrap().next().is_none());
    assert!(store.existing(key).is_ok());
}

#[test]
fn store_removes_only_locks_and_quarantine_of_killed_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = StorageKey::fresh();
    store.create(key, "main").unwrap();
    let path = store.path(key);
    fs::create_dir_all(path.join("objects/tmp_objdir-incoming-x/pack")).unwrap();
    fs::create_dir_all(path.join("refs/heads/a")).unwrap();
    fs::write(path.join("refs/heads/a/b.lock"), "").unwrap();
    fs::write(path.join("refs/heads/a/c"), "x").unwrap();
    fs::write(path.join("packed-refs.lock"), "").unwrap();
    fs::create_dir_all(path.join("objects/pack")).unwrap();
    fs::create_dir_all(path.join("objects/info")).unwrap();
    let [graph, index] = ["objects/info/commit-graph.lock", "objects/pack/multi-pack-index.lock"];
    fs::write(path.join(graph), "").unwrap();
    fs::write(path.join(index), "").unwrap();
    store.remove_locks(key).unwrap();
    assert!(!path.join(graph).exists() && !path.join(index).exists());
    assert!(!path.join("refs/heads/a/b.lock").exists() && !path.join("packed-refs.lock").exists());
    assert!(path.join("refs/heads/a/c").exists());
    fs::write(path.join("objects/pack/tmp_pack_x"), "").unwrap();
    store.sweep(key, SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    assert!(path.join("objects/tmp_objdir-incoming-x").exists(), "a push may be writing to it");
    fs::write(path.join("packed-refs.lock"), "").unwrap();
    store.sweep(key, SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    assert!(!path.join("packed-refs.lock").exists());
    assert!(!path.join("objects/tmp_objdir-incoming-x").exists());
    assert!(!path.join("objects/pack/tmp_pack_x").exists());
    assert!(store.size_bytes(key).is_ok());
}

/// A power failure leaves names of files whose content was not on disk; git treats an empty ref as
/// broken.
#[test]
fn store_removes_refs_emptied_by_a_power_failure() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let key = StorageKey::fresh();
    store.create(key, "main").unwrap();
    let tags = store.path(key).join("refs/tags");
    fs::write(tags.join("empty"), "").unwrap();
    fs::write(tags.join("whole"), "1".repeat(40)).unwrap();
    store.sync_refs(key).unwrap();
    store.remove_locks(key).unwrap();
    let left: Vec<_> = fs::read_dir(&tags).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["whole"]);
}

/// Regression: git silently skipped the pre-receive hook where the data directory was mounted
/// `noexec`.
#[test]
fn store_reports_whether_hooks_can_run() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut asked = 0;
    // The last mount at a path is the effective one.
    let places: std::collections::BTreeMap<&str, &str> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.nth(1)?))
        })
        .collect();
    for (place, options) in places {
        let store = Store { root: place.into(), own: String::new() };
        let Ok(can_run) = store.hooks_can_run() else { continue };
        assert_eq!(can_run, !options.split(',').any(|option| option == "noexec"), "{place}: {options}");
        asked += 1;
    }
    assert!(asked > 0);
}
