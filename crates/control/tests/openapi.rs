//! The served description: every route that exists is in it and vice versa, and every example is
//! what its schema says.

mod common;

use common::{Responder, Rig};
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn described<J>(rig: &Rig<J>) -> Value {
    let document = rig.ask("GET", "/openapi.json", "").json();
    assert_eq!(document["openapi"], "3.1.0");
    document
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, operations): (&String, &Value)| {
        let operations = operations.as_object().expect("operations").clone();
        let path = path.clone();
        operations.into_iter().map(move |(method, what)| (path.clone(), method, what))
    };
    paths.iter().flat_map(of_path).collect()
}

/// A path with the examples in the place of its parameters.
fn filled(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().expect("parameters");
    let mut path = path.to_owned();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        let name = format!("{{{}}}", parameter["name"].as_str().expect("a name"));
        assert!(path.contains(&name), "{name} is not in {path}");
        path = path.replace(&name, parameter["example"].as_str().expect("an example"));
    }
    assert!(!path.contains('{'), "{path} has a parameter that is not described");
    path
}

#[test]
fn every_route_is_described_and_everything_described_is_there() {
    check_routes(&Rig::new("routes"), 12);
    check_routes(&Rig::responder("respond-routes"), 12);
}

fn check_routes<J>(rig: &Rig<J>, count: usize) {
    let document = described(rig);
    let operations = operations(&document);
    let mut known: BTreeSet<(String, &str)> = BTreeSet::new();
    for (path, method, operation) in &operations {
        let method = METHODS.into_iter().find(|known| known == method).expect("a method");
        known.insert((filled(path, operation), method));
        let id = operation["operationId"].as_str().expect("an id");
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
    }
    assert_eq!(known.len(), count);
    let paths: BTreeSet<_> = known.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        for method in METHODS {
            let answer = rig.ask(&method.to_uppercase(), &path, "");
            let is_there = answer.status() != 405;
            let code = if is_there && answer.status() == 404 {
                answer.json()["error"]["code"].as_str().expect("a code").to_owned()
            } else {
                String::new()
            };
            assert_ne!(code, "no_such_resource", "{method} {path}");
            assert_eq!(is_there, known.contains(&(path.clone(), method)), "{method} {path}");
        }
    }
    let ids: BTreeSet<_> =
        operations.iter().map(|(_, _, operation)| operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn every_example_and_every_answer_is_what_its_schema_says() {
    let rig = Rig::new("examples");
    let document = described(&rig);
    check_examples(&document, 30);

    // What the examples say is true: sent as they are, the answers are as described.
    let target = "/v1/feeds/itch/subscribers";
    let added = &document["paths"]["/v1/feeds/{feed}/subscribers"]["post"];
    let add = || assert_eq!(rig.ask("POST", target, &body(added)).status(), 201);
    add();
    for (path, method, operation) in operations(&document) {
        check_answer(&rig, &document, &path, &method, &operation);
        if method == "delete" {
            add();
        }
    }
}

#[test]
fn every_answer_of_a_responder_is_what_its_schema_says() {
    let rig: Rig<Responder> = Rig::responder("respond-examples");
    let document = described(&rig);
    check_examples(&document, 20);
    // Switches are on and off: each is asked twice.
    for _ in 0..2 {
        for (path, method, operation) in operations(&document) {
            check_answer(&rig, &document, &path, &method, &operation);
        }
        rig.job.broken("worker");
    }
}

/// The body that the description has as an example.
fn body(operation: &Value) -> String {
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    if body.is_null() { String::new() } else { body.to_string() }
}

/// Asks as the description says: the answer is one that it knows.
fn check_answer<J>(rig: &Rig<J>, document: &Value, path: &str, method: &str, operation: &Value) {
    let method = method.to_uppercase();
    let answer = rig.ask(&method, &filled(path, operation), &body(operation));
    let described = &operation["responses"][answer.status().to_string()];
    assert!(described.is_object(), "{method} {path}: {}", answer.status());
    if let Some(content) = described["content"].get("application/json") {
        check(document, &content["schema"], &answer.json(), path)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

/// Every example is what its schema says, and there are so many at least.
fn check_examples(document: &Value, count: usize) {
    let mut examples = 0;
    let mut stack = vec![document];
    while let Some(value) = stack.pop() {
        if let (Some(schema), Some(example)) = (value.get("schema"), value.get("example")) {
            check(document, schema, example, "example").unwrap_or_else(|error| panic!("{error}"));
            examples += 1;
        }
        match value {
            Value::Object(fields) => stack.extend(fields.values()),
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    assert!(examples >= count, "{examples}");
}

#[test]
fn the_checker_sees_faults() {
    let said = |document: &Value, schema: &str, text: &str| {
        let schema = serde_json::json!({ "$ref": format!("#/components/schemas/{schema}") });
        check(document, &schema, &serde_json::from_str(text).expect("JSON"), "value")
    };
    let document = described(&Rig::new("checker"));
    let good = r#"{"address":"10.0.0.2:1","ttl":3,"source":"keep"}"#;
    assert_eq!(said(&document, "SubscriberSpec", good), Ok(()));
    for wrong in [
        r#"{}"#,
        r#"[]"#,
        r#"{"address":5}"#,
        r#"{"address":"a","ttl":0}"#,
        r#"{"address":"a","ttl":256}"#,
        r#"{"address":"a","ttl":1.5}"#,
        r#"{"address":"a","name":""}"#,
        r#"{"address":"a","source":"kept"}"#,
    ] {
        assert!(said(&document, "SubscriberSpec", wrong).is_err(), "{wrong}");
    }
    let document = described(&Rig::responder("checker-respond"));
    assert_eq!(said(&document, "Reset", r#"{"gaps":true}"#), Ok(()));
    assert!(said(&document, "Reset", r#"{"gap":true}"#).is_err());
}

/// Whether `value` is what `schema` says: JSON Schema 2020-12, as much of it as is used here. An
/// unknown keyword is a failure, so that nothing passes unchecked.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if *schema == Value::Bool(true) { Ok(()) } else { Err("false schema".into()) };
    };
    let wrong = |what: &str| Err(format!("{place}: {what} in {value} by {schema}"));
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#'));
                let schema = document.pointer(pointer.expect("a local reference"));
                check(document, schema.expect("it is there"), value, place)?;
                true
            }
            "anyOf" => {
                let mut schemas = rule.as_array().expect("schemas").iter();
                schemas.any(|schema| check(document, schema, value, place).is_ok())
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
                kind => is_a(kind, value),
            },
            "enum" => rule.as_array().expect("values").contains(value),
            "const" => rule == value,
            "properties" => {
                for (name, schema) in rule.as_object().expect("properties") {
                    if let Some(value) = value.get(name) {
                        check(document, schema, value, &format!("{place}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = |name: &str| schema["properties"].get(name).is_some();
                let fields = value.as_object().into_iter().flatten();
                for (name, value) in fields.filter(|(name, _)| !known(name)) {
                    check(document, rule, value, &format!("{place}.{name}"))?;
                }
                true
            }
            "required" => {
                let mut names = rule.as_array().expect("names").iter();
                names.all(|name| value.get(name.as_str().expect("a name")).is_some())
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    check(document, rule, value, &format!("{place}[]"))?;
                }
                true
            }
            "minimum" => value.as_f64() >= rule.as_f64() || !value.is_number(),
            "maximum" => value.as_f64() <= rule.as_f64() || !value.is_number(),
            "minLength" => {
                value.as_str().is_none_or(|s| s.len() as u64 >= rule.as_u64().unwrap_or(0))
            }
            "maxLength" => {
                value.as_str().is_none_or(|s| s.len() as u64 <= rule.as_u64().unwrap_or(0))
            }
            "description" | "title" | "format" | "default" => true,
            keyword => panic!("{place}: the keyword {keyword} is not known here"),
        };
        if !holds {
            return wrong(keyword);
        }
    }
    Ok(())
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        kind => panic!("the type {kind} is not known here"),
    }
}
