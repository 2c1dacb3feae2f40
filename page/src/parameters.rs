//! The parameters of a page, as its address has them.

use crate::link;
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use std::convert::Infallible;

/// Names and values in the order of the address. An unknown name is not looked at, and a missing
/// one is empty.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        Ok(Parameters(query.map(|Query(parameters)| parameters).unwrap_or_default()))
    }
}

impl Parameters {
    /// The value of a parameter without blanks around it.
    pub fn of(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, value)| known == name && !value.trim().is_empty());
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let known = self.0.iter().filter(move |(known, value)| known == name && !value.trim().is_empty());
        known.map(|(_, value)| value.trim())
    }

    /// The address of a page with these parameters but for some that are replaced.
    pub fn address(&self, path: &str, replaced: &[(&str, &str)]) -> String {
        let kept = self.0.iter().map(|(name, value)| (&name[..], value.trim()));
        let kept = kept.filter(|(name, _)| replaced.iter().all(|(other, _)| other != name));
        link::to(path, &kept.chain(replaced.iter().copied()).collect::<Vec<_>>())
    }
}
