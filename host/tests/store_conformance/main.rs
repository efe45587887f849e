//! What every store backend must do, through the public interface alone.
//!
//! One suite, run against each backend: see `conformance!`. The files: [`contract`], [`concurrency`],
//! [`histories`] checked against a model, [`snapshots`], and [`lifetime`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod backend;
mod concurrency;
mod contract;
mod histories;
mod lifetime;
#[path = "../support/postgres.rs"]
mod postgres_server;
mod snapshots;

/// The whole suite for a backend: one line each. `persistent` adds what only holds for one that outlives
/// its process.
macro_rules! conformance {
    ($backend:ident $(, $persistent:ident)?) => {
        mod $backend {
            conformance!(@with_store_of $backend, contract:
                get_answers_in_the_order_asked,
                scan_goes_both_ways_within_its_bounds,
                scan_of_an_empty_or_inverted_range_gives_none,
                scan_gives_at_most_its_limit,
                keys_are_ordered_bytewise,
                values_are_kept_byte_for_byte,
                revisions_rise_and_mark_what_a_commit_wrote,
                checks_that_hold_let_the_commit_through,
                each_kind_of_check_can_fail,
                a_conflict_names_the_first_failing_check_and_writes_nothing,
                checks_see_the_state_before_the_commits_own_writes,
                the_last_write_to_a_key_wins,
                deleting_an_absent_key_is_no_error,
                a_commit_without_writes_only_checks,
                keys_and_values_have_bounds,
                limits_and_counts_have_bounds,
                a_commit_carries_a_bounded_number_of_bytes,
                a_scan_gives_a_bounded_number_of_bytes,
                a_get_gives_a_bounded_number_of_bytes,
                after_close_everything_is_unavailable,
            );
            conformance!(@with_shared_store $backend, concurrency:
                readers_see_whole_commits,
                no_update_is_lost,
                a_dropped_commit_is_whole_or_absent,
            );
            conformance!(@with_shared_store $backend, snapshots:
                snapshots_see_whole_commits,
            );
            conformance!(@with_store_of $backend, snapshots:
                a_snapshot_has_every_entry_in_order,
                pages_of_large_values_are_short,
                a_snapshot_sees_nothing_of_later,
                after_close_there_is_no_snapshot,
            );
            conformance!(@with_shared_store $backend, histories: random_histories_agree_with_a_model);
            $(conformance!(@$persistent $backend);)?
        }
    };
    (@persistent $backend:ident) => {
        conformance!(@with_backend $backend, lifetime:
            entries_and_revisions_survive_a_reopen,
            two_opens_of_one_place_are_one_store,
        );
        conformance!(@with_backend $backend, histories: histories_over_two_opens_agree_with_a_model);
    };
    (@with_store_of $backend:ident, $file:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let backend = crate::backend::$backend();
            let store = backend.open().await;
            crate::$file::$test(&*store).await;
            store.close().await;
        }
    )*};
    (@with_shared_store $backend:ident, $file:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let backend = crate::backend::$backend();
            let store = backend.open().await;
            crate::$file::$test(&store).await;
            store.close().await;
        }
    )*};
    (@with_backend $backend:ident, $file:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            crate::$file::$test(&crate::backend::$backend()).await;
        }
    )*};
}

conformance!(memory);
conformance!(sqlite, persistent);
conformance!(postgres, persistent);
