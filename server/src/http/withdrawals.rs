//! `DELETE /v1/builds/{signature}` and `/v1/withdrawals`: builds that an administrator takes back,
//! and what is kept of that.

use super::{
    Problem, Sources,
    callers::Caller,
    question::{self, JsonAnswer, Named, page_limit},
    run_blocking,
};
use crate::registry::{RegistryError, Withdrawal, transfer::readable};
use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ogrt_note::Signature;
use ogrt_proto::BuildJson;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;

/// A withdrawal as it is answered.
#[derive(Debug, Serialize)]
pub struct WithdrawalJson {
    time_ns: i64,
    withdrawn_by: String,
    build: BuildJson,
}

impl WithdrawalJson {
    fn of(withdrawal: &Withdrawal) -> Result<Self, RegistryError> {
        Ok(WithdrawalJson {
            time_ns: withdrawal.time_ns,
            withdrawn_by: withdrawal.withdrawn_by.clone(),
            build: readable(&withdrawal.build)?,
        })
    }
}

/// `DELETE /v1/builds/{signature}`: takes a build back, so that its signature may be registered
/// again.
pub async fn withdraw(
    State(sources): State<Sources>,
    Extension(Caller(holder)): Extension<Caller>,
    Named(signature): Named,
) -> JsonAnswer<WithdrawalJson> {
    let signature = Signature::parse(signature.as_bytes())
        .map_err(|cause| question::bad_request(format!("{signature:?}: {cause}")))?;
    let withdrawn_by = holder.map(|holder| holder.name.clone()).unwrap_or_default();
    let by = withdrawn_by.clone();
    let withdrawn = run_blocking(move || {
        let withdrawal = sources.registry.withdraw(signature, &by)?;
        withdrawal.as_ref().map(WithdrawalJson::of).transpose()
    });
    let Some(withdrawn) = withdrawn.await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no build with signature {signature} is registered"),
        ));
    };
    let build = &withdrawn.build;
    warn!(
        "build {signature} is withdrawn by the token {withdrawn_by}: it was {} {}, user {} ({}), registered by {}",
        build.metadata.name.as_deref().unwrap_or("without a name"),
        build.metadata.version.as_deref().unwrap_or_default(),
        build.username.clone().or(build.uid.map(|uid| uid.to_string())).unwrap_or_default(),
        build.identity,
        build.registered_by.as_deref().unwrap_or("nobody known"),
    );
    Ok(Json(withdrawn))
}

/// The parameters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithdrawalsQuestion {
    limit: String,
}

/// `GET /v1/withdrawals`: the last withdrawals, the newest first.
pub async fn list(
    State(sources): State<Sources>,
    question: Result<Query<WithdrawalsQuestion>, QueryRejection>,
) -> Result<Response, Problem> {
    let limit = page_limit(&question::read(question)?.limit)?;
    let registry = sources.registry.clone();
    let (withdrawals, are_more) = run_blocking(move || registry.withdrawals(limit)).await?;
    let bytes = withdrawals.iter().map(|withdrawal| withdrawal.build.record.len());
    let share = sources.places.share_of_json(bytes.sum()).await?;
    let answer = run_blocking(move || {
        let withdrawals =
            withdrawals.iter().map(WithdrawalJson::of).collect::<Result<Vec<_>, RegistryError>>()?;
        let mut answer = json!({ "withdrawals": withdrawals });
        question::add_page(&mut answer, None, are_more);
        Ok::<_, RegistryError>(answer)
    });
    Ok((share.map(Extension), Json(answer.await?)).into_response())
}
