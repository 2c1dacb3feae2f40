//! Who may ask, and from where: browsers are kept out, and what changes something needs a token.
//!
//! A browser can be led to any address and sends what a page tells it, with no word of the user.
//! Three headers that a page cannot forge give it away. `Host` is a foreign name where a name
//! server led it to us. `Origin` is a foreign page's address. And without our leave a page sends
//! only the content types of forms. `server/tests/server/browsers.rs` holds all three.

use super::{Problem, Sources};
use crate::tokens::{Scope, TokenHolder};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{collections::BTreeSet, fs, net::IpAddr, sync::Arc};

/// Whoever holds the token that came with a request.
#[derive(Clone)]
pub struct Caller(pub Option<Arc<TokenHolder>>);

/// The paths that say nothing of what the server holds: whatever checks that it is alive may use
/// any name.
const PUBLIC: [&str; 2] = ["/healthz", "/readyz"];

/// The paths by which files are learned, and what programs that ran look like.
const LEARNED: &str = "/v1/learned";
const SKETCHES: &str = "/v1/sketches";

/// The types of bodies that a page can send without leave, beside forms.
const FORM: &str = "application/x-www-form-urlencoded";
const BODY_TYPES: [&str; 7] = [
    "application/json",
    "application/jsonl",
    "application/x-ndjson",
    "application/protobuf",
    "application/x-protobuf",
    "application/vnd.google.protobuf",
    "application/octet-stream",
];

/// The names that requests may call the server by.
#[derive(Debug)]
pub struct HostNames(BTreeSet<String>);

impl HostNames {
    /// This machine's names and the configured ones.
    pub fn new(configured: &[String]) -> Self {
        let mut names: BTreeSet<String> = configured.iter().map(|name| normal(name)).collect();
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let own = normal(&read("/proc/sys/kernel/hostname"));
        if !own.is_empty() {
            names.extend(names_beside(&read("/etc/hosts"), &own));
            names.extend(with_domains(&read("/etc/resolv.conf"), &own));
            names.extend(own.split('.').next().map(str::to_owned));
            names.insert(own);
        }
        HostNames(names)
    }

    /// May a request call the server by this `Host`? An address is nobody else's name. Nor is a
    /// name without a dot: only this site's name server answers for it.
    fn allow(&self, host: &str) -> bool {
        let name = normal(without_port(host));
        let is_of_label = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.is_empty() && without_port(host).chars().all(is_of_label) {
            return true;
        }
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        address.parse::<IpAddr>().is_ok() || name.ends_with(".localhost") || self.0.contains(&name)
    }
}

/// Refuses what a browser was led to, or what changes something without a token that permits it.
pub async fn check(State(sources): State<Sources>, mut request: Request, next: Next) -> Response {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    if !PUBLIC.contains(&path)
        && let Err(problem) = check_browser(&sources.host_names, method, request.uri().host(), headers)
    {
        return problem.into_response();
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| value.strip_prefix("Bearer "));
    let tokens = &sources.intake.tokens;
    let holder = token.and_then(|token| tokens.holder(token));
    let has = |scope| holder.as_ref().is_some_and(|holder| holder.scopes.has(scope));
    // Who withdraws a build, or says what everybody's programs are called, must be somebody. The
    // registration of builds may be open to all.
    let what = match *method {
        Method::DELETE => Some("to withdraw builds"),
        Method::POST if path == LEARNED => Some("to learn files"),
        Method::POST if path == SKETCHES => Some("to learn what programs look like"),
        _ => None,
    };
    let is_permitted = match what {
        Some(what) if !tokens.some_have(Scope::Administer) => {
            return Problem::new(
                StatusCode::FORBIDDEN,
                format!(
                    "no token permits {what}: make one with `ogrt-server token add NAME --scope administer`, \
                     and send it in the header Authorization: Bearer TOKEN"
                ),
            )
            .into_response();
        }
        Some(what) if holder.is_some() && !has(Scope::Administer) => {
            return Problem::new(
                StatusCode::FORBIDDEN,
                format!("this token does not permit {what}: one made with --scope administer does"),
            )
            .into_response();
        }
        Some(_) => has(Scope::Administer),
        None => method.is_safe() || tokens.may_register(holder.as_deref()),
    };
    if is_permitted {
        request.extensions_mut().insert(Caller(holder));
        return next.run(request).await;
    }
    sources.metrics.builds_unauthorized.add(1);
    let detail = "this request needs a token that the server knows, in the header Authorization: Bearer TOKEN. \
                  ogrt sends the token in the file that OGRT_TOKEN_FILE names";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

fn check_browser(
    names: &HostNames,
    method: &Method,
    uri_host: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).or(uri_host);
    // A request of HTTP/1.0 may have none. No browser sends one.
    if let Some(host) = host.filter(|host| !names.allow(host)) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "this server is not known by the name {host}: if it should be, add the name to http_hosts"
            ),
        ));
    }
    let origin = text(header::ORIGIN);
    if let Some(origin) = origin.filter(|origin| !is_own(origin, host)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("a page of {origin} may not send requests to this server"),
        ));
    }
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if !method.is_safe() && site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page of another site may not change anything at this server",
        ));
    }
    match text(header::CONTENT_TYPE) {
        Some(kind) if !method.is_safe() && !may_be_body(kind, origin.is_some() || site.is_some()) => {
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("a body of the type {kind} is not taken: send application/octet-stream"),
            ))
        }
        _ => Ok(()),
    }
}

