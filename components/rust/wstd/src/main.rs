// Rust with an async runtime (wstd): says hello, `/echo` sends the body back, `/wait` answers after 50 ms.
use wstd::http::{Body, Request, Response, Result};
use wstd::time::Duration;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>> {
    match request.uri().path() {
        "/echo" => Ok(Response::new(request.into_body())),
        "/wait" => {
            wstd::task::sleep(Duration::from_millis(50)).await;
            Ok(Response::new("waited\n".to_owned().into()))
        }
        _ => Ok(Response::new("Hello from wstd!\n".to_owned().into())),
    }
}
