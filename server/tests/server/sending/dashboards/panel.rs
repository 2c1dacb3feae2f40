//! What OpenSearch Dashboards and Kibana make of a saved panel: the body of a search, and rows of
//! its answer.

use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, iter};

/// The objects of `dashboards/ogrt.ndjson`.
pub struct SavedObjects {
    pub all: Vec<Value>,
    /// The fields of the index pattern, by name.
    pub fields: BTreeMap<String, Value>,
}

impl SavedObjects {
    pub fn read() -> Self {
        let text = include_str!("../../../../../dashboards/ogrt.ndjson");
        let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut objects = SavedObjects { all, fields: BTreeMap::new() };
        let fields = parsed(&objects.attributes("index-pattern", "ogrt-events")["fields"]);
        let named = |field: &Value| (field["name"].as_str().unwrap().to_owned(), field.clone());
        objects.fields = fields.as_array().unwrap().iter().map(named).collect();
        objects
    }

    /// The ids of the objects of one type.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.all.iter().filter(move |object| object["type"] == kind).map(|object| text(&object["id"]))
    }

    fn object(&self, kind: &str, id: &str) -> &Value {
        let found = self.all.iter().find(|object| object["type"] == kind && object["id"] == id);
        found.unwrap_or_else(|| panic!("no {kind} {id}"))
    }

    pub fn attributes(&self, kind: &str, id: &str) -> &Value {
        &self.object(kind, id)["attributes"]
    }

    /// The panels of a dashboard, each found by its reference, on a grid of 48 columns.
    pub fn panels_of<'a>(&'a self, board: &str) -> Vec<&'a str> {
        let object = self.object("dashboard", board);
        let references = object["references"].as_array().unwrap();
        let panels = parsed(&object["attributes"]["panelsJSON"]);
        let mut ids = Vec::new();
        for panel in panels.as_array().unwrap() {
            let reference = references.iter().find(|reference| reference["name"] == panel["panelRefName"]);
            ids.push(text(&reference.expect("the panel's reference")["id"]));
            let grid = &panel["gridData"];
            assert!(grid["x"].as_u64().unwrap() + grid["w"].as_u64().unwrap() <= 48, "{board}: {grid}");
        }
        assert_eq!(ids.len(), references.len(), "{board}: a reference without a panel");
        ids
    }
}

/// A visualization.
pub struct Panel {
    pub id: String,
    query: String,
    metrics: Vec<Value>,
    /// The buckets, from the outermost to the innermost.
    buckets: Vec<Value>,
}

