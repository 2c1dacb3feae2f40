//! Whether libogrt.so can send events to what OGRT_SERVER names.
//!
//! The wrappers look names up, and a port has a default there. libogrt.so does neither, because it
//! works in other people's programs. So a value that is right for the one can silence the other,
//! and the commands that switch tracking on say so.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// Longest path of a Unix socket (unix(7)).
const SOCKET_PATH_MAX: usize = 108;

/// The time that each address of a name has to answer, where it has several.
const PATIENCE: Duration = Duration::from_millis(250);

/// The variable, where it is set to something.
pub fn from_environment() -> Option<String> {
    std::env::var("OGRT_SERVER").ok().filter(|server| !server.is_empty())
}

/// Why programs cannot send to this server, and what to write instead; `None` where they can.
pub fn problem(server: &str) -> Option<String> {
    let why = match server.strip_prefix("unix:") {
        Some(path) => unix_problem(path)?,
        None => address_problem(server)?,
    };
    Some(format!("OGRT_SERVER={server}: programs cannot send events there: {why}"))
}

/// The server as programs can be told of it: the address of a name that is looked up here. The
/// error says what is wrong.
pub fn for_programs(server: &str) -> Result<String, String> {
    let Some(problem) = problem(server) else { return Ok(server.to_owned()) };
    if server.starts_with("unix:") || server.contains(',') {
        return Err(problem);
    }
    let addresses: Vec<SocketAddr> = server.to_socket_addrs().into_iter().flatten().collect();
    // A name may have an address that the server does not listen on, such as ::1.
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let chosen = if addresses.len() > 1 { addresses.iter().find(answers) } else { None };
    chosen.or(addresses.first()).map(|address| address.to_string()).ok_or(problem)
}

fn unix_problem(path: &str) -> Option<String> {
    if path.len() > SOCKET_PATH_MAX {
        Some(format!("a socket's path has at most {SOCKET_PATH_MAX} bytes, this one {}", path.len()))
    } else if !path.starts_with(['/', '@']) {
        Some("the path of a socket is absolute; write unix:/path/to/ogrt.sock".to_owned())
    } else {
        None
    }
}

fn address_problem(server: &str) -> Option<String> {
    let rest = server.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    if rest.as_deref().unwrap_or(server).parse::<SocketAddr>().is_ok() {
        return None;
    }
    if server.contains(',') {
        return Some("a list is not understood; write one server".to_owned());
    }
    let has_port = server.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if !has_port {
        return Some("the port is missing; write address:port, for example 192.0.2.1:7971".to_owned());
    }
    let address = server.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    Some(match address {
        Some(address) => {
            format!("they look up no host names; write the address, OGRT_SERVER={address}")
        }
        None => "they look up no host names; write the address, for example 192.0.2.1:7971".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_understands_is_no_problem() {
        for server in
            ["127.0.0.1:7971", "localhost:7971", "[::1]:7971", "unix:/run/ogrt/ogrt.sock", "unix:@ogrt"]
        {
            assert_eq!(problem(server), None, "{server}");
        }
    }

    #[test]
    fn everything_else_is_and_the_message_says_what_to_write() {
        let long = format!("unix:/{}", "s".repeat(SOCKET_PATH_MAX));
        for (server, says) in [
            ("127.0.0.1", "port is missing"),
            ("login1", "port is missing"),
            ("[::1]", "port is missing"),
            ("::1", "port is missing"),
            ("127.0.0.1:port", "port is missing"),
            ("127.0.0.1:99999", "port is missing"),
            ("no.such.host.invalid:7971", "no host names"),
            ("unix:ogrt.sock", "absolute"),
            (&long, "at most 108 bytes"),
            ("10.0.0.1:7971,10.0.0.2:7971", "a list"),
        ] {
            let problem = problem(server).unwrap_or_default();
            assert!(problem.contains(says) && problem.contains(server), "{server}: {problem}");
        }
    }
}
