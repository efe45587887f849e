//! What every store backend must do, tested through the public interface only.
//!
//! One suite runs against each backend: see `conformance!`. The files: [`contract`], [`limits`], [`concurrency`],
//! [`histories`] (checked against a model), [`snapshots`], and [`lifetime`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod backend;
mod concurrency;
mod contract;
mod histories;
mod lifetime;
mod limits;
mod model;
#[path = "../support/postgres/mod.rs"]
mod postgres_server;
mod snapshots;

/// The whole suite for a backend, one line a test. `persistent` adds the tests of a backend whose data outlives the
/// process.
macro_rules! conformance {
    ($backend:ident $(, $persistent:ident)?) => {
        mod $backend {
            conformance!(@with_store_of $backend, contract:
                get_returns_entries_in_the_order_of_its_keys,
                scan_runs_in_both_directions_within_its_bounds,
                scan_of_an_empty_or_inverted_range_returns_nothing,
                scan_returns_at_most_its_limit,
                keys_are_ordered_bytewise,
                values_are_stored_byte_for_byte,
                revisions_increase_and_mark_what_a_commit_wrote,
                a_commit_whose_checks_hold_succeeds,
                each_kind_of_check_can_fail,
                a_conflict_names_the_first_failing_check_and_writes_nothing,
                checks_see_the_state_before_the_commits_own_writes,
                the_last_write_to_a_key_wins,
                deleting_an_absent_key_succeeds,
                a_commit_without_writes_only_checks,
                every_call_after_close_is_unavailable,
            );
            conformance!(@with_store_of $backend, limits:
                key_and_value_sizes_are_limited,
                scan_limits_and_item_counts_are_limited,
                the_bytes_of_a_commit_are_limited,
                the_bytes_of_a_scan_are_limited,
                the_bytes_of_a_get_are_limited,
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
                a_snapshot_does_not_see_later_commits,
                a_snapshot_after_close_is_unavailable,
            );
            conformance!(@with_shared_store $backend, histories: random_histories_agree_with_a_model);
            $(conformance!(@$persistent $backend);)?
        }
    };
    (@persistent $backend:ident) => {
        conformance!(@with_backend $backend, lifetime:
            entries_and_revisions_survive_a_reopen,
            two_handles_to_one_location_are_one_store,
        );
        conformance!(@with_backend $backend, histories: histories_over_two_handles_agree_with_a_model);
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
