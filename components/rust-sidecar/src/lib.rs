// Middleware and companion in Rust with the standard library: refuses paths that begin with one of the setting `deny`,
// separated by commas, and passes the others on; says each execution on standard error. It takes no `deny` that is no path.
use std::cell::RefCell;

wit_bindgen::generate!({ path: "../build/rust-sidecar.wit", world: "fixture", generate_all });

use exports::nacelle::sidecar::lifecycle::{Change, Execution, Guest as Lifecycle, Metering};
use exports::wasi::http::incoming_handler::Guest as Handler;
use wasi::http::incoming_handler;
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

thread_local! {
    static DENIED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Gate;

fn is_denied(path: &str) -> bool {
    DENIED.with_borrow(|denied| denied.iter().any(|prefix| path.starts_with(prefix.as_str())))
}

fn refuse(out: ResponseOutparam, path: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(403).expect("a status");
    let body = response.body().expect("the body is there once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is there once");
    stream.blocking_write_and_flush(format!("{path} is denied\n").as_bytes()).expect("the client listens");
    drop(stream);
    OutgoingBody::finish(body, None).expect("as many bytes as were said");
}

impl Handler for Gate {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        if is_denied(&path) { refuse(out, &path) } else { incoming_handler::handle(request, out) }
    }
}

impl Lifecycle for Gate {
    fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
        let denied: Vec<String> = settings
            .iter()
            .filter(|(name, _)| name == "deny")
            .flat_map(|(_, value)| value.split(',').map(|prefix| prefix.trim().to_string()))
            .collect();
        if let Some(wrong) = denied.iter().find(|prefix| !prefix.starts_with('/')) {
            return Err(format!("deny must be paths, got {wrong:?}"));
        }
        DENIED.set(denied);
        Ok(())
    }

    fn start() -> Result<(), String> {
        Ok(())
    }

    fn ready() -> bool {
        true
    }

    fn execution_started(_: Execution) {}

    fn execution_ended(execution: Execution, metering: Metering) {
        eprintln!("{} {} {}", execution.method, execution.path_with_query, metering.status);
    }

    fn state_changing(_: Change) -> Result<(), String> {
        Ok(())
    }

    fn stop() {}
}

export!(Gate);