impl Panel {
    pub fn of(objects: &SavedObjects, id: &str) -> Panel {
        let object = objects.object("visualization", id);
        let state = parsed(&object["attributes"]["visState"]);
        assert_eq!(state["title"], object["attributes"]["title"]);
        let source = parsed(&object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]);
        let index = &source["indexRefName"];
        let references = object["references"].as_array().unwrap();
        assert!(references.iter().any(|reference| &reference["name"] == index), "{id}: no index pattern");
        assert_eq!(source["query"]["language"], "lucene");
        let aggregations = state["aggs"].as_array().unwrap().clone();
        let (metrics, buckets) = aggregations.into_iter().partition(|each| each["schema"] == "metric");
        Panel { id: id.to_owned(), query: text(&source["query"]["query"]).to_owned(), metrics, buckets }
    }

    /// The fields that it aggregates, and those of its queries.
    pub fn fields(&self) -> Vec<String> {
        let aggregated = self.metrics.iter().chain(&self.buckets);
        let mut fields: Vec<String> =
            aggregated.filter_map(|each| each["params"]["field"].as_str().map(str::to_owned)).collect();
        let filters = self.buckets.iter().filter_map(|bucket| bucket["params"]["filters"].as_array());
        let filters = filters.flatten().map(|filter| text(&filter["input"]["query"]));
        for query in filters.chain(iter::once(self.query.as_str())) {
            for word in query.split([' ', '(', ')']) {
                match word.split_once(':') {
                    Some(("_exists_", field)) => fields.push(field.to_owned()),
                    Some((field, _)) => fields.push(field.to_owned()),
                    None => {}
                }
            }
        }
        fields
    }

    /// The search, where `searched` stands in the dashboard's search bar.
    pub fn body(&self, objects: &SavedObjects, searched: &str) -> Value {
        let years = json!({"range": {"@timestamp": {"gte": "2026-01-01", "lte": "2026-12-31"}}});
        json!({
            "size": 0,
            "query": {"bool": {"must": [query_string(&self.query), query_string(searched)], "filter": [years]}},
            "aggs": self.level(objects, 0)
        })
    }

    /// The aggregations from a bucket inwards; all metrics are in the innermost.
    fn level(&self, objects: &SavedObjects, depth: usize) -> Value {
        let Some(bucket) = self.buckets.get(depth) else {
            return self.metrics.iter().filter_map(|metric| metric_of(objects, metric)).collect();
        };
        let (kind, params) = (text(&bucket["type"]), &bucket["params"]);
        let mut inner = self.level(objects, depth + 1);
        let aggregation = match kind {
            "terms" => {
                let by = self.metrics.iter().find(|metric| metric["id"] == params["orderBy"]);
                let by = by.unwrap_or_else(|| panic!("{}: ordered by what is not there", self.id));
                let key = match metric_of(objects, by) {
                    Some((id, aggregation)) => {
                        inner[&id] = aggregation;
                        id
                    }
                    None => "_count".to_owned(),
                };
                let mut terms = subject(objects, params);
                if terms.contains_key("script") {
                    terms.insert("value_type".into(), objects.fields[text(&params["field"])]["type"].clone());
                }
                terms.insert("size".into(), params["size"].clone());
                terms.insert("order".into(), json!({key: params["order"]}));
                if params["missingBucket"] == true {
                    terms.insert("missing".into(), "__missing__".into());
                }
                Value::Object(terms)
            }
            "date_histogram" => json!({
                "field": params["field"], "calendar_interval": format!("1{}", text(&params["interval"])),
                "time_zone": "UTC", "min_doc_count": params["min_doc_count"]
            }),
            "filters" => {
                let filter = |each: &Value| {
                    (text(&each["label"]).to_owned(), query_string(text(&each["input"]["query"])))
                };
                json!({"filters": params["filters"].as_array().unwrap().iter().map(filter).collect::<Map<_, _>>()})
            }
            other => panic!("{}: {other} is not known here", self.id),
        };
        json!({text(&bucket["id"]): {kind: aggregation, "aggs": inner}})
    }

    /// The rows of a table that shows this answer: the buckets' names, then the metrics.
    pub fn rows(&self, answer: &Value) -> Value {
        let mut rows = Vec::new();
        let mut all = answer["aggregations"].clone();
        all["doc_count"] = answer["hits"]["total"]["value"].clone();
        self.rows_of(&all, 0, &[], &mut rows);
        Value::Array(rows)
    }

    fn rows_of(&self, answer: &Value, depth: usize, before: &[Value], rows: &mut Vec<Value>) {
        let Some(bucket) = self.buckets.get(depth) else {
            let value = |metric: &Value| match metric["type"].as_str() {
                Some("count") => answer["doc_count"].clone(),
                _ => answer[text(&metric["id"])]["value"].clone(),
            };
            rows.push(before.iter().cloned().chain(self.metrics.iter().map(value)).collect());
            return;
        };
        let found = &answer[text(&bucket["id"])]["buckets"];
        let named: Vec<(Value, &Value)> = match found {
            Value::Object(filters) => {
                // In the order of the panel, where the answer has none.
                let labels = bucket["params"]["filters"].as_array().unwrap().iter();
                labels.map(|each| (each["label"].clone(), &filters[text(&each["label"])])).collect()
            }
            _ => found.as_array().unwrap().iter().map(|each| (name_of(bucket, each), each)).collect(),
        };
        for (name, inner) in named {
            self.rows_of(inner, depth + 1, &[before, &[name]].concat(), rows);
        }
    }
}

/// What a bucket is called: days by their dates, and what is missing as the panel says.
fn name_of(bucket: &Value, found: &Value) -> Value {
    match (found["key_as_string"].as_str(), found["key"].as_str()) {
        (Some(time), _) => time[..10].into(),
        (None, Some("__missing__")) => bucket["params"]["missingBucketLabel"].clone(),
        _ => found["key"].clone(),
    }
}

/// A metric's name and aggregation; a count is none.
fn metric_of(objects: &SavedObjects, metric: &Value) -> Option<(String, Value)> {
    let kind = text(&metric["type"]);
    let aggregation = || json!({kind: subject(objects, &metric["params"])});
    (kind != "count").then(|| (text(&metric["id"]).to_owned(), aggregation()))
}

/// What is aggregated: a field of the index, or the script of the index pattern.
fn subject(objects: &SavedObjects, params: &Value) -> Map<String, Value> {
    let field = &objects.fields[text(&params["field"])];
    let subject = if field["scripted"] == true {
        json!({"script": {"source": field["script"], "lang": field["lang"]}})
    } else {
        assert_eq!(field["aggregatable"], true, "{field}");
        json!({"field": field["name"]})
    };
    subject.as_object().unwrap().clone()
}

fn query_string(query: &str) -> Value {
    match query {
        "" => json!({"match_all": {}}),
        _ => json!({"query_string": {"query": query, "analyze_wildcard": true, "time_zone": "UTC"}}),
    }
}

/// The JSON in a text.
fn parsed(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}
