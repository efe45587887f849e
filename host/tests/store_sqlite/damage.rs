//! What becomes of a damaged file: it does not heal by itself, so nothing is committed into it any more.

use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path};

use tempfile::TempDir;

use crate::support::{all_keys, assert_unavailable, commit, key, make_store, open, put};

/// A page of SQLite.
const PAGE: usize = 4096;

/// Overwrites the second half of the file, in which there are leaves, and returns what was there.
fn damage(path: &Path) -> (u64, Vec<u8>) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let pages = usize::try_from(file.metadata().unwrap().len()).unwrap() / PAGE;
    let begin = u64::try_from(pages / 2 * PAGE).unwrap();
    let mut before = vec![0; (pages - pages / 2) * PAGE];
    file.read_exact_at(&mut before, begin).unwrap();
    file.write_all_at(&vec![0xff; before.len()], begin).unwrap();
    (begin, before)
}

#[tokio::test]
async fn nothing_is_committed_into_a_damaged_file_until_it_is_opened_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    let (begin, before) = damage(&path);

    let store = open(&path).await.unwrap();
    let (mut read, mut damaged) = (0, 0);
    for n in 0..64 {
        match store.get(vec![key(format!("k/{n}"))]).await {
            Ok(found) => read += found.iter().flatten().count(),
            Err(error) => {
                assert!(error.persists() && error.public().contains("its file is damaged"), "{error}");
                damaged += 1;
            }
        }
    }
    assert!(read > 0 && damaged > 0 && read + damaged == 64, "{read} and {damaged}");
    for _ in 0..2 {
        assert!(assert_unavailable(commit(&*store, vec![put("new", "1")]).await).contains("damaged"));
        let unhealthy = store.health().await.unwrap_err();
        assert!(unhealthy.persists(), "{unhealthy}");
        // A disk may return the right bytes the next time. What was written meanwhile is still in doubt.
        OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&before, begin).unwrap();
    }
    store.close().await;

    let store = open(&path).await.unwrap();
    commit(&*store, vec![put("new", "1")]).await.unwrap();
    assert_eq!(all_keys(&*store).await.len(), 65);
    store.close().await;
}
