//! The style, the script and the icon: the only files of the page, and all of them are in the
//! program.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// The paths of the files.
pub const STYLE: &str = "/page.css";
pub const SCRIPT: &str = "/page.js";
pub const ICON: &str = "/page.svg";

const STYLE_TEXT: &str = include_str!("../assets/page.css");
const SCRIPT_TEXT: &str = include_str!("../assets/page.js");
const ICON_TEXT: &str = include_str!("../assets/page.svg");

/// A number that changes with the files, so that a browser never shows a page with those of another
/// version. FNV-1a.
pub const EDITION: u64 = fnv(STYLE_TEXT.as_bytes(), fnv(SCRIPT_TEXT.as_bytes(), 0xcbf2_9ce4_8422_2325));

const fn fnv(bytes: &[u8], mut hash: u64) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// `GET /page.css`.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE_TEXT)
}

/// `GET /page.js`.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT_TEXT)
}

/// `GET /page.svg`.
pub async fn icon() -> Response {
    file("image/svg+xml", ICON_TEXT)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")], text).into_response()
}
