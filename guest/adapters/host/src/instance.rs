//! The state of one instance: its view of the world.

use std::path::Path;

use hyper::Request;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::bucket::Bucket;

/// The state of one instance.
pub(crate) struct Instance {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NothingOutside,
    bucket: Bucket,
}

impl Instance {
    /// An instance with this bucket, and with this folder if there is one.
    ///
    /// # Errors
    ///
    /// If the folder cannot be opened.
    pub(crate) fn new(bucket: Bucket, folder: Option<&Path>) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stderr();
        if let Some(folder) = folder {
            wasi.preopened_dir(folder, "/orders", FsPerms::ReadWrite)?;
        }
        let wasi = wasi.build();
        Ok(Self {
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            hooks: NothingOutside,
            bucket,
        })
    }

    /// What the imports of either draft of `wasi:keyvalue` work on.
    pub(crate) fn keyvalue(&mut self) -> Keyvalue<'_> {
        Keyvalue { bucket: &self.bucket, table: &mut self.table }
    }
}

/// The one bucket and the handles to it, borrowed for one call.
pub(crate) struct Keyvalue<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) table: &'a mut ResourceTable,
}

impl WasiView for Instance {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Instance {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// No request is sent to another server: no composed component asks for it.
struct NothingOutside;

/// What a request to another server comes to.
type Sent = (hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for NothingOutside {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}
