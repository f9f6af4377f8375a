//! Static files, built into the program and served under names that carry their content's hash.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/static");

struct Asset {
    name: String,
    url: String,
    mime: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let assets = FILES.files().filter_map(|file| {
        let name = file.path().to_str()?;
        let (stem, extension) = name.rsplit_once('.')?;
        let hash = crate::secrets::fingerprint(file.contents());
        let url = format!("/static/{stem}.{}.{extension}", hash.get(..12)?);
        Some(Asset { name: name.to_owned(), url, mime: mime(extension), bytes: file.contents() })
    });
    assets.collect()
});

fn mime(extension: &str) -> &'static str {
    match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The URL of the file called `name` in `static/`; an unknown name is an error when rendering.
pub fn url(name: &str) -> askama::Result<&'static str> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map(|asset| asset.url.as_str()).ok_or(askama::Error::Fmt)
}

/// The file at `path`, cacheable for ever because its name changes with its content.
pub fn serve(path: &str) -> Option<HttpResponse> {
    let asset = ASSETS.iter().find(|asset| asset.url == path)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Some(response.content_type(asset.mime).body(asset.bytes))
}
