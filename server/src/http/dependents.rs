//! `/v1/dependents/{what}`: every build that contains it, however deep.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, Named},
    run_blocking,
};
use crate::registry::{ContainingBuilds, DEPTH_MAX, ListedBuild, RegistryError};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use ogrt_note::Signature;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The parameters: the depth, and the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DependentsQuestion {
    depth: String,
    limit: String,
    cursor: String,
}

/// A build, with the number of links between it and what was asked for.
#[derive(Debug, Serialize)]
pub struct Dependent {
    depth: u32,
    #[serde(flatten)]
    listed: ListedBuild,
}

/// `GET /v1/dependents/{what}`: the builds that contain it, the nearest first.
pub async fn of(
    State(sources): State<Sources>,
    Named(what): Named,
    question: Result<Query<DependentsQuestion>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let part = question::part(&what)?;
    let depth = question::number::<u32>("depth", &question.depth)?.unwrap_or(DEPTH_MAX).clamp(1, DEPTH_MAX);
    let limit = question::page_limit(&question.limit)?;
    let from = question::number::<usize>("cursor", &question.cursor)?.unwrap_or(0);
    let (found, builds) = run_blocking(move || {
        let found = sources.registry.containing(part, depth)?;
        let page = found.builds.get(from..).unwrap_or_default();
        let page = &page[..page.len().min(limit)];
        let (signatures, depths): (Vec<Signature>, Vec<u32>) = page.iter().copied().unzip();
        let listed = sources.registry.listed(&signatures)?;
        // A build that was deleted in this moment is left out.
        let builds = depths.into_iter().zip(listed);
        let builds: Vec<_> =
            builds.filter_map(|(depth, listed)| Some(Dependent { depth, listed: listed? })).collect();
        Ok::<_, RegistryError>((found, builds))
    })
    .await?;
    let ContainingBuilds { builds: all, is_cut, is_known, .. } = found;
    if !is_known {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no build, input or output {what} is registered"),
        ));
    }
    let next = (from.saturating_add(limit) < all.len()).then(|| (from + limit).to_string());
    let mut answer = json!({ "of": what, "count": all.len(), "builds": builds });
    question::add_page(&mut answer, next, is_cut);
    Ok(Json(answer))
}
