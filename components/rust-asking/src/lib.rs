// Companion in Rust that asks the host which its setting `host` names before it takes its configuration, and refuses it
// without an answer.
wit_bindgen::generate!({ path: "../build/rust-asking.wit", world: "fixture", generate_all });

use exports::nacelle::sidecar::lifecycle::{Change, Execution, Guest, Metering};
use wasi::http::outgoing_handler;
use wasi::http::types::{Fields, OutgoingRequest, Scheme};

struct Asking;

fn is_answered(host: &str) -> bool {
    let request = OutgoingRequest::new(Fields::new());
    if request.set_scheme(Some(&Scheme::Http)).is_err() || request.set_authority(Some(host)).is_err() {
        return false;
    }
    let Ok(future) = outgoing_handler::handle(request, None) else {
        return false;
    };
    future.subscribe().block();
    matches!(future.get(), Some(Ok(Ok(_))))
}

impl Guest for Asking {
    fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
        let host = settings.iter().find(|(name, _)| name == "host").map_or("", |(_, value)| value);
        if is_answered(host) { Ok(()) } else { Err("nobody answers".to_string()) }
    }

    fn start() -> Result<(), String> {
        Ok(())
    }

    fn ready() -> bool {
        true
    }

    fn execution_started(_: Execution) {}

    fn execution_ended(_: Execution, _: Metering) {}

    fn state_changing(_: Change) -> Result<(), String> {
        Ok(())
    }

    fn stop() {}
}

export!(Asking);
