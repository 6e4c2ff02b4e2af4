// A command, as for `wasmtime run`: prints its input in capital letters, by way of a file if it has a directory; `fail` ends it
// with exit code 1, `panic` panics, `exit` exits well in the middle.
use std::io::{Read, Write};

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("its input is text");
    match input.trim() {
        "fail" => std::process::exit(1),
        "panic" => panic!("as asked"),
        "exit" => {
            println!("before");
            std::process::exit(0);
        }
        _ => {}
    }
    let upper = input.to_uppercase();
    let shown = match std::fs::write("/input.txt", &upper) {
        Ok(()) => std::fs::read_to_string("/input.txt").expect("the file is there") + " by file",
        Err(_) => upper,
    };
    eprintln!("{} bytes", input.len());
    std::io::stdout().write_all(shown.as_bytes()).expect("its output is taken");
}
