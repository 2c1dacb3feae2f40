//! Addresses of pages: whatever a name holds, its address leads to it.

use maud::{Markup, html};

use crate::shown;

/// An address with parameters. Those without a value are left out.
pub fn to(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A link to a job.
pub fn job(cluster: &str, job_id: &str) -> Markup {
    let name = if cluster.is_empty() { job_id.to_owned() } else { format!("{cluster}/{job_id}") };
    html! { a href=(to("/job", &[("id", job_id), ("cluster", cluster)])) { (shown::short(&name)) } }
}

/// A link to a software; a word where it has no name.
pub fn software(name: &str) -> Markup {
    match name {
        "" => html! { span.faint { "(unknown)" } },
        name => html! { a href=(to("/software", &[("name", name)])) { (shown::short(name)) } },
    }
}

/// A link to the jobs of a user; nothing where there is none.
pub fn user(name: &str) -> Markup {
    match name {
        "" => html! {},
        name => html! { a href=(to("/jobs", &[("user", name)])) { (shown::short(name)) } },
    }
}

/// A link to a build, by its signature or by its name.
pub fn build(signature: &str, name: &str) -> Markup {
    let name = if name.is_empty() { signature } else { name };
    html! { a href=(to("/build", &[("signature", signature)])) { (shown::short(name)) } }
}

/// A text as one part of a path, whatever it holds.
pub fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    let escaped = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}
