//! The body of a push: a component, received within bounds of time and memory.

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Duration, Instant, timeout_at};

use super::response::ApiError;
use crate::{http::reading::time_at_rate, module::source::MAX_COMPONENT_BYTES};

/// How long a component may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long it may arrive at any rate.
const GRACE: Duration = Duration::from_secs(5);
/// How many bytes per second it must have on average after that. Others cannot push meanwhile.
const MIN_RATE: u64 = 64 << 10;

/// Why a component was not received.
enum UploadError {
    /// Its end did not arrive in time: so many bytes did, within this time.
    TooSlow(u64, Duration),
    TooLarge,
    /// The body ended early, or is framed incorrectly.
    Broken,
}

/// Receives a component.
pub(super) async fn receive<B>(body: B) -> Result<Vec<u8>, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let max = MAX_COMPONENT_BYTES >> 20;
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The component is too large: it may have at most {max} MiB."),
        )
    };
    if body.size_hint().lower() > MAX_COMPONENT_BYTES {
        return Err(too_large());
    }
    collect(body).await.map_err(|error| match error {
        UploadError::TooLarge => too_large(),
        UploadError::Broken => ApiError::new(
            StatusCode::BAD_REQUEST,
            "The request body ended early or is framed incorrectly: send the whole component again.",
        ),
        UploadError::TooSlow(bytes, time) => {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, too_slow(bytes, time))
        }
    })
}

/// Reserves all capacity at the start, so that the buffer never holds more than a component may have. Capacity that is
/// not used costs no memory.
async fn collect<B>(body: B) -> Result<Vec<u8>, UploadError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let capacity = body.size_hint().exact().unwrap_or(MAX_COMPONENT_BYTES).min(MAX_COMPONENT_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or_default());
    let mut limited = Limited::new(body, usize::try_from(MAX_COMPONENT_BYTES).unwrap_or(usize::MAX));
    let began = Instant::now();
    loop {
        let received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let frame = timeout_at(began + time_for(received), limited.frame()).await;
        match frame.map_err(|_| UploadError::TooSlow(received, began.elapsed()))? {
            None => return Ok(bytes),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(UploadError::TooLarge),
            Some(Err(_)) => return Err(UploadError::Broken),
        }
    }
}

/// How long an upload of which so many bytes have arrived may have taken.
fn time_for(received: u64) -> Duration {
    time_at_rate(received, MIN_RATE).clamp(GRACE, UPLOAD_TIMEOUT)
}

fn too_slow(bytes: u64, time: Duration) -> String {
    if time >= UPLOAD_TIMEOUT {
        let limit = UPLOAD_TIMEOUT.as_secs();
        return format!("The component did not arrive within {limit} s: send it over a faster connection.");
    }
    // Tenths of a KiB per second.
    let rate = u128::from(bytes) * 10_000 / 1024 / time.as_millis().max(1);
    format!(
        "The component arrives too slowly, at {}.{} KiB/s on average over {} s, and others cannot push meanwhile: after {} s, \
         at least {} KiB/s are needed. Send it over a faster connection.",
        rate / 10,
        rate % 10,
        time.as_secs(),
        GRACE.as_secs(),
        MIN_RATE >> 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_5_s_and_then_must_keep_its_rate() {
        for (received, seconds) in [(0, 5), (5 * MIN_RATE, 5), (7 * MIN_RATE, 7), (MAX_COMPONENT_BYTES, 60)] {
            assert_eq!(time_for(received), Duration::from_secs(seconds), "{received}");
        }
        let text = too_slow(7 * 64 * 1024 - 1, Duration::from_millis(7001));
        assert!(text.contains("at 63.9 KiB/s on average over 7 s"), "{text}");
        assert!(too_slow(0, Duration::from_secs(5)).contains("at 0.0 KiB/s on average over 5 s"));
        assert!(too_slow(1, UPLOAD_TIMEOUT).contains("within 60 s"));
    }
}
