//! HTTP as the tests need it: a request, and a receiver that answers each request as it is told, or
//! not at all.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// A request that a receiver got.
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub how: How,
}

/// What the receiver does with an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// Sends it.
    Whole,
    /// Closes in the middle of the body.
    Half,
    /// Sends nothing, and leaves the connection open.
    Never,
    /// Closes the connection at once.
    Closed,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, body: body.into(), how: How::Whole }
    }
}

/// Answers requests at an address of its own until the tests end; gives the address.
pub fn receiver(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || stream.and_then(|stream| serve(stream, &*answer)));
        }
    });
    address
}

fn serve(stream: TcpStream, answer: &dyn Fn(Request) -> Answer) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (headers, body) = headers_and_body(&mut reader)?;
        let Answer { status, body, how } = answer(Request { method, path, headers, body });
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        match how {
            How::Whole => stream.write_all(&[head.as_bytes(), &body].concat())?,
            How::Half => return stream.write_all(&[head.as_bytes(), &body[..body.len() / 2]].concat()),
            How::Closed => return Ok(()),
            How::Never => {
                // Until the other side has had enough.
                let _ = reader.read(&mut [0]);
                return Ok(());
            }
        }
    }
}

type Headers = Vec<(String, String)>;

fn headers_and_body(reader: &mut impl BufRead) -> io::Result<(Headers, Vec<u8>)> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((key.to_owned(), value.to_owned()));
    }
    let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body)?;
    Ok((headers, body))
}

/// Makes one request; a connection that breaks is status 0.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let exchange = || -> io::Result<Answer> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        for (key, value) in headers {
            head.push_str(&format!("{key}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let (_, body) = headers_and_body(&mut reader)?;
        Ok(Answer::new(status, body))
    };
    exchange().unwrap_or_else(|problem| Answer::new(0, problem.to_string()))
}

/// A receiver that hands requests on to a real one, and changes what comes back as it is told.
pub fn proxy(
    to: &str,
    change: impl Fn(&Request, &dyn Fn() -> Answer) -> Answer + Send + Sync + 'static,
) -> String {
    let to = to.to_owned();
    receiver(move |got| {
        let keep = ["content-type", "content-encoding", "authorization"];
        let headers: Vec<(&str, &str)> = got
            .headers
            .iter()
            .filter(|(key, _)| keep.iter().any(|name| key.eq_ignore_ascii_case(name)))
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        change(&got, &|| {
            let answer = request(&to, &got.method, &got.path, &headers, &got.body);
            let how = if answer.status == 0 { How::Closed } else { How::Whole };
            Answer { how, ..answer }
        })
    })
}
