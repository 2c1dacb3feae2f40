//! The pages, a file each.

pub mod affected;
pub mod build;
pub mod builds;
pub mod compare;
pub mod job;
mod job_libraries;
pub mod jobs;
pub mod overview;
pub mod report;
pub mod search;
pub mod software;
pub mod unregistered;

use crate::{parameters::Parameters, period::Period};
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

/// A file of comma-separated values.
fn spreadsheet(name: &'static str, text: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, &disposition)], text)
        .into_response()
}

/// A field of a form.
fn field(parameters: &Parameters, name: &str, label: &str, example: &str) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) value=(parameters.of(name)) placeholder=(example) autocomplete="off" spellcheck="false";
        }
    }
}

/// The fields of a period.
fn period_fields(period: &Period) -> Markup {
    html! {
        div.field {
            label for="since" { "since" }
            input #since name="since" value=(period.since_text) placeholder="30d or 2026-01-01" autocomplete="off" spellcheck="false";
        }
        div.field {
            label for="until" { "until" }
            input #until name="until" value=(period.until_text) placeholder="2026-12-01" autocomplete="off" spellcheck="false";
        }
    }
}

/// A choice of a form: each value with its words.
fn choice(name: &str, label: &str, chosen: &str, choices: &[(&str, &str)]) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, words) in choices {
                    option value=(value) selected[*value == chosen] { (words) }
                }
            }
        }
    }
}

/// The warning on an answer that lacks something.
fn warnings(answer: &serde_json::Value, what: &str) -> Markup {
    html! {
        @if answer["truncated"] == true {
            p.warning role="status" { "Incomplete: " (what) }
        }
        @if !answer["counted_until_ns"].is_null() {
            p.warning role="status" { (ogrt_answers::json_field::behind(answer)) }
        }
    }
}
