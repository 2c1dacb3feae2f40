//! What every page has around it: the head, the search box, the way to the other pages, and the
//! headers that keep a browser from running or loading anything else.

use crate::{
    api::Refusal,
    assets::{EDITION, ICON, SCRIPT, STYLE},
    shown,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

/// Nothing runs or loads but what the server itself gives; nothing stands inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The parts of the site, with their addresses.
const SECTIONS: [(Section, &str, &str); 7] = [
    (Section::Overview, "/", "Overview"),
    (Section::Software, "/software", "Software"),
    (Section::Jobs, "/jobs", "Jobs"),
    (Section::Builds, "/builds", "Builds"),
    (Section::Unregistered, "/unregistered", "Unregistered"),
    (Section::Affected, "/affected", "Who is hit"),
    (Section::Report, "/report", "Report"),
];

/// The part of the site that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Overview,
    Software,
    Jobs,
    Builds,
    Unregistered,
    Affected,
    Report,
    /// None of those in the list.
    Other,
}

/// A page.
pub struct Page {
    pub status: StatusCode,
    pub section: Section,
    /// The heading, which may hold text out of the record.
    pub title: String,
    /// The text in the search box.
    pub asked: String,
    pub body: Markup,
}

impl Page {
    /// A page with this heading.
    pub fn new(section: Section, title: impl Into<String>, body: Markup) -> Page {
        Page { status: StatusCode::OK, section, title: title.into(), asked: String::new(), body }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Page { status, section, title, asked, body } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (shown::visible(&title)) " - OGRT" }
                    link rel="stylesheet" href={ (STYLE) "?" (EDITION) };
                    link rel="icon" type="image/svg+xml" href=(ICON);
                    script src={ (SCRIPT) "?" (EDITION) } defer {}
                }
                body {
                    a.skip href="#content" { "To the content" }
                    header.top {
                        a.brand href="/" { "OGRT" }
                        form.search role="search" action="/search" method="get" {
                            label.unseen for="q" { "Search" }
                            input #q name="q" type="search" value=(shown::visible(&asked)) maxlength="4096"
                                autocomplete="off" spellcheck="false"
                                placeholder="software, user, job, library, path, signature, build-id, digest";
                            button type="submit" { "Search" }
                        }
                        nav aria-label="Pages" {
                            @for (known, address, name) in SECTIONS {
                                a href=(address) aria-current=[(known == section).then_some("page")] { (name) }
                            }
                        }
                    }
                    main #content tabindex="-1" {
                        h1 { (shown::long(&title)) }
                        (body)
                    }
                    footer {
                        p {
                            "All times are UTC. " a href="/v1/openapi.json" { "API" } " · "
                            a href="/metrics" { "Metrics" } " · " a href="/healthz" { "Health" }
                        }
                    }
                }
            }
        };
        (status, Html(page.into_string())).into_response()
    }
}

/// A page in place of one that cannot be shown: what failed, and what to do.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (title, advice) = match self.status {
            StatusCode::NOT_FOUND => {
                ("Nothing is known of this", "Search for it by another name, or ask for a longer time.")
            }
            StatusCode::BAD_REQUEST => {
                ("This question makes no sense", "Go back, change what is named here, and ask again.")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                ("This is not for you to see", "Ask who administers this server.")
            }
            StatusCode::MISDIRECTED_REQUEST => (
                "The server is not known by this name",
                "Use its own name, or add this one to http_hosts in ogrt.conf.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => {
                ("The server is busy or not ready", "Wait a moment, and load the page again.")
            }
            _ => (
                "This page could not be made",
                "Load the page again. If that fails, the log of ogrt-server says more.",
            ),
        };
        let body = html! {
            p.problem role="alert" { (shown::long(&self.detail)) }
            p { (advice) }
        };
        Page { status: self.status, ..Page::new(Section::Other, title, body) }.into_response()
    }
}

/// Adds the headers to a page or a file of it.
pub async fn with_headers(mut response: Response) -> Response {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    response
}
