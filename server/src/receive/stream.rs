//! Streams that stay: TCP, and Unix connections that open with a Hello or take their time.
//!
//! A stream that opened with a Hello is told, in groups, how many of its frames are durable; where
//! the Hello said how many there would be, we end it after the last. Any other is told nothing,
//! because a client that closes with unread bytes resets the connection. A silent peer costs a task
//! and no buffer; a slow one costs one message, bounded for each and for all together.

use super::{
    Arrivals, Intake, SUMMARY_REFUSED,
    admit::{NotAdmitted, admit},
    jobs_over::is_administrator,
    local_streams::{StayingStream, local_peer},
    origin::{Manner, Origin, Speaker},
    reading_half::ReadingHalf,
};
use crate::{
    clock::now_ns,
    config::Receive,
    queue::{Credentials, Refusal, SubmissionAnswer},
    tls_server::Tls,
    tokens::{Scope, TokenHolder},
};
use anyhow::{Context, Result, anyhow, bail};
use bytes::{Buf, BytesMut};
use ogrt_proto::{Ack, FRAME_HEADER_LEN, FrameError, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc::UnboundedReceiver, oneshot},
    time::{sleep_until, timeout, timeout_at},
};
use tracing::{debug, warn};

/// Messages up to this size need no share of `stream_bytes_max`.
const SMALL: usize = 64 * 1024;

/// Acknowledgements that may be outstanding before we stop reading.
const OUTSTANDING: usize = 64;

/// The time that a silent connection stays when others wait for its place.
const CROWDED_PATIENCE: Duration = Duration::from_secs(10);

/// How often one who waits for a place asks for it again.
const ASKED_AGAIN: Duration = Duration::from_millis(100);

/// The time that a peer may take to read an acknowledgement.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a client may take to read why it is refused, and how much of what it still sends
/// is read meanwhile.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
const UNREAD_MAX: usize = 16 << 20;

/// What a client is told whose build record is refused.
const NO_TOKEN: &str = "a build is registered only with a token that the server knows: OGRT_TOKEN_FILE names the file \
    with one, and `ogrt-server token add NAME` makes it";
const TOKEN_WITHOUT_SCOPE: &str = "the token in the file that OGRT_TOKEN_FILE names does not permit to register builds: \
    one made with --scope register does";
/// What a client is told that may not say that a job is over.
const NOT_ROOT_IMPORTS: &str =
    "only root, and the user that runs the server, may import records of XALT, over the Unix socket";
const NOT_ROOT: &str =
    "only root, and the user that runs the server, may say that a job is over, over the Unix socket";

/// Serves all streams.
#[derive(Clone)]
pub struct Streams {
    intake: Intake,
    config: Receive,
    connections: Arc<Semaphore>,
    /// Told for each place that somebody waits for; a connection that was silent too long hears it.
    wanted: Arc<Notify>,
    large: Arc<Semaphore>,
}

