//! `/v1/uses`, `/v1/uses/{what}` and `/v1/unregistered`: who ran something, and which programs ran
//! that nobody registered and nothing explains.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, Named, bad_request, nanoseconds, page_limit},
    run_blocking,
};
use crate::{
    job_name::cluster_key_of,
    registry::found_by::hexadecimal,
    uses::{
        Narrowing, ObjectQuestion, SoftwareQuestion, UnregisteredPage, UnregisteredQuestion, UsesError,
        UsesQuestion,
    },
    versions::VersionCondition,
};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The parameters of a question about uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsesParameters {
    build_id: String,
    path: String,
    soname: String,
    package: String,
    software: String,
    version: String,
    packager: String,
    affected: String,
    since: String,
    until: String,
    user: String,
    host: String,
    cluster: String,
    limit: String,
}

/// `GET /v1/uses/{what}`: who ran it, directly or through what contains it.
pub async fn of(
    sources: State<Sources>,
    Named(what): Named,
    question: Result<Query<UsesParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let part = question::part(&what)?;
    answer(sources, what, UsesQuestion { part: Some(part), ..UsesQuestion::default() }, question).await
}

/// `GET /v1/uses`: who loaded a file, built by us or not.
pub async fn loaded(
    sources: State<Sources>,
    question: Result<Query<UsesParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    answer(sources, String::new(), UsesQuestion::default(), question).await
}

async fn answer(
    State(sources): State<Sources>,
    mut what: String,
    of: UsesQuestion,
    parameters: Result<Query<UsesParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let parameters = question::read(parameters)?;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let objects = ObjectQuestion {
        build_id: given(&parameters.build_id).map(|text| build_id(&text)).transpose()?,
        path: given(&parameters.path),
        soname: given(&parameters.soname),
        package: given(&parameters.package),
        ..ObjectQuestion::default()
    };
    let asked = software(&parameters)?;
    if !asked.is_empty() && (of.part.is_some() || !objects.is_empty()) {
        return Err(bad_request("software= stands with version= and packager= alone, and affected= alone"));
    }
    let is_file = objects.build_id.is_some() || objects.path.is_some() || objects.soname.is_some();
    if objects.package.is_some() && (is_file || of.part.is_some()) {
        return Err(bad_request("package= stands alone: a package is not a file"));
    }
    if what.is_empty() {
        let UsesParameters { build_id, soname, path, package, software, version, .. } = &parameters;
        let named = [build_id, soname, path, package, software, version];
        let mut named: Vec<&str> =
            named.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        if !parameters.affected.is_empty() {
            named.extend(asked.iter().map(|software| software.name.as_str()));
            named.dedup();
        }
        what = named.join(" ");
    }
    if of.part.is_none() && objects.is_empty() && asked.is_empty() {
        return Err(bad_request(
            "expected build_id=, path=, soname=, package=, software= or affected=, or a signature or digest in the path",
        ));
    }
    let question = UsesQuestion {
        objects,
        software: asked,
        narrowing: narrowing(
            [&parameters.since, &parameters.until],
            [parameters.user, parameters.host, parameters.cluster],
        )?,
        limit: page_limit(&parameters.limit)?,
        ..of
    };
    let counted_until_ns = sources.uses.catch_up().await;
    let answer = run_blocking(move || sources.uses.answer(&question)).await?;
    let Some(answer) = answer else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "{what} is not registered, and no process had it{}",
                question::not_counted(counted_until_ns)
            ),
        ));
    };
    let mut json = serde_json::to_value(&answer).unwrap_or_default();
    json["of"] = what.into();
    question::add_page(&mut json, None, answer.is_cut);
    question::add_counted_until(&mut json, counted_until_ns);
    Ok(Json(json))
}

/// Most elements of `affected=`.
const AFFECTED_MAX: usize = 100;

/// Software in `affected=`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Affected {
    software: String,
    version: String,
    packager: String,
}