/// May a body have this type? The type of forms is what curl and others send when they are not told
/// any, so it is refused to browsers alone.
fn may_be_body(kind: &str, is_browser: bool) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    BODY_TYPES.contains(&kind.as_str()) || (kind == FORM && !is_browser)
}

/// Is the origin this server, by the name that the request calls it?
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn normal(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// The names that a file like /etc/hosts has in one line with this one.
fn names_beside(hosts: &str, own: &str) -> Vec<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_whitespace().skip(1).map(normal).collect::<Vec<_>>());
    names.filter(|names| names.iter().any(|name| name == own)).flatten().collect()
}

/// The name in each domain that a file like /etc/resolv.conf names.
fn with_domains(resolv: &str, own: &str) -> Vec<String> {
    let short = own.split('.').next().unwrap_or_default();
    let lines = resolv.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "search" | "domain").then_some(words)
    });
    lines.flatten().map(normal).filter(|d| !d.is_empty()).map(|domain| format!("{short}.{domain}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, headers: &[(&'static str, &str)]) -> u16 {
        let names = HostNames(["ogrt.site.example".to_owned()].into());
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        match check_browser(&names, method, None, &headers) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn a_server_is_called_by_its_names_and_addresses_alone() {
        for good in [
            "127.0.0.1:7972",
            "10.0.0.1",
            "[::1]:7972",
            "[::1]",
            "localhost:7972",
            "a.localhost",
            "ogrt",
            "ogrt-server:7972",
            "OGRT.site.example.:80",
            "ogrt.site.example",
        ] {
            assert_eq!(status(&Method::GET, &[("host", good)]), 200, "{good}");
        }
        assert_eq!(status(&Method::GET, &[]), 200);
        for bad in [
            "evil.example",
            "evil.example:7972",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "x.ogrt.site.example",
            "",
            "ai.",
            "::evil",
        ] {
            assert_eq!(status(&Method::GET, &[("host", bad)]), 421, "{bad}");
        }
    }

    #[test]
    fn a_page_of_another_site_asks_and_changes_nothing() {
        let host = ("host", "localhost:7972");
        let own = ("origin", "http://localhost:7972");
        assert_eq!(status(&Method::GET, &[host, own]), 200);
        assert_eq!(status(&Method::POST, &[host, own, ("content-type", "application/json")]), 200);
        for foreign in ["http://evil.example", "null", "http://localhost:80", "file://", "localhost:7972"] {
            assert_eq!(status(&Method::GET, &[host, ("origin", foreign)]), 403, "{foreign}");
        }
        assert_eq!(status(&Method::POST, &[host, ("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(status(&Method::DELETE, &[host, ("sec-fetch-site", "same-site")]), 403);
        assert_eq!(status(&Method::GET, &[host, ("sec-fetch-site", "cross-site")]), 200, "a link");
    }

    #[test]
    fn a_body_has_a_type_that_no_page_sends_without_leave() {
        for good in
            ["", "application/octet-stream", "application/json; charset=utf-8", "Application/X-Protobuf"]
        {
            let headers = [("host", "localhost"), ("content-type", good)];
            let headers = if good.is_empty() { &headers[..1] } else { &headers[..] };
            assert_eq!(status(&Method::POST, headers), 200, "{good}");
        }
        for bad in ["text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x", "x"] {
            assert_eq!(status(&Method::POST, &[("host", "localhost"), ("content-type", bad)]), 415, "{bad}");
        }
        let form = [("host", "localhost"), ("content-type", FORM), ("origin", "http://localhost")];
        assert_eq!(status(&Method::POST, &form[..2]), 200, "what curl sends");
        assert_eq!(status(&Method::POST, &form), 415);
    }

    #[test]
    fn the_machine_knows_its_names() {
        let hosts = "127.0.0.1 localhost\n10.0.0.5\tsrv1.site.example srv1 ogrt # evil\n10.0.0.6 other\n";
        assert_eq!(names_beside(hosts, "srv1"), ["srv1.site.example", "srv1", "ogrt"]);
        assert!(names_beside(hosts, "srv2").is_empty());
        let resolv = "nameserver 10.0.0.1\nsearch site.example cluster.local.\ndomain x\n";
        assert_eq!(with_domains(resolv, "srv1.y"), ["srv1.site.example", "srv1.cluster.local", "srv1.x"]);
    }
}
