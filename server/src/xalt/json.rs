//! Values of a record, as XALT writes them: numbers may stand as texts, and what is not known as
//! "unknown".

use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// An object of a record.
pub type Object = Map<String, Value>;

/// Longest text that is taken over; XALT's own database cuts at less.
const TEXT_MAX: usize = 64 << 10;

/// The object under a key; an empty one where there is none.
pub fn object<'a>(of: &'a Object, key: &str) -> &'a Object {
    static EMPTY: LazyLock<Object> = LazyLock::new(Object::new);
    of.get(key).and_then(Value::as_object).unwrap_or(&EMPTY)
}

/// The list under a key.
pub fn list<'a>(of: &'a Object, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text under a key; `None` where it is empty or not known.
pub fn text<'a>(of: &'a Object, key: &str) -> Option<&'a str> {
    let text = of.get(key)?.as_str()?;
    let is_known = !text.is_empty() && !["unknown", "UNKNOWN"].contains(&text);
    is_known.then(|| &text[..text.floor_char_boundary(TEXT_MAX)])
}

/// The same as bytes.
pub fn bytes(of: &Object, key: &str) -> Option<Bytes> {
    text(of, key).map(|text| text.to_owned().into())
}

/// The number under a key, finite and not negative.
pub fn number(of: &Object, key: &str) -> Option<f64> {
    let value = of.get(key)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The count under a key, at least 1.
pub fn count(of: &Object, key: &str) -> Option<u32> {
    number(of, key).filter(|number| (1.0..=f64::from(u32::MAX)).contains(number)).map(|number| number as u32)
}

/// The time under a key, in Unix nanoseconds; `None` before the year 2000 and after 2200.
pub fn time_ns(of: &Object, key: &str) -> Option<i64> {
    let seconds = number(of, key).filter(|seconds| (946_684_800.0..7_258_118_400.0).contains(seconds))?;
    Some((seconds * 1e9) as i64)
}

/// A path that XALT has quoted twice.
pub fn quoted_path(path: &str) -> Bytes {
    let unquoted = path.contains('\\').then(|| serde_json::from_str::<String>(&format!("\"{path}\"")).ok());
    unquoted.flatten().unwrap_or_else(|| path.to_owned()).into()
}