impl Affected {
    fn question(self) -> Result<SoftwareQuestion, Problem> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let name = given(self.software).ok_or_else(|| bad_request("software=: expected a name"))?;
        let version = given(self.version).map(|text| VersionCondition::read(&text)).transpose();
        let version = version.map_err(|problem| bad_request(format!("version={problem}")))?;
        Ok(SoftwareQuestion { name, packager: given(self.packager), version })
    }
}

/// The software that is asked about, by name.
fn software(parameters: &UsesParameters) -> Result<Vec<SoftwareQuestion>, Problem> {
    let UsesParameters { software, version, packager, affected, .. } = parameters;
    let is_one = [software, version, packager].into_iter().any(|text| !text.is_empty());
    if !affected.is_empty() {
        let expected =
            "affected=: expected a list such as [{\"software\": \"xz-utils\", \"version\": \"<5.6.2\"}]";
        let list: Vec<Affected> = serde_json::from_str(affected).map_err(|_| bad_request(expected))?;
        if is_one || list.len() > AFFECTED_MAX {
            return Err(bad_request(format!("affected= stands alone, with at most {AFFECTED_MAX} elements")));
        }
        return list.into_iter().map(Affected::question).collect();
    }
    if !is_one {
        return Ok(Vec::new());
    }
    let one = Affected { software: software.clone(), version: version.clone(), packager: packager.clone() };
    Ok(vec![one.question()?])
}

/// The filters that all questions about uses have. Each type of parameters lists them, since serde
/// refuses unknown ones only in a type without parts.
fn narrowing([since, until]: [&String; 2], [user, host, cluster]: [String; 3]) -> Result<Narrowing, Problem> {
    let (since_ns, until_ns) = (nanoseconds("since", since)?, nanoseconds("until", until)?);
    Ok(Narrowing { since_ns, until_ns, user, host, cluster: cluster_key_of(&cluster) })
}

fn build_id(text: &str) -> Result<Vec<u8>, Problem> {
    let bytes = hexadecimal(text).filter(|bytes| (1..=64).contains(&bytes.len()));
    bytes
        .ok_or_else(|| bad_request(format!("build_id={text}: expected the hexadecimal digits of a build-id")))
}

/// The parameters that narrow the list of unregistered software.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnregisteredParameters {
    since: String,
    until: String,
    user: String,
    host: String,
    cluster: String,
    under: String,
    explained: String,
    likeness: String,
    by: String,
    limit: String,
    cursor: String,
}

/// `GET /v1/unregistered`: programs or jobs, the latest first.
pub async fn unregistered(
    State(sources): State<Sources>,
    question: Result<Query<UnregisteredParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let by_job = match question.by.as_str() {
        "" | "program" => false,
        "job" => true,
        other => return Err(bad_request(format!("by={other}: expected program or job"))),
    };
    let from = question::number("cursor", &question.cursor)?.unwrap_or(0);
    let question = UnregisteredQuestion {
        narrowing: narrowing(
            [&question.since, &question.until],
            [question.user, question.host, question.cluster],
        )?,
        under: question.under,
        with_explained: question::boolean("explained", &question.explained)?,
        with_likeness: question.likeness.is_empty() || question::boolean("likeness", &question.likeness)?,
        from,
        limit: page_limit(&question.limit)?,
    };
    let counted_until_ns = sources.uses.catch_up().await;
    run_blocking(move || {
        let mut answer = if by_job {
            page("jobs", sources.uses.unregistered_by_job(&question)?)
        } else {
            page("programs", sources.uses.unregistered(&question)?)
        };
        question::add_counted_until(&mut answer, counted_until_ns);
        Ok::<_, UsesError>(answer)
    })
    .await
    .map(Json)
}

fn page<T: Serialize>(name: &str, page: UnregisteredPage<T>) -> Value {
    let mut answer = json!({});
    answer[name] = serde_json::to_value(&page.elements).unwrap_or_default();
    if page.explained > 0 {
        answer["explained"] = page.explained.into();
    }
    if page.is_rounded {
        answer["rounded"] = true.into();
    }
    question::add_page(&mut answer, page.next.map(|next| next.to_string()), page.is_cut);
    answer
}
