//! The limits of one request and of one connection.

use clap::Args;

use super::values::{Period, Size, nonzero_period};

/// What one request or one connection may use.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitsConfig {
    /// Maximum time of one request, from its header to the end of its call. Beyond it the response is 408 if the body has not
    /// arrived, or 504 if the component has not responded. The time that a client takes to read is not part of it
    #[arg(long, env = "ORDERS_REQUEST_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "10s")]
    pub request_timeout: Period,

    /// Maximum time for the head of a request to arrive, counted from its first byte. Beyond it the response is 408
    #[arg(long, env = "ORDERS_HEADER_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "10s")]
    pub header_timeout: Period,

    /// Maximum time a connection may be idle between requests before it is closed. Set it longer than the idle timeout of
    /// the load balancer
    #[arg(long, env = "ORDERS_IDLE_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "75s")]
    pub idle_timeout: Period,

    /// Maximum size of a request body. Beyond it the response is 413
    #[arg(long, env = "ORDERS_MAX_BODY", value_name = "SIZE", default_value = "1MiB")]
    pub max_body: Size,

    /// Maximum memory for all request bodies together. Beyond it the response is 503. A quarter is kept for bodies up to 64 KiB
    #[arg(long, env = "ORDERS_MAX_BUFFERED", value_name = "SIZE", default_value = "64MiB")]
    pub max_buffered: Size,

    /// Maximum memory for the parts of responses that clients have not read yet, all responses together. Beyond it components
    /// wait; if too many wait, the response that has waited longest is cut
    #[arg(long, env = "ORDERS_MAX_ANSWERS", value_name = "SIZE", default_value = "64MiB")]
    pub max_answers: Size,

    /// Longest pause of a stream, a response without a length. With this option, a stream may last longer than
    /// `--request-timeout`; it ends with the service, or `--drain-timeout` after its module was replaced. Without it,
    /// `--request-timeout` ends streams, too
    #[arg(long, env = "ORDERS_STREAM_TIMEOUT", value_name = "TIME", value_parser = nonzero_period)]
    pub stream_timeout: Option<Period>,

    /// Maximum memory of one instance of the component. Beyond it the request fails with 500
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,

    /// Maximum processor time of one request. Beyond it the response is 504
    #[arg(long, env = "ORDERS_MAX_CPU", value_name = "TIME", value_parser = nonzero_period, default_value = "1s")]
    pub max_cpu: Period,

    /// Number of requests an instance serves, one after another. With 1, no data of one request remains in memory for the
    /// next
    #[arg(long, env = "ORDERS_INSTANCE_REUSE", value_name = "COUNT", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instance_reuse: u32,

    /// Maximum number of requests in the component at once. Beyond it the response is 503
    #[arg(long, env = "ORDERS_MAX_CONCURRENT", value_name = "COUNT", default_value = "256",
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_concurrent: u16,

    /// Maximum number of open connections. Beyond it the response is 503
    #[arg(long, env = "ORDERS_MAX_CONNECTIONS", value_name = "COUNT", default_value = "2048",
          value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub max_connections: u16,
}

impl LimitsConfig {
    /// Checks the limits against each other.
    ///
    /// # Errors
    ///
    /// One line that names the options that contradict each other.
    pub fn check(&self) -> Result<(), String> {
        if self.max_buffered < self.max_body {
            return Err(format!(
                "--max-buffered is {}, but must be at least --max-body, which is {}",
                self.max_buffered, self.max_body
            ));
        }
        Ok(())
    }
}