impl Streams {
    /// Takes the bounds from the configuration.
    pub fn new(intake: Intake, config: &Receive) -> Self {
        let large = (config.stream_bytes_max.0 as usize)
            .clamp(config.message_bytes_max.0 as usize, Semaphore::MAX_PERMITS);
        Streams {
            intake,
            config: config.clone(),
            connections: Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS))),
            wanted: Arc::default(),
            large: Arc::new(Semaphore::new(large)),
        }
    }

    /// Accepts TCP connections until the shutdown.
    pub async fn accept_tcp(self, listener: TcpListener, tls: Option<Arc<Tls>>) {
        loop {
            let Some(permit) = self.place().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.intake.shutdown.wait() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.intake.metrics.connections.add(1);
                    let _ = stream.set_nodelay(true);
                    let (streams, tls) = (self.clone(), tls.clone());
                    tokio::spawn(async move { streams.serve_tcp(stream, tls, peer, permit).await });
                }
                Err(problem) => {
                    // Out of descriptors, most likely: they come back when connections end.
                    warn!("cannot accept a TCP connection: {problem}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes over Unix connections that stay.
    pub async fn accept_staying(self, mut staying: UnboundedReceiver<StayingStream>) {
        while let Some(StayingStream { stream, begun, credentials, pidfd, open }) = staying.recv().await {
            // No room: the connection is closed, and its client spools.
            let permit = self.connections.clone().try_acquire_owned();
            self.spare();
            let Ok(permit) = permit else { continue };
            let peer = local_peer(credentials);
            match tokio::net::UnixStream::from_std(stream) {
                Ok(stream) => {
                    let streams = self.clone();
                    tokio::spawn(async move {
                        let sender = Peer { begun, credentials, speaker: Some(Speaker::new(pidfd)) };
                        streams.serve(stream.into_split(), sender, peer, permit).await;
                        drop(open);
                    });
                }
                Err(problem) => warn!("cannot serve {peer}: {problem}"),
            }
        }
    }

    /// Returns when every stream has ended, which each does by itself after a shutdown.
    pub async fn ended(&self) {
        let all = u32::try_from(self.config.connections_max).unwrap_or(u32::MAX);
        let _ = self.connections.acquire_many(all).await;
    }

    async fn serve_tcp(
        self,
        stream: TcpStream,
        tls: Option<Arc<Tls>>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let Some(tls) = tls else {
            let halves = stream.into_split();
            return self.serve(halves, Peer::default(), format!("{peer} (TCP)"), permit).await;
        };
        match tls.accept(stream).await {
            Ok(stream) => {
                let halves = tokio::io::split(stream);
                self.serve(halves, Peer::default(), format!("{peer} (TLS)"), permit).await;
            }
            Err(problem) => {
                self.intake.metrics.protocol_errors.add(1);
                let problem = format!("{problem:#}, so the connection is closed");
                self.intake.stream_complaints.say(&format!("{peer} (TLS)"), &problem);
            }
        }
    }

    async fn serve(
        self,
        (reader, writer): (impl ReadingHalf, impl AsyncWrite + Unpin),
        Peer { begun, credentials, speaker }: Peer,
        peer: String,
        permit: OwnedSemaphorePermit,
    ) {
        let mut connection = Connection {
            streams: &self,
            reader,
            writer,
            buffer: begun,
            credentials,
            speaker,
            holder: None,
            may_register: self.intake.tokens.may_register(None),
            peer: &peer,
            greeted: None,
            passes_on: false,
            imports: false,
            frames: 0,
            announced: None,
            refused: None,
            outstanding: VecDeque::new(),
        };
        if let Err(problem) = connection.serve().await {
            connection.tell_refusal().await;
            self.intake.metrics.protocol_errors.add(1);
            let problem = format!("{problem:#}, so the connection is closed");
            self.intake.stream_complaints.say(&peer, &problem);
        }
        drop(permit);
    }

    /// A place for one more connection; none after the shutdown.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let place = timeout(ASKED_AGAIN, self.connections.clone().acquire_owned()).await;
            self.spare();
            if let Ok(place) = place {
                return place.ok();
            }
        }
    }

    /// Lets the connection that was silent longest go where few places are left: one goes for each
    /// that comes.
    fn spare(&self) {
        if self.connections.available_permits() < self.config.connections_max / 4 {
            self.wanted.notify_one();
        }
    }

    /// Returns when a connection that has been silent since then has to go.
    async fn too_silent(&self, since: Instant) {
        let leaves = async {
            sleep_until((since + CROWDED_PATIENCE).into()).await;
            self.wanted.notified().await;
        };
        let _ = timeout_at((since + self.config.idle_timeout.0).into(), leaves).await;
    }
}

/// The other end, as far as the kernel knows it, and what it said so far.
#[derive(Default)]
struct Peer {
    begun: BytesMut,
    credentials: Option<Credentials>,
    speaker: Option<Speaker>,
}

struct Connection<'a, R, W> {
    streams: &'a Streams,
    reader: R,
    writer: W,
    buffer: BytesMut,
    credentials: Option<Credentials>,
    /// The process that sends, where it may speak for itself.
    speaker: Option<Speaker>,
    /// Whoever holds the token that the Hello showed.
    holder: Option<Arc<TokenHolder>>,
    may_register: bool,
    /// The name of the other end, for the log.
    peer: &'a str,
    /// The stream opened with a Hello; unknown before its first frame.
    greeted: Option<bool>,
    /// Its Hello said that the events are others'.
    passes_on: bool,
    /// Its Hello said that they are records of XALT, and it may bring such.
    imports: bool,
    /// Frames after the Hello.
    frames: u64,
    /// The number of frames that its Hello announced.
    announced: Option<u64>,
    /// The reason why the client's frames are not taken, where it is to be told.
    refused: Option<&'static str>,
    /// Frames up to which an answer is awaited.
    outstanding: VecDeque<(u64, oneshot::Receiver<Result<SubmissionAnswer, Refusal>>)>,
}

