//! A stream to a server that acknowledges what is durable.

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use ogrt_proto::{Ack, FRAME_MAX, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// Frames that are sent before acknowledgements are waited for.
const WINDOW: u64 = 2000;

/// The time without an acknowledgement after which a server is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct EventStream {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: BytesMut,
    sent: u64,
    durable: u64,
}

impl EventStream {
    /// Connects to the server's address for TCP. Without a token all that is sent is a claim.
    pub fn connect(address: &str, token: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let hello = Hello { token: token.map(str::to_owned), ..Hello::default() };
        let unsent = encode_frame(MessageType::Hello, &hello).to_vec();
        Ok(EventStream { stream, unsent, received: BytesMut::new(), sent: 0, durable: 0 })
    }

    /// Greets a server, and waits until it has looked at its clock for that.
    pub fn greet(address: &str) -> Result<()> {
        let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&encode_frame(MessageType::Hello, &Hello::default()))?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).context("the server does not close the stream")?;
        Ok(())
    }

    /// Sends a frame, some of them together.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.unsent.extend_from_slice(frame);
        self.sent += 1;
        if self.unsent.len() > 1 << 16 {
            self.push()?;
        }
        while self.sent - self.durable > WINDOW {
            self.push()?;
            self.acknowledged()?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is durable.
    pub fn flush(&mut self) -> Result<()> {
        self.push()?;
        while self.durable < self.sent {
            self.acknowledged()?;
        }
        Ok(())
    }

    fn push(&mut self) -> Result<()> {
        self.stream.write_all(&self.unsent).context("the server does not receive")?;
        self.unsent.clear();
        Ok(())
    }

    /// Waits for one more acknowledgement.
    fn acknowledged(&mut self) -> Result<()> {
        let mut some = [0; 4096];
        let read = self.stream.read(&mut some).context("the server does not acknowledge")?;
        if read == 0 {
            bail!("the server closed the stream");
        }
        self.received.extend_from_slice(&some[..read]);
        while let Some(frame) = decode_frame(&mut self.received, FRAME_MAX)? {
            let ack = Ack::decode(frame.message)?;
            if let Some(reason) = &ack.refused {
                bail!("the server refuses: {reason}");
            }
            self.durable = ack.durable_frames();
        }
        Ok(())
    }
}
