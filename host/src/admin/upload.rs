//! The body of a push: a component, received within bounds of time and memory.

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Duration, timeout};

use super::response::ApiError;
use crate::module::source::MAX_COMPONENT_BYTES;

/// How long a component may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

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
    match timeout(UPLOAD_TIMEOUT, collect(body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "The request body ended early or is framed incorrectly: send the whole component again.",
        )),
        Err(_) => {
            let limit = UPLOAD_TIMEOUT.as_secs();
            let detail =
                format!("The component did not arrive within {limit} s: send it over a faster connection.");
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

/// Reserves all capacity at the start, so that the buffer never holds more than a component may have. Capacity that is
/// not used costs no memory.
async fn collect<B>(body: B) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let capacity = body.size_hint().exact().unwrap_or(MAX_COMPONENT_BYTES).min(MAX_COMPONENT_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or_default());
    let mut limited = Limited::new(body, usize::try_from(MAX_COMPONENT_BYTES).unwrap_or(usize::MAX));
    while let Some(frame) = limited.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
