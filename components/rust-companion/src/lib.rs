// Companion in Rust with the standard library: says on standard output what became of each execution that failed. What it
// imports of the host could be waited for, as far as types go; nothing of it ever is.
wit_bindgen::generate!({ path: "../build/rust-companion.wit", world: "fixture", generate_all });

use exports::nacelle::sidecar::lifecycle::{Change, Execution, Guest, Metering};

struct Watch;

impl Guest for Watch {
    fn configure(_: Vec<(String, String)>) -> Result<(), String> {
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
        if let Some(code) = metering.code {
            println!("{} {} failed: {code}", execution.method, execution.path_with_query);
        }
    }

    fn state_changing(_: Change) -> Result<(), String> {
        Ok(())
    }

    fn stop() {}
}

export!(Watch);
