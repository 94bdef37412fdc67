//! Resources: what a job offers, each with its description.
//!
//! A resource is added together with what it says of itself, so that the served description
//! ([`crate::openapi`]) holds every route and no other.

use crate::error::{ApiError, ErrorBody};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, on};
use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

const JSON: &str = "application/json";

/// Everything that a server offers.
#[derive(Debug)]
pub struct Api {
    pub(crate) router: Router,
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: SchemaGenerator,
    pub(crate) metrics: Registry,
}

impl Default for Api {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let mut schemas = settings.into_generator();
        schemas.subschema_for::<ErrorBody>();
        let metrics = Registry::with_prefix("tickwire");
        Api { router: Router::new(), operations: Vec::new(), schemas, metrics }
    }
}

impl Api {
    /// Adds an operation. `handler` runs on the control thread and must not wait.
    ///
    /// # Panics
    /// When the same method of the same path is there already.
    pub fn operation(
        mut self,
        describe: impl FnOnce(&mut SchemaGenerator) -> Operation,
        handler: impl Fn(Call) -> Result<Answer, ApiError> + Send + Sync + 'static,
    ) -> Self {
        let operation = describe(&mut self.schemas);
        let filter = MethodFilter::try_from(operation.method.clone()).expect("a common method");
        let handler = Arc::new(handler);
        let service = move |params: Result<RawPathParams, RawPathParamsRejection>,
                            uri: Uri,
                            headers: HeaderMap,
                            body: Bytes| {
            let handler = Arc::clone(&handler);
            async move {
                let call = Call::new(params, uri, headers, body)?;
                handler(call)
            }
        };
        self.router = self.router.route(operation.path, on(filter, service));
        self.operations.push(operation);
        self
    }

    /// Adds metrics, which are collected when somebody asks for them. All names get the prefix
    /// `tickwire_`.
    pub fn metrics(mut self, collector: impl Collector) -> Self {
        self.metrics.register_collector(Box::new(collector));
        self
    }
}

/// One request, for a handler.
#[derive(Debug)]
pub struct Call {
    params: HashMap<String, String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn new(
        params: Result<RawPathParams, RawPathParamsRejection>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self, ApiError> {
        let params = params.map_err(|error| {
            ApiError::bad_request(
                "malformed_path",
                error.body_text(),
                "percent-encode the path as UTF-8",
            )
        })?;
        let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Call { params: params.collect(), uri, headers, body })
    }

    /// The part of the path that stands for `{name}`.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The query.
    ///
    /// # Errors
    /// 400 `invalid_query`.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let Query(query) = Query::try_from_uri(&self.uri).map_err(|error| {
            ApiError::bad_request(
                "invalid_query",
                error.body_text(),
                "see the parameters of this resource in /openapi.json",
            )
        })?;
        Ok(query)
    }

    /// The JSON body.
    ///
    /// # Errors
    /// 415 without the content type of JSON, 400 `invalid_body` with the place of the fault.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(JSON) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
                "the body is not said to be JSON",
                "send 'Content-Type: application/json'",
            ));
        }
        let refused = |why: &dyn Display| {
            ApiError::bad_request(
                "invalid_body",
                format!("the body is not what is expected: {why}"),
                "see the request body of this resource in /openapi.json",
            )
        };
        // A list of values would do for an object: nobody could read what they mean.
        if self.body.trim_ascii_start().starts_with(b"[") {
            return Err(refused(&"it is a list, not an object"));
        }
        serde_json::from_slice(&self.body).map_err(|error| refused(&error))
    }
}

/// What a handler answers.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    location: Option<String>,
}

impl Answer {
    /// A value as JSON.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec(value).expect("our types have string keys");
        body.push(b'\n');
        Answer { status, kind: JSON, body, location: None }
    }

    /// 200 and a value as JSON.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 201, where it now is, and the value as JSON.
    pub fn created(location: String, value: &impl Serialize) -> Self {
        Answer { location: Some(location), ..Self::json(StatusCode::CREATED, value) }
    }

    /// 204: done, nothing to say.
    pub fn done() -> Self {
        Answer { status: StatusCode::NO_CONTENT, kind: JSON, body: Vec::new(), location: None }
    }

    /// 200 and text of this content type.
    pub fn text(kind: &'static str, text: String) -> Self {
        Answer { status: StatusCode::OK, kind, body: text.into_bytes(), location: None }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        if self.status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_TYPE, self.kind.parse().expect("a constant"));
        }
        if let Some(location) = self.location.and_then(|location| location.parse().ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// What an operation says of itself.
#[derive(Debug)]
pub struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) request: Option<Content>,
    pub(crate) answers: Vec<(u16, &'static str, Option<Content>)>,
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub name: &'static str,
    pub place: &'static str,
    pub description: &'static str,
    pub schema: Value,
    pub example: Value,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub kind: &'static str,
    pub schema: Schema,
    pub example: Value,
}

impl Operation {
    /// An operation; `path` with `{name}` for what varies, `id` in camelCase.
    pub fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let (parameters, answers) = (Vec::new(), Vec::new());
        Operation { method, path, id, summary, parameters, request: None, answers }
    }

    /// What `{name}` in the path stands for.
    pub fn path_param(
        mut self,
        name: &'static str,
        description: &'static str,
        example: &str,
    ) -> Self {
        let schema = serde_json::json!({ "type": "string" });
        let example = example.into();
        self.parameters.push(Parameter { name, place: "path", description, schema, example });
        self
    }

    /// A parameter of the query, never required.
    pub fn query_param(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: Value,
        example: impl Into<Value>,
    ) -> Self {
        let example = example.into();
        self.parameters.push(Parameter { name, place: "query", description, schema, example });
        self
    }

    /// The JSON body that it takes.
    pub fn takes<T: Serialize + JsonSchema>(
        mut self,
        schemas: &mut SchemaGenerator,
        example: &T,
    ) -> Self {
        self.request = Some(Content::json(schemas, example));
        self
    }

    /// A JSON answer.
    pub fn answers<T: Serialize + JsonSchema>(
        mut self,
        status: u16,
        description: &'static str,
        schemas: &mut SchemaGenerator,
        example: &T,
    ) -> Self {
        self.answers.push((status, description, Some(Content::json(schemas, example))));
        self
    }

    /// An answer that is text.
    pub fn answers_text(
        mut self,
        description: &'static str,
        kind: &'static str,
        example: &'static str,
    ) -> Self {
        let schema = schemars::json_schema!({ "type": "string" });
        self.answers.push((
            200,
            description,
            Some(Content { kind, schema, example: example.into() }),
        ));
        self
    }

    /// An answer without a body.
    pub fn answers_empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push((status, description, None));
        self
    }

    /// A refusal of its own, by code; what every resource may answer is described once.
    pub fn fails(
        mut self,
        schemas: &mut SchemaGenerator,
        error: &ApiError,
        when: &'static str,
    ) -> Self {
        self.answers.push((
            error.status.as_u16(),
            when,
            Some(Content::json(schemas, &error.body())),
        ));
        self
    }
}

impl Content {
    fn json<T: Serialize + JsonSchema>(schemas: &mut SchemaGenerator, example: &T) -> Self {
        let example = serde_json::to_value(example).expect("our types have string keys");
        Content { kind: JSON, schema: schemas.subschema_for::<T>(), example }
    }
}
