//! The state of one instance: the bucket, folder and WASI contexts that its imports use.

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
    hooks: DenyOutgoing,
    bucket: Bucket,
    /// The compare-and-swap handles that it has made.
    cas_handles: u32,
}

impl Instance {
    /// Creates the state of an instance that uses this bucket and, if given, this folder.
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
        let (table, http) = (ResourceTable::new(), WasiHttpCtx::new());
        Ok(Self { table, wasi, http, hooks: DenyOutgoing, bucket, cas_handles: 0 })
    }

    /// The view that both drafts of `wasi:keyvalue` operate on.
    pub(crate) fn keyvalue(&mut self) -> Keyvalue<'_> {
        Keyvalue { bucket: &self.bucket, table: &mut self.table, cas_handles: &mut self.cas_handles }
    }
}

/// The bucket and the handles to it, borrowed for one call.
pub(crate) struct Keyvalue<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) cas_handles: &'a mut u32,
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

/// Denies all outgoing requests: no composed component makes any.
struct DenyOutgoing;

/// The outcome of an outgoing request.
type OutgoingResponse = (hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for DenyOutgoing {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<OutgoingResponse, HttpError>> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}
