//! The progress that a peer must make to keep its place: so many bytes in so much time.
//!
//! Only the time counts in which we wait for the peer: it is not to blame for what we do meanwhile.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// How much must move, and within which time of waiting.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub bytes: usize,
    pub within: Duration,
}

/// What a peer has moved lately.
#[derive(Debug)]
pub struct Progress {
    pace: Pace,
    bytes: usize,
    waited: Duration,
    waiting_since: Option<Instant>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Progress {
    /// Nothing moved so far.
    pub fn new(pace: Pace) -> Self {
        Progress { pace, bytes: 0, waited: Duration::ZERO, waiting_since: None, deadline: None }
    }

    /// Notes that bytes moved, so that nobody waits now.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.bytes += bytes;
        if self.bytes >= self.pace.bytes {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Ready once the peer, which is waited for, is too slow.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.pace.within.saturating_sub(self.waited);
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            match &mut self.deadline {
                Some(deadline) => deadline.as_mut().reset(now + left),
                None => self.deadline = Some(Box::pin(sleep(left))),
            }
        }
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Instant};
    use tokio::time::timeout;

    const PACE: Pace = Pace { bytes: 100, within: Duration::from_millis(80) };

    async fn waits(progress: &mut Progress, time: Duration) -> bool {
        timeout(time, poll_fn(|context| progress.poll_too_slow(context))).await.is_err()
    }

    #[tokio::test]
    async fn who_moves_too_little_is_too_slow_however_its_bytes_drip() {
        let mut progress = Progress::new(PACE);
        let since = Instant::now();
        while waits(&mut progress, Duration::from_millis(10)).await {
            progress.moved(1);
        }
        assert!((PACE.within..PACE.within * 5).contains(&since.elapsed()), "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn who_moves_enough_is_not_and_our_own_time_does_not_count() {
        let mut progress = Progress::new(PACE);
        for _ in 0..5 {
            assert!(waits(&mut progress, PACE.within / 4).await);
            progress.moved(PACE.bytes);
        }
        tokio::time::sleep(PACE.within * 2).await;
        assert!(waits(&mut progress, PACE.within / 4).await);
    }
}
