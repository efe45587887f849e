//! Transfers of large stores use little memory.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::within,
    support::{
        Contents, Folder, contents, database, end, export, fill, numbered, peak_memory_kib, start,
        wait_for_entries,
    },
};

/// Maximum memory of either command, in KiB: the program itself, and a few pages.
const MAX_KIB: u64 = 96 << 10;

/// Moves entries from one store to another, and checks the memory of both commands shortly before they end.
async fn check_memory(from: &str, to: &str, given: Contents) {
    let folder = Folder::new();
    let file = folder.at("state.jsonl");
    let count = u64::try_from(given.len()).unwrap();
    let given_bytes: u64 = given.iter().map(|(_, value)| u64::try_from(value.len()).unwrap()).sum();
    assert!(given_bytes >> 10 > MAX_KIB, "the entries must not fit into the allowed memory");
    fill(from, given).await;
    export(from, &file).await.succeeded();
    let bytes = fs::read(&file).unwrap();

    let mut child = start(&["export", "--store", from]);
    let mut output = child.stdout.take().unwrap();
    // The rest is more than a pipe and the buffer of the program hold, so the program cannot end yet.
    let mut most = vec![0; bytes.len() - (1 << 20)];
    within("most of the state", output.read_exact(&mut most)).await.unwrap();
    let exporting = peak_memory_kib(&child);
    output.read_to_end(&mut most).await.unwrap();
    assert_eq!(end(child).await.code, Some(0));
    assert_eq!(most.len(), bytes.len());

    let mut child = start(&["import", "--store", to]);
    let mut input = child.stdin.take().unwrap();
    let end_of_entries = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    within("most of the state to be read", input.write_all(&bytes[..end_of_entries])).await.unwrap();
    // All entries but the last, and those that wait for their commit.
    wait_for_entries(to, count - (count / 20).min(200)).await;
    let importing = peak_memory_kib(&child);
    within("the end to be read", input.write_all(&bytes[end_of_entries..])).await.unwrap();
    drop(input);
    end(child).await.succeeded();
    println!("{count} entries, {given_bytes} bytes: export {exporting} KiB, import {importing} KiB");
    assert!(exporting < MAX_KIB && importing < MAX_KIB, "{exporting} KiB, {importing} KiB");
    let (left, right) = (contents(from).await, contents(to).await);
    assert!(left == right);
}

#[tokio::test]
async fn a_hundred_thousand_entries_use_little_memory() {
    let folder = Folder::new();
    check_memory(&folder.sqlite("from.db"), &database(), numbered(100_000, 1100)).await;
}

#[tokio::test]
async fn large_values_use_little_memory() {
    let folder = Folder::new();
    let large = |n: usize| (format!("{n:04}"), vec![u8::try_from(n).unwrap() | 0x80; 1 << 20]);
    check_memory(&database(), &folder.sqlite("to.db"), (0..120).map(large).collect()).await;
}
