//! Exports and imports that are rejected or fail, and the state that they leave.

use std::fs;

use tokio::io::AsyncWriteExt;

use crate::support::{Folder, contents, database, end, export, fill, import, numbered, start};

#[tokio::test]
async fn a_damaged_file_changes_nothing() {
    let folder = Folder::new();
    let (from, file) = (folder.sqlite("from.db"), folder.at("state.jsonl"));
    fill(&from, numbered(600, 10)).await;
    export(&from, &file).await.succeeded();
    let intact = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = intact.split_inclusive('\n').collect();
    for (damaged, says) in [
        (String::new(), "truncated"),
        (lines[0][..20].to_owned(), "truncated in line 1"),
        (lines[1..].concat(), "was not written by"),
        (intact[..intact.len() / 2].to_owned(), "truncated in line"),
        (lines[..601].concat(), "line 602 and its last line are missing"),
        (lines[..602].concat().trim_end().to_owned(), "truncated in line 602"),
        (lines[..300].concat() + &lines[301..].concat(), "599 entries"),
        (intact.replace(r#"\"number\":599"#, r#"\"number\":598"#), "checksum"),
        (intact.replace("n/0000599", "n/0000699"), "checksum"),
        (intact.clone() + lines[0], "data after its last line"),
    ] {
        fs::write(&file, damaged).unwrap();
        import(&folder.sqlite("to.db"), &file, &[]).await.failed(2, &["cannot read", "state.jsonl", says]);
        assert_eq!(folder.names(), ["from.db", "state.jsonl"], "{says}");
    }
}

/// A pipe cannot be read twice: entries before the damage are in the store, and the error says what that means.
#[tokio::test]
async fn a_damaged_stream_leaves_an_incomplete_store_and_says_so() {
    let folder = Folder::new();
    let (from, file) = (folder.sqlite("from.db"), folder.at("state.jsonl"));
    let given = numbered(600, 10);
    fill(&from, given.clone()).await;
    export(&from, &file).await.succeeded();
    let intact = fs::read_to_string(&file).unwrap();
    let import_stream = async |store: &str, text: &str| {
        let mut child = start(&["import", "--store", store]);
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).await.unwrap();
        drop(input);
        end(child).await
    };
    // Truncated: the import can be resumed.
    let to = folder.sqlite("cut.db");
    let cut = &intact[..intact.len() / 2];
    let whole = cut.lines().count() - 2;
    let warned =
        ["the store is incomplete, do not serve from it", &format!("it holds {whole} entries of the input")];
    import_stream(&to, cut).await.failed(1, &["standard input", "truncated in line", warned[0], warned[1]]);
    assert!(contents(&to).await == given[..whole]);
    let resumed = import_stream(&to, &intact).await;
    assert!(
        resumed.succeeded().contains(&format!("600 entries ({whole} already present)")),
        "{}",
        resumed.stdout
    );
    assert!(contents(&to).await == given);
    // Altered: the checksum does not say which entry it was.
    let to = folder.sqlite("changed.db");
    let changed = intact.replace(r#"\"number\":300,"#, r#"\"number\":301,"#);
    import_stream(&to, &changed).await.failed(1, &["checksum", warned[0], "600 entries of the input"]);
    import_stream(&to, &intact).await.failed(2, &["the store is not empty"]);
    // Only the first line: nothing was written.
    let head = intact.lines().next().unwrap();
    import_stream(&folder.sqlite("new.db"), head).await.failed(2, &["truncated in line 1"]);
    import_stream(&folder.sqlite("new.db"), &format!("{head}\n")).await.failed(2, &["nothing was written"]);
}

#[tokio::test]
async fn a_store_with_other_entries_is_not_imported_into() {
    let folder = Folder::new();
    let (from, file) = (folder.sqlite("from.db"), folder.at("state.jsonl"));
    let given = numbered(500, 10);
    fill(&from, given.clone()).await;
    export(&from, &file).await.succeeded();
    for (name, others) in [
        ("before", vec![("a".to_owned(), b"1".to_vec())]),
        ("between", vec![("n/0000100x".to_owned(), b"1".to_vec())]),
        ("after", vec![("z".to_owned(), b"1".to_vec())]),
        ("another value", vec![("n/0000000".to_owned(), b"1".to_vec())]),
        ("not the beginning", given[1..3].to_vec()),
        ("the beginning and more", [&given[..200], &[("z".to_owned(), vec![])]].concat()),
        ("all and more", [&given[..], &[("z".to_owned(), vec![])]].concat()),
    ] {
        for store in [folder.sqlite(&format!("{name}.db")), database()] {
            fill(&store, others.clone()).await;
            import(&store, &file, &[]).await.failed(2, &["the store is not empty", "--merge"]);
            assert!(contents(&store).await == others, "{name}");
        }
    }
}

#[tokio::test]
async fn a_merge_reports_what_happened_to_existing_entries() {
    let folder = Folder::new();
    let (from, file) = (folder.sqlite("from.db"), folder.at("state.jsonl"));
    let given = numbered(3000, 10);
    fill(&from, given.clone()).await;
    export(&from, &file).await.succeeded();
    let mut others = vec![("a".to_owned(), b"1".to_vec()), given[7].clone()];
    // More than one page.
    others.extend((0..1500).map(|n| (given[2 * n].0.clone(), b"theirs".to_vec())));
    others.push(("z".to_owned(), b"2".to_vec()));
    for store in [folder.sqlite("to.db"), database()] {
        for (merge, says) in [
            ("keep", "3000 entries (1 already present, 1500 with the store's value kept)"),
            ("replace", "3000 entries (1500 already present, 1500 with the store's value replaced)"),
            ("replace", "3000 entries (3000 already present)"),
        ] {
            if merge == "keep" {
                fill(&store, others.clone()).await;
            }
            let merged = import(&store, &file, &["--merge", merge]).await;
            assert!(merged.succeeded().contains(says), "{}", merged.stdout);
            let mut expected: std::collections::BTreeMap<_, _> = given.iter().cloned().collect();
            let theirs = others.iter().filter(|(key, _)| merge == "keep" || !key.starts_with("n/"));
            expected.extend(theirs.cloned());
            assert!(contents(&store).await == expected.into_iter().collect::<Vec<_>>(), "{merge}");
        }
    }
}

#[tokio::test]
async fn a_transfer_that_cannot_start_says_why() {
    let folder = Folder::new();
    let (file, missing) = (folder.at("state.jsonl"), folder.sqlite("missing.db"));
    export(&missing, &file).await.failed(2, &["missing.db", "it does not exist"]);
    export(&database(), &file).await.failed(2, &["the database contains no store"]);
    export("memory:", &file).await.failed(2, &["memory:"]);
    import("memory:", &file, &[]).await.failed(2, &["memory:"]);
    import(&missing, &file, &[]).await.failed(2, &["cannot read", "No such file"]);
    import(&missing, &folder.at("."), &[]).await.failed(2, &["it is a directory"]);
    assert_eq!(folder.names(), [""; 0], "a file was created");

    let store = folder.sqlite("store.db");
    fill(&store, numbered(1, 1)).await;
    export(&store, &folder.at("store.db")).await.failed(2, &["it is the store itself"]);
    export(&store, &folder.at("no/such")).await.failed(2, &["cannot write", "No such file"]);
    export(&store, &folder.at(".")).await.failed(2, &["cannot write"]);
    let (taken, partial) = (folder.at("taken"), folder.at("taken.partial"));
    let lock = fs::File::create(&partial).unwrap();
    lock.lock().unwrap();
    export(&store, &taken).await.failed(2, &["another process writes"]);
    drop(lock);
    // A partial file that a killed process left behind.
    fs::write(&partial, "x".repeat(10_000)).unwrap();
    export(&store, &taken).await.succeeded();
    assert_eq!(fs::read_to_string(&taken).unwrap().lines().count(), 3);
    assert_eq!(folder.names(), ["store.db", "taken"]);
}

/// When the disk is full, the previous file stays.
#[tokio::test]
async fn a_failed_export_leaves_the_previous_file() {
    let folder = Folder::new();
    let (store, file) = (folder.sqlite("store.db"), folder.at("state.jsonl"));
    fill(&store, numbered(10, 1)).await;
    export(&store, &file).await.succeeded();
    let before = fs::read(&file).unwrap();
    fill(&store, numbered(3000, 1000)).await;
    let script = r#"trap '' XFSZ; exec prlimit --fsize=1000000 "$0" state export --store "$1" --output "$2""#;
    let output = tokio::process::Command::new("sh")
        .args(["-c", script])
        .arg(crate::harness::binary())
        .arg(&store)
        .arg(&file)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("cannot write"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(folder.names(), ["state.jsonl", "store.db"]);
}

/// No other process may write during an import. If one does, its entries are not overwritten.
#[tokio::test]
async fn an_import_stops_when_another_process_writes() {
    let folder = Folder::new();
    let (from, to, file) = (folder.sqlite("from.db"), database(), folder.at("state.jsonl"));
    fill(&from, numbered(2000, 10)).await;
    export(&from, &file).await.succeeded();
    let intact = fs::read(&file).unwrap();
    let mut child = start(&["import", "--store", &to]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(&intact[..intact.len() / 2]).await.unwrap();
    input.flush().await.unwrap();
    crate::support::wait_for_entries(&to, 128).await;
    fill(&to, [("n/0001999".to_owned(), b"theirs".to_vec())]).await;
    // The import may stop before it has read everything.
    let _ = input.write_all(&intact[intact.len() / 2..]).await;
    drop(input);
    end(child).await.failed(1, &["another process writes to the store", "do not serve from it"]);
    let last = contents(&to).await.pop().unwrap();
    assert_eq!(last, ("n/0001999".to_owned(), b"theirs".to_vec()));
}
