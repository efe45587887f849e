//! A minimal host for tests of the composed components. Like Spin and wasmCloud, it creates an instance per request. All
//! instances share one bucket and one folder.
//!
//! Spin and wasmCloud are not available from a package registry. This host shows that a component links with the interfaces
//! that its adapter targets, and that the next instance sees what an instance has stored. It cannot show how another host
//! implements those interfaces.
//!
//! It prints its address on standard output and runs until it is killed. It enforces no deadlines and no limits.
//!
//! | file | contents |
//! |---|---|
//! | `mode` | how the bucket behaves |
//! | `bucket` | the bucket |
//! | `instance` | the state of one instance |
//! | `keyvalue_draft`, `keyvalue_draft2` | the two drafts of `wasi:keyvalue` over the bucket |
//! | `linker` | the imports that a component gets |

mod bucket;
mod instance;
mod keyvalue_draft;
mod keyvalue_draft2;
mod linker;
mod mode;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use tokio::{net::TcpListener, sync::oneshot};
use wasmtime::{Engine, component::Component};
use wasmtime_wasi_http::{
    WasiHttpView,
    io::TokioIo,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        body::HyperOutgoingBody,
    },
};

use crate::{bucket::Bucket, instance::Instance, linker::full_linker, mode::Mode};

/// Serves a composed component on a free port of 127.0.0.1.
#[derive(Parser)]
struct Options {
    /// The component to serve
    component: PathBuf,
    /// A folder to grant to the component
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep the bucket in this file [default: in memory]
    #[arg(long, value_name = "FILE")]
    bucket: Option<PathBuf>,
    /// Keep the compiled component in this file, which must not exist or be the same component's
    #[arg(long, value_name = "FILE")]
    code: Option<PathBuf>,
    /// How the bucket behaves
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
}

/// The component, and the state that its instances share.
struct Host {
    component: ProxyPre<Instance>,
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
    let component = load(&engine, &options.component, options.code.as_deref())?;
    let bucket = Bucket::open(options.bucket.as_deref(), options.mode)?;
    let component = ProxyPre::new(full_linker(&engine)?.instantiate_pre(&component)?)?;
    let host = Arc::new(Host { component, bucket, folder: options.folder });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("serving on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let host = Arc::clone(&host);
        let service = service_fn(move |request| {
            let host = Arc::clone(&host);
            async move { Ok::<_, std::convert::Infallible>(host.respond(request).await) }
        });
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await {
                eprintln!("{error}");
            }
        });
    }
}

/// Compiles the component, or takes the code of a process before: a host that is killed again and again starts in no time.
fn load(engine: &Engine, component: &Path, code: Option<&Path>) -> wasmtime::Result<Component> {
    let Some(code) = code else { return Component::from_file(engine, component) };
    if !code.exists() {
        fs::write(code, Component::from_file(engine, component)?.serialize()?)?;
    }
    #[allow(unsafe_code, reason = "wasmtime cannot know who has written native code")]
    // SAFETY: this program has written the file, in the folder of the test that has started it.
    unsafe {
        Component::deserialize_file(engine, code)
    }
}

impl Host {
    /// Returns the component's response, or 500 if it produces none.
    async fn respond(&self, request: Request<Incoming>) -> Response<HyperOutgoingBody> {
        self.call_component(request).await.unwrap_or_else(|error| {
            eprintln!("{error:#}");
            let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let mut response = Response::new(empty);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    async fn call_component(
        &self,
        request: Request<Incoming>,
    ) -> wasmtime::Result<Response<HyperOutgoingBody>> {
        let instance = Instance::new(self.bucket.clone(), self.folder.as_deref())?;
        let mut store = wasmtime::Store::new(self.component.engine(), instance);
        let (sender, response) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let component = self.component.clone();
        // A separate task, because the call continues while the client reads the response.
        let call = tokio::spawn(async move {
            let proxy = component.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
        });
        match response.await {
            Ok(response) => Ok(response?),
            Err(_) => {
                call.await??;
                Err(wasmtime::Error::msg("the component returned without a response"))
            }
        }
    }
}
