//! Names, bounds and removals of the cache.

use std::io::Read;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn cache(dir: &Path, bytes: u64) -> PictureCache {
    PictureCache::open(dir, &Limits { thumbnail_cache_bytes: bytes, ..Limits::default() })
}

fn key(first: u8, last: u8, side: u32) -> PictureKey {
    let mut hash = [0; 32];
    (hash[0], hash[31]) = (first, last);
    PictureKey { hash: BlobHash(hash), chat: ChatId(3), side }
}

fn content(cache: &PictureCache, key: PictureKey) -> Option<Vec<u8>> {
    match cache.find(key).unwrap()? {
        Cached::Picture(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            Some(bytes)
        }
        Cached::Failed(_) => None,
    }
}

fn set_age(path: &Path, age: Duration) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn names(cache: &PictureCache, part: &str) -> Vec<String> {
    let entries = fs::read_dir(cache.root.join(part)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn picture_is_found_until_its_file_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 16 << 20);
    let (small, large, other) = (key(0xab, 1, 360), key(0xab, 1, 1080), key(0xab, 2, 360));
    // Another chat, and a side that this version does not make.
    let (elsewhere, odd) = (PictureKey { chat: ChatId(4), ..small }, key(0xab, 1, 77));
    for key in [small, large, other, elsewhere, odd] {
        assert_eq!(content(&cache, key), None);
        cache.put(key, format!("{key:?}").as_bytes()).unwrap();
        assert_eq!(content(&cache, key), Some(format!("{key:?}").into_bytes()));
    }
    cache.put_failure(small, Failure::TooLarge).unwrap();
    assert_eq!(content(&cache, small), Some(format!("{small:?}").into_bytes()));
    cache.remove(&[small.hash, key(9, 9, 360).hash]).unwrap();
    for key in [small, large, elsewhere, odd] {
        assert!(cache.find(key).unwrap().is_none());
    }
    assert!(content(&cache, other).is_some());
    assert_eq!(names(&cache, "a").len(), 1);
    cache.tidy(0xa, |_| true).unwrap();
    assert_eq!(cache.bytes(), BLOCK_BYTES);
}

#[test]
fn pictures_without_a_blob_and_of_other_versions_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 16 << 20);
    let (kept, gone) = (key(0xab, 1, 360), key(0xab, 2, 360));
    cache.put(kept, b"x").unwrap();
    cache.put(gone, b"x").unwrap();
    cache.put_failure(gone, Failure::Damaged).unwrap();
    let part = cache.root.join("a");
    let hash = kept.hash;
    let (writing, abandoned) = (format!("{hash}-3-360-v2.17.new"), format!("{hash}-3-360-v2.18.new"));
    for name in [&writing, &abandoned, &format!("{hash}-360-v1"), &format!("{hash}-360-v1.new"), "other"] {
        fs::write(part.join(name), "x").unwrap();
    }
    set_age(&part.join(&abandoned), 2 * ABANDONED);
    cache.tidy(0xa, |hash| hash == kept.hash).unwrap();
    assert_eq!(names(&cache, "a"), [format!("{hash}-3-360-v{MAKER_VERSION}"), writing]);
    assert_eq!(cache.bytes(), 2 * BLOCK_BYTES);
}

#[test]
fn failure_is_remembered_for_its_time_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 16 << 20);
    let key = key(7, 7, 360);
    cache.put_failure(key, Failure::Damaged).unwrap();
    assert!(matches!(cache.find(key).unwrap(), Some(Cached::Failed(Failure::Damaged))));
    for other in [
        Limits { thumbnail_failed_seconds: 0, ..Limits::default() },
        Limits { thumbnail_pixels: 1, ..Limits::default() },
        Limits { thumbnail_memory_bytes: 1, ..Limits::default() },
        Limits { thumbnail_cpu_seconds: 1, ..Limits::default() },
    ] {
        assert!(PictureCache::open(dir.path(), &other).find(key).unwrap().is_none());
    }
    cache.put(key, b"x").unwrap();
    assert_eq!(content(&cache, key), Some(b"x".to_vec()));
}

#[test]
fn longest_unused_pictures_go_first_and_the_bound_holds() {
    let dir = tempfile::tempdir().unwrap();
    // Eight blocks for each part, of which seven stay when it is trimmed.
    let cached = cache(dir.path(), 16 * 8 * BLOCK_BYTES);
    let (old, older, used, new) = (key(1, 1, 360), key(1, 2, 360), key(1, 3, 360), key(1, 4, 360));
    let elsewhere = key(0x21, 1, 360);
    let others: Vec<_> = (5..10).map(|last| key(1, last, 360)).collect();
    let young = others.iter().map(|key| (*key, 1));
    for (key, age) in [(elsewhere, 9), (old, 3), (older, 4), (used, 5)].into_iter().chain(young) {
        cached.put(key, b"x").unwrap();
        cached.trim(key.hash).unwrap();
        set_age(&cached.path(key), DAY * age);
    }
    // A use renews the time.
    assert!(content(&cached, used).is_some());
    cached.put(new, b"x").unwrap();
    assert_eq!(cached.bytes(), 10 * BLOCK_BYTES, "counted without a list");
    cached.trim(new.hash).unwrap();
    assert!([old, older].iter().all(|key| content(&cached, *key).is_none()));
    assert!(others.iter().chain([&used, &new, &elsewhere]).all(|key| content(&cached, *key).is_some()));
    assert_eq!(cached.bytes(), 8 * BLOCK_BYTES);
    cached.put(old, b"x").unwrap();
    cached.trim(old.hash).unwrap();
    assert_eq!(cached.bytes(), 9 * BLOCK_BYTES, "within the share");
    cached.put(key(1, 99, 360), &[0; 9 * 4096]).unwrap();
    assert!(content(&cached, key(1, 99, 360)).is_none(), "larger than a part");
    let smaller = cache(dir.path(), 16 * BLOCK_BYTES);
    PictureCache::parts().try_for_each(|part| smaller.tidy(part, |_| true)).unwrap();
    assert_eq!(smaller.bytes(), 2 * BLOCK_BYTES, "the limit was lowered");
}

/// Two writers of one key would otherwise cut the file of each other.
#[test]
fn writers_at_once_leave_a_whole_picture() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 1 << 30);
    let key = key(1, 1, 360);
    let pictures: Vec<Vec<u8>> = (0..8_u8).map(|n| vec![n; 200_000 + usize::from(n) * 10_000]).collect();
    std::thread::scope(|scope| {
        for picture in &pictures {
            scope.spawn(|| (0..5).for_each(|_| cache.put(key, picture).unwrap()));
        }
        for _ in 0..50 {
            assert!(content(&cache, key).is_none_or(|found| pictures.contains(&found)));
        }
    });
    assert!(pictures.contains(&content(&cache, key).unwrap()));
    assert_eq!(names(&cache, "0").len(), 1, "no unfinished file is left");
}

#[test]
fn cache_without_bytes_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 0);
    cache.put(key(1, 1, 360), b"x").unwrap();
    cache.put_failure(key(1, 1, 360), Failure::Damaged).unwrap();
    assert!(!dir.path().join(FOLDER).exists() && cache.find(key(1, 1, 360)).unwrap().is_none());
    assert_eq!(cache.folder(), dir.path());
}
