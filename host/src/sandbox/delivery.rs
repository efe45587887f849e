//! The delivery of a response: drives the call that writes it, and takes what it writes, whether or not the client reads.
//!
//! An ordinary call ends before the head of its response is sent, in the task of its connection. Otherwise the head is sent as
//! soon as the component waits, and the delivery continues in a task of its own ([`Delivery::run`]) until the call ends.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Response, response::Parts};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};
use wasmtime_wasi_http::p2::{bindings::http::types::ErrorCode, body::HyperOutgoingBody};

use crate::sandbox::{
    call::GuestCall,
    failure::Failure,
    record::CallRecord,
    request_body::TooLarge,
    response_body::Unread,
    response_limits::ResponseLimits,
    stream::{Stream, StreamEnd},
    transfer::Transfer,
    waiting::Unwanted,
    written::Written,
};

/// How long a call may go on at least after its stream has ended.
const AFTER_STREAM: Duration = Duration::from_secs(1);

/// Receives a response from the component.
pub type ResponseReceiver = oneshot::Receiver<Result<Response<HyperOutgoingBody>, ErrorCode>>;

/// What a delivery needs besides the call.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct DeliveryTerms {
    /// The limits of all responses.
    pub limits: Arc<ResponseLimits>,
    /// The deadline of the call.
    pub deadline: Instant,
    /// Whether the call has about as much time as a request may take.
    pub has_full_time: bool,
    /// When the response has to end if it is a stream; `None` if streams are not allowed to last.
    pub stream_end: Option<StreamEnd>,
    /// Whether the method of the request is HEAD.
    pub head_only: bool,
}

/// A response in delivery.
#[allow(missing_debug_implementations, reason = "a call in flight has no readable form")]
pub struct Delivery {
    /// Until it ends.
    call: Option<GuestCall>,
    /// Until the component has responded.
    receiver: Option<ResponseReceiver>,
    /// Until it can be sent.
    head: Option<Parts>,
    transfer: Transfer,
    /// Since when the component waits for its reader.
    waits_since: Option<Instant>,
    /// Whether the client has left.
    left: bool,
    /// Exists while nobody wants what the component writes.
    unwanted: Option<Unwanted>,
    stream: Option<Stream>,
    record: Arc<CallRecord>,
    terms: DeliveryTerms,
}

impl Delivery {
    /// Prepares the delivery of what `call` sends to `receiver`.
    pub fn new(
        call: GuestCall,
        receiver: ResponseReceiver,
        record: Arc<CallRecord>,
        too_large: Option<TooLarge>,
        terms: DeliveryTerms,
    ) -> Self {
        let transfer = Transfer::new(Arc::clone(&terms.limits.unread), too_large);
        Self {
            call: Some(call),
            receiver: Some(receiver),
            head: None,
            transfer,
            waits_since: None,
            left: false,
            unwanted: None,
            stream: None,
            record,
            terms,
        }
    }

    /// What the client has not read yet.
    pub fn unread(&self) -> &Arc<Unread> {
        self.transfer.unread()
    }

    /// Whether the call goes on, so that the delivery has to be run.
    pub fn goes_on(&self) -> bool {
        self.call.is_some()
    }

    /// The failure to report for this one.
    pub fn blame(&self, failure: Failure) -> Failure {
        self.transfer.blame(failure)
    }

