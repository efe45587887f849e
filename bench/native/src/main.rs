//! The limit that the benchmark holds the sandbox against: the guest's own handlers, linked natively behind axum.
//!
//! - `http`: a request of axum as the handlers see it, and their response as axum sends it;
//! - `memory`, `durable`: the two stores;
//! - `world`: the clock and randomness.
//!
//! It has no deadline, no admission and no access log: what those cost is part of what is measured.
//!
//! It uses the same allocator as the host, so that the difference is the sandbox and nothing else.

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

/// That of the host.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The orders service without a sandbox, for the benchmark.
#[derive(Parser)]
struct Options {
    /// The address and port to serve on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the state is kept: `sqlite:PATH`, `postgres://…` or `memory:`
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
            Router::new().fallback(answer_at_once).with_state(Arc::new(MemoryStore::default()))
        }
        location @ (StoreLocation::Sqlite(_) | StoreLocation::Postgres(_)) => {
            let store = DurableStore::open(location).await?;
            Router::new().fallback(answer_aside).with_state(Arc::new(store))
        }
    };
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let listener = listener.tap_io(|socket| {
        // Only a matter of speed.
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, app).with_graceful_shutdown(told_to_end()).await?;
    Ok(())
}

/// A store that answers at once needs no other thread: the handler runs in the task of its connection.
async fn answer_at_once(
    State(store): State<Arc<MemoryStore>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    respond(&mut Incoming::receive(request).await, &*store)
}

/// A store that waits for the disk would hold up the connections of its thread.
async fn answer_aside(
    State(store): State<Arc<DurableStore>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let mut request = Incoming::receive(request).await;
    let answered = tokio::task::spawn_blocking(move || respond(&mut request, &*store)).await;
    answered.unwrap_or_else(|_panicked| http::failed())
}

fn respond(request: &mut Incoming, store: &dyn Store) -> axum::response::Response {
    http::send(handle(request, &Services { store, clock: &World, random: &World }))
}

async fn told_to_end() {
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
