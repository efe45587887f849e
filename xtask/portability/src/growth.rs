//! How a store in a bucket grows: rates and memory with more and more orders. The host makes an instance for each request, and keeps
//! its bucket in a file of SQLite, as Spin does.

use std::{fs, io, path::Path, process::Command, time::Instant};

use orders_bench::client::{Connection, ORDER};
use xtask::{
    command::{TaskError, debug_program},
    host::field,
    serving::Serving,
};

use crate::{
    adapters::HOST,
    suite::{scratch_folder, start},
};

/// The numbers of orders at which it is measured.
pub(crate) const ORDERS: [u32; 3] = [100, 1000, 10_000];
/// Requests of each kind for one figure: as many creates as there are between two checkpoints.
const REQUESTS: u32 = 64;

/// What was measured with so many orders.
pub(crate) struct Size {
    pub(crate) orders: u32,
    /// Per second, over one connection.
    pub(crate) creates: f64,
    pub(crate) gets: f64,
    /// Of 20 orders.
    pub(crate) lists: f64,
    /// The bytes of the bucket.
    pub(crate) bucket: u64,
    /// The most memory of the host so far, in KiB.
    pub(crate) peak: u64,
}

/// Measures a component that keeps orders in a bucket.
pub(crate) fn measure(component: &Path, sizes: &[u32]) -> Result<Vec<Size>, TaskError> {
    let bucket = scratch_folder("growth")?.join("bucket.db");
    let mut host = Command::new(debug_program(HOST));
    let serving = start(host.arg(component).arg("--bucket").arg(&bucket))?;
    let failed = |error: io::Error| TaskError(format!("{}: {error}", component.display()));
    let mut connection = Connection::open(serving.address).map_err(failed)?;
    let mut measured = Vec::new();
    let mut orders = 0;
    for size in sizes {
        let mut last = String::new();
        while orders + REQUESTS < *size || last.is_empty() {
            last = connection.create(ORDER).map_err(failed)?;
            orders += 1;
        }
        let creates = rate(|| connection.create(ORDER).map(drop)).map_err(failed)?;
        orders += REQUESTS;
        let path = format!("/api/v1/orders/{}", field(&last, "id").unwrap_or_default());
        let gets = rate(|| connection.get(&path).map(drop)).map_err(failed)?;
        let lists = rate(|| connection.get("/api/v1/orders").map(drop)).map_err(failed)?;
        let bytes = fs::metadata(&bucket).map_err(failed)?.len();
        let size =
            Size { orders, creates, gets, lists, bucket: bytes, peak: peak(&serving).map_err(failed)? };
        println!(
            "{orders} orders: {creates:.1} creates/s, {gets:.1} gets/s, {lists:.1} lists/s, bucket {} KiB, peak {} KiB",
            size.bucket / 1024,
            size.peak
        );
        measured.push(size);
    }
    Ok(measured)
}

fn rate(mut request: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let began = Instant::now();
    for _ in 0..REQUESTS {
        request()?;
    }
    Ok(f64::from(REQUESTS) / began.elapsed().as_secs_f64())
}

fn peak(serving: &Serving) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.process.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
    peak.ok_or_else(|| io::Error::other("no VmHWM"))
}