    /// Drives the call until the head of the response can be sent.
    ///
    /// A head that announces a length waits for the first chunk: until then, a failure can still be reported with a status.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the response must not be sent.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Parts, Failure>> {
        loop {
            let ended = self.poll_call(context);
            self.receive_head(context)?;
            let moved = self.take(context)?;
            match ended {
                Some(Err(failure)) if self.transfer.is_finished() => {
                    self.fail(failure);
                    break;
                }
                _ if self.transfer.is_finished() => break,
                Some(result) => {
                    return Poll::Ready(Err(result.err().unwrap_or_else(|| self.transfer.unfinished())));
                }
                None if moved => {}
                None if self.may_send_head() => break,
                None => return Poll::Pending,
            }
        }
        Poll::Ready(self.begin_response())
    }

    fn may_send_head(&self) -> bool {
        self.transfer.written().is_some_and(Written::has_begun)
    }

    fn begin_response(&mut self) -> Result<Parts, Failure> {
        let head = self.head.take().ok_or(Failure::NoResponse)?;
        self.transfer.check_request_body()?;
        let Some(written) = self.transfer.written() else { return Ok(head) };
        if self.transfer.is_discarded() {
            self.unread().complete(HeaderMap::new());
        } else if !written.has_length()
            && let (Some(limits), Some(end)) = (&self.terms.limits.streams, self.terms.stream_end.take())
        {
            self.stream = Some(limits.begin(&head.headers, end).ok_or(Failure::TooManyStreams)?);
            self.continue_stream();
        }
        Ok(head)
    }

    /// Drives the call until it ends, and passes on what it writes.
    pub async fn run(mut self) {
        if let Err(failure) = poll_fn(|context| self.poll_rest(context)).await {
            self.fail(failure);
        }
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if !self.left && self.has_client_left(context) {
                // What the component makes of that is no evidence.
                self.left = true;
                self.stream = None;
                self.transfer.stop();
            }
            if let Some(stream) = &mut self.stream
                && stream.end.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Err(Failure::StreamEnded));
            }
            let ended = self.poll_call(context);
            let moved = self.take(context)?;
            match ended {
                Some(Ok(())) if !self.transfer.is_finished() => {
                    return Poll::Ready(Err(self.transfer.unfinished()));
                }
                Some(result) => return Poll::Ready(result),
                None if moved => {}
                None if self.is_unwanted() && self.has_to_end(context) => {
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Pending,
            }
        }
    }

    /// The result of the call, once.
    fn poll_call(&mut self, context: &mut Context<'_>) -> Option<Result<(), Failure>> {
        match Pin::new(self.call.as_mut()?).poll(context) {
            Poll::Ready(result) => {
                self.call = None;
                Some(result.map_err(|failure| self.blame_reader(failure)))
            }
            Poll::Pending => None,
        }
    }

    /// A call that waits for its reader, or whose request arrived late, is not to blame for the time.
    fn blame_reader(&self, failure: Failure) -> Failure {
        match failure {
            Failure::TimedOut if self.transfer.waits() => Failure::NotRead,
            Failure::TimedOut if !self.terms.has_full_time => Failure::LateRequest,
            failure => failure,
        }
    }

    fn receive_head(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Some(receiver) = &mut self.receiver else { return Ok(()) };
        let Poll::Ready(received) = Pin::new(receiver).poll(context) else { return Ok(()) };
        self.receiver = None;
        // Without a response, the result of the call gives the reason.
        let Ok(response) = received else { return Ok(()) };
        let response = response.map_err(Failure::ReturnedError)?;
        self.head = Some(self.transfer.begin(response, self.terms.head_only)?);
        Ok(())
    }

    fn take(&mut self, context: &mut Context<'_>) -> Result<bool, Failure> {
        let moved = self.transfer.take(self.call.is_none(), context)?;
        self.extend_by_wait();
        if moved {
            self.continue_stream();
        }
        if self.transfer.is_finished() && self.stream.take().is_some() {
            self.set_deadline(self.terms.deadline.max(Instant::now() + AFTER_STREAM));
        }
        Ok(moved)
    }

    /// Time that the component has waited for its reader is not its own.
    fn extend_by_wait(&mut self) {
        if self.transfer.waits() {
            self.waits_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.waits_since.take() {
            self.terms.deadline += since.elapsed();
            self.set_deadline(self.terms.deadline);
        }
    }

    /// Lets the stream live until its next chunk is due.
    fn continue_stream(&mut self) {
        if let Some(stream) = &self.stream {
            let deadline = Instant::now() + stream.timeout;
            self.set_deadline(deadline);
            self.record.cpu.renew_limit();
        }
    }

    fn set_deadline(&mut self, deadline: Instant) {
        if let Some(call) = &mut self.call {
            call.set_deadline(deadline);
        }
    }

    fn is_unwanted(&self) -> bool {
        self.left || self.transfer.is_discarded()
    }

    fn has_client_left(&self, context: &Context<'_>) -> bool {
        let needs_more = |written: &Written| !written.is_complete();
        let writes = self.transfer.waits() || self.transfer.written().is_some_and(needs_more);
        writes && !self.transfer.is_discarded() && self.unread().poll_dropped(context)
    }

    fn has_to_end(&mut self, context: &mut Context<'_>) -> bool {
        let limit = &self.terms.limits.waiting;
        self.unwanted.get_or_insert_with(|| Unwanted::begin(limit)).poll_end(context).is_ready()
    }

    /// Ends the response with a failure, or logs a failure that came after it.
    fn fail(&self, failure: Failure) {
        if self.left {
            return;
        }
        let failure = self.transfer.blame(failure);
        self.record.counted.fail_after_head(&failure);
        let has_events = self.stream.as_ref().is_some_and(|stream| stream.has_events);
        if matches!(failure, Failure::StreamEnded) && has_events {
            self.unread().complete(HeaderMap::new());
        } else if self.transfer.is_finished() {
            tracing::warn!(
                event = "request.failed_after_response",
                request_id = &*self.record.request_id,
                %failure,
                "call failed after its response was complete"
            );
        } else {
            self.unread().fail(failure);
        }
    }
}
