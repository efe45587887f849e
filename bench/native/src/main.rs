//! The benchmark's upper limit: the guest's own handlers, without a sandbox, linked natively behind axum.
//!
//! | file | contents |
//! |---|---|
//! | `http` | converts between axum's requests and responses and those of the handlers |
//! | `memory` | the store in memory |
//! | `durable` | the host's store |
//! | `world` | the clock and randomness |
//!
//! It has no deadlines, no admission control and no access log, so the benchmark measures their cost, too. It uses the host's
//! allocator, so that the allocator makes no difference.

mod durable;
mod http;
mod memory;
mod world;

use std::{io::Write, net::SocketAddr, process::ExitCode, sync::Arc};

use axum::{Router, extract::State, serve::ListenerExt};
use clap::Parser;
use orders_guest::{
    handlers::{Services, handle},
    store::Store,
};
use orders_host::config::StoreLocation;
use tokio::net::TcpListener;

use crate::{durable::DurableStore, http::Incoming, memory::MemoryStore, world::World};

/// The host's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The orders service without a sandbox, for the benchmark.
#[derive(Parser)]
struct Options {
    /// The address and port to serve on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The store of the orders: `sqlite:PATH`, `postgres://…` or `memory:`
    #[arg(long, default_value = "memory:")]
    store: StoreLocation,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("orders-bench-native: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let app = match &options.store {
        StoreLocation::Memory => {
            Router::new().fallback(respond_inline).with_state(Arc::new(MemoryStore::default()))
        }
        location @ (StoreLocation::Sqlite(_) | StoreLocation::Postgres(_)) => {
            let store = DurableStore::open(location).await?;
            Router::new().fallback(respond_on_blocking_thread).with_state(Arc::new(store))
        }
    };
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let listener = listener.tap_io(|socket| {
        // A failure only costs speed.
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()).await?;
    Ok(())
}

/// A store in memory does not block: the handler runs in its connection's task.
async fn respond_inline(
    State(store): State<Arc<MemoryStore>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    respond(&mut Incoming::receive(request).await, &*store)
}

/// A store that waits for the disk would block the other connections of its thread: the handler runs on another one.
async fn respond_on_blocking_thread(
    State(store): State<Arc<DurableStore>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let mut request = Incoming::receive(request).await;
    let response = tokio::task::spawn_blocking(move || respond(&mut request, &*store)).await;
    response.unwrap_or_else(|_panicked| http::failed())
}

fn respond(request: &mut Incoming, store: &dyn Store) -> axum::response::Response {
    http::send(handle(request, &Services { store, clock: &World, random: &World }))
}

async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
