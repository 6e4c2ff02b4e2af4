// Rust's std::fs in the scratch directory: `/work` writes, seeks, reads, renames, lists and removes; `/escape` tries to get out of
// it, `/left` lists what is there, `/fill` writes until something refuses, `/mib/N` writes N MiB and reads them back.
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Function;

fn listed(path: &str) -> io::Result<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names.join(" "))
}

fn work() -> io::Result<String> {
    let mut said = String::new();
    let mut say = |what: &str, value: &dyn Display| said.push_str(&format!("{what}: {value}\n"));
    say("before", &listed("/")?);
    fs::create_dir_all("/in/deep")?;
    let mut file = File::create_new("/in/notes")?;
    file.write_all(b"one two three")?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(b"TWO")?;
    file.seek(SeekFrom::End(-5))?;
    file.write_all(b"THREE")?;
    drop(file);
    say("content", &fs::read_to_string("/in/notes")?);
    OpenOptions::new().append(true).open("in/notes")?.write_all(b" four")?;
    let mut end = String::new();
    let mut file = File::open("/in/./deep/../notes")?;
    file.seek(SeekFrom::Start(8))?;
    file.read_to_string(&mut end)?;
    say("end", &end);
    let about = fs::metadata("/in/notes")?;
    say("metadata", &format!("{} bytes, file {}, directory {}", about.len(), about.is_file(), fs::metadata("/in")?.is_dir()));
    say("written lately", &about.modified()?.elapsed().is_ok_and(|age| age.as_secs() < 60));
    File::options().write(true).open("/in/notes")?.set_len(3)?;
    fs::rename("/in/notes", "/in/deep/renamed")?;
    say("truncated and renamed", &fs::read_to_string("/in/deep/renamed")?);
    say("copied", &fs::copy("/in/deep/renamed", "/in/copy")?);
    say("listed", &listed("/in")?);
    say("again", &kind(File::create_new("/in/copy")));
    say("missing", &kind(File::open("/in/notes")));
    say("full directory", &kind(fs::remove_dir("/in")));
    say("directory as file", &kind(fs::write("/in", "x")));
    fs::remove_file("/in/copy")?;
    fs::remove_dir_all("/in/deep")?;
    say("removed", &listed("/in")?);
    Ok(said)
}

fn kind<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "worked".to_string(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn escape() -> io::Result<String> {
    fs::create_dir_all("/in")?;
    let mut said = String::new();
    for path in ["/etc/passwd", "../etc/passwd", "/../../etc/passwd", "/in/../../etc/passwd", "/proc/self/environ", "/in/..//../etc/passwd"] {
        said.push_str(&format!("{path}: {}\n", kind(fs::read(path))));
    }
    said.push_str(&format!("write ../out: {}\n", kind(fs::write("../out", "x"))));
    said.push_str(&format!("rename out: {}\n", kind(fs::rename("/in", "../in"))));
    let (root, _) = wasi::filesystem::preopens::get_directories().remove(0);
    for target in ["/etc/passwd", "../../etc/passwd"] {
        said.push_str(&format!("link to {target}: {:?}\n", root.symlink_at(target, "in/link").err()));
        said.push_str(&format!("through the link: {}\n", kind(fs::read("/in/link"))));
    }
    Ok(said)
}

fn fill() -> io::Result<String> {
    let mut file = File::create("/big")?;
    let chunk = vec![b'x'; 1 << 20];
    for mib in 0..1024 {
        if let Err(error) = file.write_all(&chunk) {
            return Ok(format!("{:?} after {mib} MiB\n", error.kind()));
        }
    }
    Ok("never refused\n".to_string())
}

fn mebibytes(count: usize) -> io::Result<String> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open("/big")?;
    for mib in 0..count {
        file.write_all(&vec![mib as u8; 1 << 20])?;
    }
    file.rewind()?;
    let mut chunk = vec![0; 1 << 20];
    for mib in 0..count {
        file.read_exact(&mut chunk)?;
        if chunk.iter().any(|byte| *byte != mib as u8) {
            return Err(io::Error::new(ErrorKind::InvalidData, "what was read is not what was written"));
        }
    }
    Ok(format!("{} bytes\n", file.metadata()?.len()))
}

fn answer_to(path: &str) -> io::Result<String> {
    match path {
        "/work" => work(),
        "/escape" => escape(),
        "/fill" => fill(),
        "/left" => Ok(format!("left: {}\n", listed("/")?)),
        _ => mebibytes(path.strip_prefix("/mib/").and_then(|count| count.parse().ok()).unwrap_or(1)),
    }
}

impl wasi::exports::http::incoming_handler::Guest for Function {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let result = answer_to(request.path_with_query().as_deref().unwrap_or("/"));
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(if result.is_ok() { 200 } else { 500 }).expect("a valid status");
        let text = result.unwrap_or_else(|error| format!("{:?}: {error}\n", error.kind()));
        let body = response.body().expect("the body is there once");
        ResponseOutparam::set(out, Ok(response));
        let mut stream = body.write().expect("the stream is there once");
        stream.write_all(text.as_bytes()).expect("the client listens");
        drop(stream);
        OutgoingBody::finish(body, None).expect("as many bytes as were said");
    }
}

wasi::http::proxy::export!(Function);
