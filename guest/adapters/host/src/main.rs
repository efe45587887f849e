//! A host for tests of the composed components, as small as can be: an instance for each request, as Spin and wasmCloud
//! make them, over one bucket that all instances share, and one folder.
//!
//! Neither of those two can be had from a package registry. This one shows that a component links with the interfaces that
//! its adapter was written against, and that what it keeps is there for the next instance. How another host implements
//! them it cannot show.
//!
//! It says on standard output where it listens, and ends when it is killed. It has no deadline and no bound of its own.

mod bucket;
mod draft;
mod draft2;
mod instance;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use tokio::{net::TcpListener, sync::oneshot};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::{
    WasiHttpView,
    io::TokioIo,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        body::HyperOutgoingBody,
    },
};

use crate::{bucket::Bucket, instance::Instance};

/// Serves a composed component on a free port of 127.0.0.1.
#[derive(Parser)]
struct Options {
    /// The component
    component: PathBuf,
    /// A folder to grant it
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What makes instances.
struct Host {
    linked: ProxyPre<Instance>,
    bucket: Bucket,
    folder: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> wasmtime::Result<()> {
    let engine = Engine::default();
    let component = Component::from_file(&engine, &options.component)?;
    let linked = ProxyPre::new(linker(&engine)?.instantiate_pre(&component)?)?;
    let host = Arc::new(Host { linked, bucket: Bucket::default(), folder: options.folder });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("serving on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let host = Arc::clone(&host);
        let service = service_fn(move |request| {
            let host = Arc::clone(&host);
            async move { Ok::<_, std::convert::Infallible>(host.answer(request).await) }
        });
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await {
                eprintln!("{error}");
            }
        });
    }
}

/// Everything that a composed component may import.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Instance>> {
    let mut linker = standard_linker(engine)?;
    draft::add_to_linker(&mut linker)?;
    draft2::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The part of it that is no draft.
fn standard_linker(engine: &Engine) -> wasmtime::Result<Linker<Instance>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

impl Host {
    /// The component's answer, or 500 if it has none.
    async fn answer(&self, request: Request<Incoming>) -> Response<HyperOutgoingBody> {
        self.ask(request).await.unwrap_or_else(|error| {
            eprintln!("{error:#}");
            let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let mut answer = Response::new(nothing);
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        })
    }

    async fn ask(&self, request: Request<Incoming>) -> wasmtime::Result<Response<HyperOutgoingBody>> {
        let instance = Instance::new(self.bucket.clone(), self.folder.as_deref())?;
        let mut store = wasmtime::Store::new(self.linked.engine(), instance);
        let (sender, answer) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let linked = self.linked.clone();
        // It goes on while its answer is read.
        let call = tokio::spawn(async move {
            let proxy = linked.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
        });
        match answer.await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                call.await??;
                Err(wasmtime::Error::msg("the component has not answered"))
            }
        }
    }
}
