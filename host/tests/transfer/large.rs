//! Large stores in little memory.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::within,
    support::{
        Contents, Folder, contents, database, end, export, fill, numbered, peak_memory_kib, start,
        wait_for_entries,
    },
};

/// What either command may have at most, in KiB: the program itself, and a few pages.
const MOST_KIB: u64 = 96 << 10;

/// Out of a store and into another, looking at the memory shortly before the end.
async fn within_little_memory(from: &str, to: &str, given: Contents) {
    let folder = Folder::new();
    let file = folder.at("state.jsonl");
    let count = u64::try_from(given.len()).unwrap();
    let given_bytes: u64 = given.iter().map(|(_, value)| u64::try_from(value.len()).unwrap()).sum();
    assert!(given_bytes >> 10 > MOST_KIB, "it would fit in memory");
    fill(from, given).await;
    export(from, &file).await.done();
    let bytes = fs::read(&file).unwrap();

    let mut child = start(&["export", "--store", from]);
    let mut output = child.stdout.take().unwrap();
    // What is left is more than a pipe and the program's buffer hold.
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
    // All but the last, and those that wait to fill a commit.
    wait_for_entries(to, count - (count / 20).min(200)).await;
    let importing = peak_memory_kib(&child);
    within("the end to be read", input.write_all(&bytes[end_of_entries..])).await.unwrap();
    drop(input);
    end(child).await.done();
    println!("{count} entries, {given_bytes} bytes: export {exporting} KiB, import {importing} KiB");
    assert!(exporting < MOST_KIB && importing < MOST_KIB, "{exporting} KiB, {importing} KiB");
    let (left, right) = (contents(from).await, contents(to).await);
    assert!(left == right);
}

#[tokio::test]
async fn a_hundred_thousand_entries_take_little_memory() {
    let folder = Folder::new();
    within_little_memory(&folder.sqlite("from.db"), &database(), numbered(100_000, 1100)).await;
}

#[tokio::test]
async fn large_values_take_little_memory() {
    let folder = Folder::new();
    let large = |n: usize| (format!("{n:04}"), vec![u8::try_from(n).unwrap() | 0x80; 1 << 20]);
    within_little_memory(&database(), &folder.sqlite("to.db"), (0..120).map(large).collect()).await;
}
