//! The way of a request into the house: its body first, then a place, then the work.

use super::{
    Problem, bodies,
    occupant::{Occupant, holding},
    places::{AnswerShare, Class, Places},
};
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Lets a request through when there is a place for it.
pub async fn admit(
    State((places, class)): State<(Arc<Places>, Class)>,
    request: Request,
    next: Next,
) -> Response {
    let admitted = admit_or_refuse(places, class, request, next).await;
    admitted.unwrap_or_else(Problem::into_response)
}

async fn admit_or_refuse(
    places: Arc<Places>,
    class: Class,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let occupant = request.extensions().get::<Arc<Occupant>>().cloned().unwrap_or_default();
    // A body is read before its request takes a place, because it may be slow.
    let has_body = class == Class::Change && !request.method().is_safe();
    let (request, body_share) = match has_body {
        true => bodies::read(&places, request).await?,
        false => (request.map(|_| Body::empty()), None),
    };
    occupant.works();
    if class == Class::Always {
        return Ok(next.run(request).await);
    }
    let place = places.requests.clone().try_acquire_owned().map_err(|_| places.full())?;
    let work = places.wait_for(class).await?;
    // A client that hangs up does not free the place while the work goes on.
    let answer = tokio::spawn(async move {
        let mut answer = next.run(request).await;
        drop((place, body_share));
        let size = answer.body().size_hint().exact().unwrap_or(0);
        let share = match answer.extensions_mut().remove::<AnswerShare>() {
            Some(share) => Some(share),
            None => places.share(size).await?,
        };
        // The place of a stream is free when all of it is sent.
        let stream = work.filter(|_| class == Class::Stream);
        Ok(answer.map(|body| holding(body, (share, stream))))
    });
    answer.await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to answer; its log says why"))
    })
}
