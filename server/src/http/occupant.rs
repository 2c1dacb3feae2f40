//! Whoever has a connection, and what happens on it: so that the right one is closed when others
//! need its place.

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};
use tokio::sync::Notify;

/// Whoever has a connection: whether we wait for it or it for us, and since when.
pub struct Occupant {
    state: Mutex<(Activity, Instant)>,
    close: Notify,
}

/// What happens on a connection, in the order in which it is closed for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// We wait for a request, or for the rest of one.
    Waiting,
    /// Its answer is sent.
    Sending,
    /// We work on the answer.
    Working,
}

impl Default for Occupant {
    fn default() -> Self {
        Occupant { state: Mutex::new((Activity::Waiting, Instant::now())), close: Notify::new() }
    }
}

impl Occupant {
    fn set(&self, activity: Activity) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (activity, Instant::now());
    }

    /// Notes that the request is whole.
    pub fn works(&self) {
        self.set(Activity::Working);
    }

    /// What happens while nobody works for it, and since when.
    pub fn idle(&self) -> Option<(Activity, Instant)> {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.0 != Activity::Working).then_some(state)
    }

    /// The answer, which tells when it is sent.
    pub fn until_sent(self: Arc<Self>, answer: Response) -> Response {
        self.set(Activity::Sending);
        answer.map(|body| holding(body, Sent(self)))
    }

    /// Asks for the end of the connection.
    pub fn close(&self) {
        self.close.notify_one();
    }

    /// Waits for that.
    pub async fn closed(&self) {
        self.close.notified().await;
    }
}

/// Notes at its end that we wait for the next request.
struct Sent(Arc<Occupant>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.set(Activity::Waiting);
    }
}

/// The body, which holds something until it is sent.
pub fn holding(body: Body, held: impl Send + Unpin + 'static) -> Body {
    Body::new(Held { body, _held: held })
}

/// A body that holds something until it is sent.
struct Held<T> {
    body: Body,
    _held: T,
}

impl<T: Unpin> HttpBody for Held<T> {
    type Data = <Body as HttpBody>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
