//! The way to the server: its Unix socket, in groups that are acknowledged.
//!
//! Where the server takes nothing, a group is sent again for a while: its queue may be full. The
//! server knows what came before, so nothing of it counts twice.

use super::findings::{Trouble, Unusable};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use ogrt_proto::{Ack, FRAME_HEADER_LEN, FRAME_MAX, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// Frames and bytes of a group.
const GROUP_FRAMES: u64 = 1000;
const GROUP_BYTES: usize = 1 << 20;

/// How long a server may take nothing.
const PATIENCE: Duration = Duration::from_secs(600);

/// The time before a group is sent again.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Delivery {
    socket: PathBuf,
    message_max: usize,
    stream: UnixStream,
    /// Frames of this stream that are acknowledged.
    acknowledged: u64,
    group: Vec<u8>,
    frames: u64,
}

impl Delivery {
    /// Connects to a server that runs.
    pub fn connect(socket: &Path, message_max: usize) -> Result<Self> {
        let stream = greet(socket).with_context(|| {
            format!("cannot reach the server at {}: the server must run while it imports", socket.display())
        })?;
        let (group, acknowledged, frames) = (Vec::new(), 0, 0);
        Ok(Delivery { socket: socket.to_owned(), message_max, stream, acknowledged, group, frames })
    }

    /// Sends a message, with others.
    pub fn send(&mut self, kind: MessageType, message: &impl Message) -> Result<(), Trouble> {
        if message.encoded_len() + FRAME_HEADER_LEN > self.message_max {
            return Err(Unusable::TooLarge.into());
        }
        self.group.extend_from_slice(&encode_frame(kind, message));
        self.frames += 1;
        if self.frames >= GROUP_FRAMES || self.group.len() >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is left.
    pub fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.frames > 0 {
            match self.send_group() {
                Ok(None) => {
                    self.acknowledged += self.frames;
                    self.frames = 0;
                    self.group.clear();
                }
                Ok(Some(refused)) => bail!("the server refuses the records: {refused}"),
                Err(problem) if begun.elapsed() > PATIENCE => {
                    return Err(problem).context(
                        "the server takes no records (its log says why). Import again when it does: what it has \
                         counts once",
                    );
                }
                Err(_) => {
                    sleep(PAUSE);
                    if let Ok(stream) = greet(&self.socket) {
                        (self.stream, self.acknowledged) = (stream, 0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the group and waits until all of it is durable; the reason where it is refused.
    fn send_group(&mut self) -> Result<Option<String>> {
        // A server that refuses may close before it has read all: its answer is there.
        let sent = self.stream.write_all(&self.group);
        let (mut received, mut bytes) = (BytesMut::new(), [0; 4096]);
        loop {
            while let Some(frame) = decode_frame(&mut received, FRAME_MAX)? {
                let ack = Ack::decode(frame.message)?;
                if ack.refused.is_some() {
                    return Ok(ack.refused);
                }
                if ack.durable_frames() >= self.acknowledged + self.frames {
                    return Ok(None);
                }
            }
            match self.stream.read(&mut bytes)? {
                0 => {
                    sent?;
                    bail!("the server has closed the connection");
                }
                read => received.extend_from_slice(&bytes[..read]),
            }
        }
    }
}

fn greet(socket: &Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let client = Some(concat!("ogrt-server import ", env!("CARGO_PKG_VERSION")).to_owned());
    let hello = Hello { client, passes_on: Some(true), imports: Some("xalt".to_owned()), ..Hello::default() };
    stream.write_all(&encode_frame(MessageType::Hello, &hello))?;
    Ok(stream)
}
