//! Bounds on what all requests together may take: how many are worked on at once, and the memory of
//! bodies and of answers.
//!
//! Each route has a class, and the class says which place a request needs. Health and metrics need
//! none, so they always answer. Others wait for a place for a while, and are then told to ask
//! again.

use super::Problem;
use crate::metrics::Metrics;
use axum::http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Requests that wait for a place or are worked on; further ones are refused.
pub const REQUESTS_MAX: usize = 256;

/// Questions that are worked on at once.
const QUESTIONS_MAX: usize = 8;

/// Questions that walk over millions of builds or processes, at once.
const HEAVY_MAX: usize = 2;

/// Answers that are made while they are read, at once; and how many of them are made in the same
/// moment.
const STREAMS_MAX: usize = 64;
const PARTS_MAX: usize = 2;

/// Memory of large answers that are not yet read, and of large bodies, in KiB.
const ANSWERS_KIB: usize = 64 << 10;
const BODIES_KIB: usize = 64 << 10;

/// Answers up to this size need no share of that memory.
const SMALL_ANSWER: u64 = 64 << 10;

/// How much more memory JSON may take than the message that it is made from: a byte may be six in a
/// text, which grows by doubling, and there are the strings between.
const JSON_GROWTH: u64 = 16;

/// A part of the memory of answers, held by the answer.
#[derive(Clone)]
pub struct AnswerShare {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(30);

/// The kind of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered at once, whatever else goes on.
    Always,
    /// A question with an answer of a few megabytes at most.
    Question,
    /// A question that takes much memory or time.
    Heavy,
    /// A question whose answer is made while it is read.
    Stream,
    /// A request with a body.
    Change,
}

/// All places.
pub struct Places {
    pub requests: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    parts: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    pub bodies: Arc<Semaphore>,
    /// Largest body of a request, in bytes.
    pub body_max: usize,
    pub metrics: Arc<Metrics>,
}

impl Places {
    /// Places for requests with bodies up to so many bytes.
    pub fn new(body_max: usize, metrics: Arc<Metrics>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Places {
            requests: places(REQUESTS_MAX),
            questions: places(QUESTIONS_MAX),
            heavy: places(HEAVY_MAX),
            streams: places(STREAMS_MAX),
            parts: places(PARTS_MAX),
            answers: places(ANSWERS_KIB),
            bodies: places(BODIES_KIB.max(kib(body_max as u64) as usize)),
            body_max,
            metrics,
        }
    }

    /// Waits until the next part of a stream may be made; whoever makes it holds this meanwhile.
    pub async fn part(&self) -> Option<OwnedSemaphorePermit> {
        self.parts.clone().acquire_owned().await.ok()
    }

    /// Waits for permits, at most for the time that a request waits.
    pub async fn wait(&self, places: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout(PATIENCE, places.clone().acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(self.full()),
        }
    }

    /// Waits for the place that a request of this class needs.
    pub async fn wait_for(&self, class: Class) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let places = match class {
            Class::Always | Class::Change => return Ok(None),
            Class::Question => &self.questions,
            Class::Heavy => &self.heavy,
            Class::Stream => &self.streams,
        };
        self.wait(places, 1).await.map(Some)
    }

    /// Waits for the share of memory that an answer of this size needs until it is sent.
    pub async fn share(&self, bytes: u64) -> Result<Option<AnswerShare>, Problem> {
        if bytes <= SMALL_ANSWER {
            return Ok(None);
        }
        let permit = self.wait(&self.answers, kib(bytes).min(ANSWERS_KIB as u32)).await?;
        Ok(Some(AnswerShare { _permit: Arc::new(permit) }))
    }

    /// The same before the answer is made, from messages of so many bytes. It goes with the answer,
    /// as an extension.
    pub async fn share_of_json(&self, bytes: usize) -> Result<Option<AnswerShare>, Problem> {
        self.share((bytes as u64).saturating_mul(JSON_GROWTH)).await
    }

    /// The answer where there is no place.
    pub fn full(&self) -> Problem {
        self.metrics.http_refused.add(1);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are worked on: ask again")
    }
}

/// A size in whole KiB.
pub fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