impl<R: ReadingHalf, W: AsyncWrite + Unpin> Connection<'_, R, W> {
    async fn serve(&mut self) -> Result<()> {
        let config = &self.streams.config;
        // A share of what large messages may take, held while one is incomplete.
        let mut share: Option<OwnedSemaphorePermit> = None;
        let mut message_since = Instant::now();
        let mut silent_since = Instant::now();
        loop {
            let some = self.take_frames().await?;
            if some || self.buffer.is_empty() {
                message_since = Instant::now();
            }
            let needed = self.needed()?;
            if needed <= SMALL {
                share = None;
            } else if share.as_ref().is_none_or(|share| share.num_permits() < needed) {
                // Nobody waits for a share while holding one.
                drop(share.take());
                let permits = self.streams.large.clone().acquire_many_owned(needed as u32);
                share = Some(permits.await?);
                self.buffer.reserve(needed.saturating_sub(self.buffer.len()));
            }
            let is_silent = self.buffer.is_empty();
            if is_silent {
                // Nothing is kept for a peer that is silent.
                self.buffer = BytesMut::new();
            }
            // A message has a time to be complete, however its bytes drip in.
            let message_ends = message_since + config.message_timeout.0;
            tokio::select! {
                biased;
                answer = next_answer(&mut self.outstanding) => {
                    self.acknowledge(answer?).await?;
                    if self.has_all() {
                        // We end it: a client that ends it itself wakes us, and on one machine
                        // waits for that.
                        return self.finish().await;
                    }
                }
                read = read_some(&mut self.reader, &mut self.buffer),
                    if self.outstanding.len() < OUTSTANDING =>
                {
                    match read {
                        Ok(0) => return self.finish().await,
                        Ok(_) => silent_since = Instant::now(),
                        // The peer is gone; what it sent whole is in.
                        Err(_) => return Ok(()),
                    }
                }
                () = self.streams.too_silent(silent_since), if is_silent && self.outstanding.is_empty() => return Ok(()),
                () = sleep_until(message_ends.into()), if !is_silent && self.outstanding.len() < OUTSTANDING => {
                    bail!("a message was not completed within {:?}", config.message_timeout.0);
                }
                // Its client keeps what is not acknowledged, and comes again.
                () = self.streams.intake.condition.refuses(), if !self.outstanding.is_empty() => {
                    return Err(Refusal::Full.into());
                }
                () = self.streams.intake.shutdown.wait() => {
                    self.take_the_rest().await?;
                    return self.finish().await;
                }
            }
        }
    }

    /// Bytes that the frame at the front of the buffer will have, header included.
    fn needed(&self) -> Result<usize> {
        let Some(mut header) = self.buffer.get(..FRAME_HEADER_LEN) else { return Ok(FRAME_HEADER_LEN) };
        let (_, announced) = (header.get_u32(), header.get_u32());
        let max = self.streams.config.message_bytes_max.0 as usize;
        if announced as usize > max {
            return Err(FrameError::TooLong { announced, max }.into());
        }
        Ok(FRAME_HEADER_LEN + announced as usize)
    }

    /// Hands every whole frame in the buffer to the queue; true when there was one.
    async fn take_frames(&mut self) -> Result<bool> {
        let intake = &self.streams.intake;
        let max = self.streams.config.message_bytes_max.0 as usize;
        let received_ns = now_ns();
        let mut arrivals = Arrivals::default();
        let mut frames = 0;
        let mut problem = None;
        loop {
            let frame = match decode_frame(&mut self.buffer, max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(cause) => {
                    problem = Some(cause.into());
                    break;
                }
            };
            if frame.message_type() == Some(MessageType::Hello) && self.greeted.is_none() {
                let hello = Hello::decode(frame.message).context("a Hello that cannot be read")?;
                debug!("a stream of {}", hello.client());
                self.holder = hello.token.as_deref().and_then(|token| intake.tokens.holder(token));
                self.may_register = intake.tokens.may_register(self.holder.as_deref());
                (self.greeted, self.announced) = (Some(true), hello.frames);
                self.passes_on = hello.passes_on();
                if let Some(tracker) = &hello.imports {
                    if tracker != "xalt" || !is_administrator(self.credentials) {
                        self.refused = Some(NOT_ROOT_IMPORTS);
                        problem = Some(anyhow!("an import that it may not make"));
                        break;
                    }
                    self.imports = true;
                }
                continue;
            }
            let origin = Origin {
                received_ns,
                credentials: self.credentials,
                relay: self.relay(),
                manner: self.manner(),
                may_register: self.may_register,
                holder: self.holder.as_deref(),
                // Who greets may deliver what others have left in a spool.
                speaker: self.speaker.as_ref().filter(|_| self.greeted != Some(true)),
            };
            if let Err(cause) = admit(frame.kind, &frame.message, origin, intake, &mut arrivals) {
                self.refused = match cause {
                    NotAdmitted::Token if self.holder.is_some() => Some(TOKEN_WITHOUT_SCOPE),
                    NotAdmitted::Token => Some(NO_TOKEN),
                    NotAdmitted::JobOver => Some(NOT_ROOT),
                    _ => None,
                };
                problem = Some(cause.into());
                break;
            }
            self.greeted.get_or_insert(false);
            frames += 1;
        }
        if arrivals.summaries_refused > 0 {
            intake.stream_complaints.say(&self.peer, &SUMMARY_REFUSED);
        }
        if frames > 0 && !intake.condition.takes_events() {
            intake.metrics.events_refused.add(arrivals.submission.entries.count());
            return Err(Refusal::Full.into());
        }
        if frames > 0 {
            self.frames += frames;
            if self.greeted == Some(true) {
                arrivals.submission.once = true;
                let answer = intake.submit_for_answer(arrivals).await;
                self.outstanding.push_back((self.frames, answer));
            } else {
                intake.submit(arrivals).await;
            }
        }
        problem.map_or(Ok(frames > 0), Err)
    }

    /// The name of the other end, where it is a relay.
    fn relay(&self) -> Option<&str> {
        let holder = self.holder.as_deref().filter(|holder| holder.scopes.has(Scope::Relay));
        holder.map(|holder| holder.name.as_str())
    }

    fn manner(&self) -> Manner {
        match self.greeted {
            Some(true) if self.imports => Manner::Imports,
            Some(true) if self.passes_on => Manner::PassesOn,
            Some(true) => Manner::Greets,
            _ => Manner::Sends,
        }
    }

    /// Everything that the client wanted to send is acknowledged.
    fn has_all(&self) -> bool {
        self.outstanding.is_empty() && self.announced.is_some_and(|announced| self.frames >= announced)
    }

    async fn acknowledge(&mut self, durable_frames: u64) -> Result<()> {
        let ack = Ack { durable_frames: Some(durable_frames), refused: None };
        let ack = encode_frame(MessageType::Ack, &ack);
        timeout(ACK_TIMEOUT, self.writer.write_all(&ack))
            .await
            .map_err(|_| anyhow!("an acknowledgement was not read within {ACK_TIMEOUT:?}"))?
            .context("cannot acknowledge")?;
        Ok(())
    }

    /// Tells a client that waits for acknowledgements why it gets none. Clients of before see the
    /// end of the stream, as ever.
    async fn tell_refusal(&mut self) {
        let Some(refused) = self.refused.filter(|_| self.greeted == Some(true)) else { return };
        let ack = Ack { durable_frames: None, refused: Some(refused.to_owned()) };
        let ack = encode_frame(MessageType::Ack, &ack);
        let tell = async {
            self.writer.write_all(&ack).await?;
            self.writer.shutdown().await?;
            // Closing with bytes unread would take the answer from the client.
            let mut unread = 0;
            while unread < UNREAD_MAX {
                self.buffer.clear();
                match read_some(&mut self.reader, &mut self.buffer).await? {
                    0 => break,
                    read => unread += read,
                }
            }
            Ok::<_, std::io::Error>(())
        };
        let _ = timeout(REFUSAL_TIMEOUT, tell).await;
        self.buffer = BytesMut::new();
    }

    /// Takes what the kernel had taken when it was told to take no more.
    async fn take_the_rest(&mut self) -> Result<()> {
        if self.reader.refuse_more() {
            while read_some(&mut self.reader, &mut self.buffer).await.is_ok_and(|read| read > 0) {
                self.take_frames().await?;
            }
        }
        Ok(())
    }

    /// The peer has sent all it will: it still gets its acknowledgements.
    async fn finish(&mut self) -> Result<()> {
        while !self.outstanding.is_empty() {
            let durable_frames = next_answer(&mut self.outstanding).await?;
            if self.acknowledge(durable_frames).await.is_err() {
                break;
            }
        }
        let _ = timeout(ACK_TIMEOUT, self.writer.shutdown()).await;
        if !self.buffer.is_empty() && !self.streams.intake.shutdown.asked() {
            bail!("the connection ended within a frame");
        }
        Ok(())
    }
}

