//! Numbers and times as a page shows them.

use crate::table::Cell;
use maud::{Markup, html};
use ogrt_answers::{
    json_field::{number, time},
    units::{duration, grouped},
    utc,
};
use serde_json::Value;

/// The number under `key`.
pub fn count(value: &Value, key: &str) -> Cell {
    let number = number(value, key);
    Cell::number(number as f64, html! { (grouped(number)) })
}

/// A number.
pub fn number_of(number: u64) -> Cell {
    Cell::number(number as f64, html! { (grouped(number)) })
}

/// Microseconds under `key`, as hours.
pub fn hours(value: &Value, key: &str) -> Cell {
    match value[key].as_u64() {
        Some(us) => Cell::number(us as f64, html! { (hours_of(us)) }),
        None => Cell::number(-1.0, html! {}),
    }
}

/// Microseconds as hours, with as many places as matter.
pub fn hours_of(us: u64) -> String {
    let hours = us as f64 / 3.6e9;
    match hours {
        hours if hours >= 100.0 => grouped(hours.round() as u64),
        hours if hours >= 10.0 => format!("{hours:.1}"),
        hours => format!("{hours:.2}"),
    }
}

/// The point in time under `key`.
pub fn moment(value: &Value, key: &str) -> Cell {
    let ns = value[key].as_i64().unwrap_or(0);
    Cell::number(ns as f64, when(&time(value, key)))
}

/// A point in time: minutes for the eye, all of it for programs.
pub fn when(text: &str) -> Markup {
    match text.get(..16) {
        Some(minutes) => html! { time datetime=(text) { (minutes.replace('T', " ")) } },
        None => html! { (text) },
    }
}

/// A point in time, of nanoseconds.
pub fn when_ns(ns: i64) -> Markup {
    match ns > 0 {
        true => when(&utc::from_nanoseconds(ns)),
        false => html! {},
    }
}

/// A length of time, of nanoseconds.
pub fn length(ns: u64) -> Cell {
    Cell::number(ns as f64, html! { (duration(ns)) })
}

/// A share between 0 and 1, with a bar whose length is its part of the largest one.
pub fn share(share: f64, largest: f64) -> Cell {
    let width = if largest > 0.0 { 100.0 * share / largest } else { 0.0 };
    let percent = format!("{:.1} %", 100.0 * share);
    Cell::number(
        share,
        html! {
            span.share {
                svg.bar width="100%" height="10" aria-hidden="true" focusable="false" {
                    rect.track width="100%" height="10" rx="2" {}
                    rect.s0 width=(format!("{width:.1}%")) height="10" rx="2" {}
                }
                span { (percent) }
            }
        },
    )
}
