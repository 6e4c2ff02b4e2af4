// Rust with the standard library: says hello; `/words` counts the words of the body, `/env` lists the environment, `/time`
// tells the time, `/panic` panics with a message on stderr.
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::SystemTime;
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Function;

fn body_of(request: &IncomingRequest) -> String {
    let mut text = String::new();
    let body = request.consume().expect("the body is there once");
    body.stream().expect("the stream is there once").read_to_string(&mut text).expect("the body is UTF-8");
    text
}

fn words(text: &str) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let sorted: BTreeMap<_, _> = counts.into_iter().collect();
    sorted.iter().map(|(word, count)| format!("{word} {count}\n")).collect()
}

fn answer_to(request: &IncomingRequest) -> String {
    match request.path_with_query().as_deref().unwrap_or("/") {
        "/words" => words(&body_of(request)),
        "/env" => std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect(),
        "/time" => format!("{}\n", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()),
        "/panic" => panic!("asked to panic"),
        _ => "Hello from Rust!\n".to_string(),
    }
}

impl wasi::exports::http::incoming_handler::Guest for Function {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let text = answer_to(&request);
        println!("answering with {} bytes", text.len());
        let headers = Fields::from_list(&[("content-type".to_string(), b"text/plain".to_vec())]).expect("a valid header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("the body is there once");
        ResponseOutparam::set(out, Ok(response));
        let mut stream = body.write().expect("the stream is there once");
        stream.write_all(text.as_bytes()).expect("the client listens");
        stream.flush().expect("the client listens");
        drop(stream);
        OutgoingBody::finish(body, None).expect("as many bytes as were said");
    }
}

wasi::http::proxy::export!(Function);