/// Reads without keeping a buffer for a peer that says nothing.
async fn read_some(reader: &mut impl ReadingHalf, buffer: &mut BytesMut) -> std::io::Result<usize> {
    if buffer.capacity() == buffer.len() {
        // The first bytes of a message go through a small array: most tasks wait here, and wait
        // without a buffer.
        let mut first = [0; 512];
        let read = reader.read(&mut first).await?;
        buffer.extend_from_slice(&first[..read]);
        if read == first.len() {
            buffer.reserve(16 * 1024);
        }
        return Ok(read);
    }
    reader.read_buf(buffer).await
}

/// Waits for the oldest answer and takes those after it that are there already: one acknowledgement
/// for all.
async fn next_answer(
    outstanding: &mut VecDeque<(u64, oneshot::Receiver<Result<SubmissionAnswer, Refusal>>)>,
) -> Result<u64> {
    let Some((frames, answer)) = outstanding.front_mut() else { return std::future::pending().await };
    let mut durable = *frames;
    answer.await.unwrap_or(Err(Refusal::Closed))?;
    outstanding.pop_front();
    while let Some((frames, answer)) = outstanding.front_mut() {
        match answer.try_recv() {
            Ok(result) => {
                result?;
                durable = *frames;
                outstanding.pop_front();
            }
            Err(_) => break,
        }
    }
    Ok(durable)
}
