// Makes a thumbnail: takes a JPEG or PNG as body and answers with a JPEG of at most `?size=` pixels (default 128) on its longer side.
use image::{ImageFormat, codecs::jpeg::JpegEncoder, load_from_memory};
use wstd::http::{Body, Request, Response, Result, StatusCode};

fn size_of(query: Option<&str>) -> u32 {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("size="))
        .and_then(|size| size.parse().ok())
        .map_or(128, |size: u32| size.clamp(1, 1024))
}

fn thumbnail(photo: &[u8], size: u32) -> image::ImageResult<Vec<u8>> {
    let small = load_from_memory(photo)?.thumbnail(size, size).to_rgb8();
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 80).encode_image(&small)?;
    Ok(out)
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>> {
    let size = size_of(request.uri().query());
    let mut body = request.into_body();
    let answer = match thumbnail(body.contents().await?, size) {
        Ok(bytes) => Response::builder().header("content-type", ImageFormat::Jpeg.to_mime_type()).body(bytes.into())?,
        Err(error) => Response::builder().status(StatusCode::UNPROCESSABLE_ENTITY).body(format!("{error}\n").into())?,
    };
    Ok(answer)
}
