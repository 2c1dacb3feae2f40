//! The bodies of requests: bounded in size and in pace, for each and for all together.
//!
//! A body is read whole before anything is done with it. Small ones need no share of memory; a
//! large one has its share before it is read on, and must come faster for that. What is still on
//! its way to a request that is refused is thrown away.

use super::{
    Problem,
    places::{Places, kib},
};
use crate::progress::{Pace, Progress};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// Bodies up to this size need no share of memory.
const SMALL: usize = 16 << 10;

/// How fast a body must come.
const PACE: Pace = Pace { bytes: 4 << 10, within: Duration::from_secs(10) };

/// How fast one must come that has a share of memory.
const LARGE_PACE: Pace = Pace { bytes: 640 << 10, within: Duration::from_secs(10) };

/// How long the rest of a body is waited for that nobody reads, and its bytes.
const REST_FOR: Duration = Duration::from_secs(1);
const REST_MAX: usize = 64 << 20;

/// Answers a request, and reads what is left of its body where it is refused. A connection that is
/// closed with bytes unread is reset: its sender would see a broken pipe in place of the answer.
pub async fn answer_refusals(request: Request, next: Next) -> Response {
    let mut body = Arc::new(Mutex::new(Body::empty()));
    let request = request.map(|whole| {
        body = Arc::new(Mutex::new(whole));
        Body::new(SharedBody(body.clone()))
    });
    let answer = next.run(request).await;
    if answer.status().is_client_error() || answer.status().is_server_error() {
        let mut body = SharedBody(body);
        let drain = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > REST_MAX {
                    break;
                }
            }
        };
        // Whoever sends on after that has had its chance.
        let _ = timeout(REST_FOR, drain).await;
    }
    answer
}

/// A body that can be read on when who had it is done.
struct SharedBody(Arc<Mutex<Body>>);

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// The request with its whole body, and the share of memory that the body has.
pub async fn read(
    places: &Places,
    request: Request,
) -> Result<(Request, Option<OwnedSemaphorePermit>), Problem> {
    let (head, mut body) = request.into_parts();
    let hint = body.size_hint();
    let max = places.body_max;
    let fits = |bytes: u64| bytes <= max as u64;
    if !fits(hint.lower()) {
        return Err(too_large(max));
    }
    let mut progress = Progress::new(PACE);
    let (mut bytes, mut share) = (Vec::new(), None);
    loop {
        let frame = poll_fn(|context| match Pin::new(&mut body).poll_frame(context) {
            Poll::Pending if progress.poll_too_slow(context).is_ready() => Poll::Ready(Err(too_slow())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
        });
        let Some(frame) = frame.await? else { break };
        let frame = frame.map_err(|cause| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {cause}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        progress.moved(data.len());
        let needed = bytes.len() + data.len();
        if !fits(needed as u64) {
            return Err(too_large(max));
        }
        if needed > SMALL && share.is_none() {
            let all = hint.exact().unwrap_or(max as u64);
            share = Some(places.wait(&places.bodies, kib(all)).await?);
            bytes.reserve_exact(hint.exact().unwrap_or(0) as usize);
            progress = Progress::new(LARGE_PACE);
        }
        bytes.extend_from_slice(&data);
    }
    Ok((Request::from_parts(head, Body::from(Bytes::from(bytes))), share))
}

fn too_large(max: usize) -> Problem {
    let detail = format!("the body is larger than {max} bytes (receive.message_bytes_max)");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly: send it again")
}
