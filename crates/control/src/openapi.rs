//! The OpenAPI 3.1 description, made from the operations that are served.

use crate::api::{Api, Content, Operation};
use serde_json::{Map, Value, json};

/// The description of all that `api` serves.
pub fn document(api: &mut Api) -> Value {
    let mut paths = Map::new();
    for operation in &api.operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(operation);
    }
    let refusal = json!({
        "description": "Refused: what was wrong, and what to do about it.",
        "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/Error" },
            "example": crate::error::ApiError::unauthorized().body(),
        } },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tickwire control",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane of a running tickwire, over its Unix socket \
                (no token) or TCP (bearer token). One request a connection.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": api.schemas.take_definitions(true),
            "responses": { "Refused": refusal },
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Over TCP only: the token of the server's token file.",
            } },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.place == "path",
                "description": parameter.description,
                "schema": parameter.schema,
                "example": parameter.example,
            })
        })
        .collect();
    let mut answers = Map::new();
    for (status, description, body) in &operation.answers {
        let mut answer = json!({ "description": description });
        if let Some(body) = body {
            answer["content"] = content(body);
        }
        answers.insert(status.to_string(), answer);
    }
    answers.insert("default".into(), json!({ "$ref": "#/components/responses/Refused" }));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if let Some(body) = &operation.request {
        described["requestBody"] = json!({ "required": true, "content": content(body) });
    }
    described
}

fn content(content: &Content) -> Value {
    json!({ content.kind: { "schema": content.schema, "example": content.example } })
}
