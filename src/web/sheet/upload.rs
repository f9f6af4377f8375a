//! A table on its way in: a file chosen on a page, a text pasted there, or the body of a call.

use std::collections::BTreeMap;
use std::future::ready;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncWriteExt as _;

use super::{BadSheet, Sheet, Spool, Spooled};
use crate::id::OperatorId;
use crate::state::State;
use crate::web::Error;
use crate::web::form::{Limits, text_of, urlencoded};

/// Bytes a field may have that is neither the file nor the pasted text.
const FIELD_LIMIT: usize = 1 << 20;
/// Fields a form may have.
const MOST_FIELDS: usize = 100;
/// The field with the pasted text.
const TEXT: &str = "text";
/// The field with the file.
const FILE: &str = "file";
/// The field with the token of a file kept since the dry run.
const KEPT: &str = "kept";
/// The field with what the kept file was called.
const NAME: &str = "file_name";
/// Characters of a file's name that are remembered.
const LONGEST_NAME: usize = 200;

/// Where a table comes from.
#[derive(Debug)]
pub enum Source {
    /// A file, CSV or XLSX.
    File(Spooled),
    /// Pasted CSV.
    Text(String),
}

impl Source {
    /// Begins to read it.
    pub async fn open(&self) -> Result<Sheet, BadSheet> {
        let file = match self {
            Self::Text(text) => return Sheet::pasted(text.clone()),
            Self::File(spooled) => spooled.open()?,
        };
        // Telling whether XLSX unpacks to too much takes a while.
        let opened = web::block(move || Sheet::open(file)).await;
        opened.map_err(|error| BadSheet::Io(std::io::Error::other(error)))?
    }
}

/// A posted form with a table in it: `multipart/form-data` with a `file` or a `text`, or
/// urlencoded with a `text`.
#[derive(Debug, Default)]
pub struct Upload {
    file: Option<Spooled>,
    /// What the file was called where it came from.
    called: Option<String>,
    fields: BTreeMap<String, String>,
}

impl Upload {
    /// A field as it was sent; empty when it was not.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// What the file is called where it came from, for people to recognise; empty when nobody said.
    pub fn name(&self) -> String {
        let name = self.called.as_deref().unwrap_or_else(|| self.field(NAME));
        let visible = name.chars().filter(|letter| !crate::text::is_invisible(*letter));
        visible.take(LONGEST_NAME).collect()
    }

    /// Whether to do it, after having seen what would be done.
    pub fn is_confirmed(&self) -> bool {
        !self.field("confirmed").is_empty()
    }

    /// The table: the file kept since the dry run, or the file sent with this form, or the pasted
    /// text. `None` when the kept file is gone, or another operator's.
    pub fn source(&mut self, spool: &Spool, operator: OperatorId) -> Result<Option<Source>, Error> {
        let kept = self.field(KEPT);
        if !kept.is_empty() {
            return Ok(spool.take(kept, operator)?.map(Source::File));
        }
        let text = || Source::Text(self.fields.remove(TEXT).unwrap_or_default());
        Ok(Some(self.file.take().map_or_else(text, Source::File)))
    }

    async fn of_urlencoded(payload: dev::Payload, limits: Limits) -> Result<Self, Error> {
        let mut body = Vec::new();
        let mut payload = limited(payload, limits.form);
        while let Some(chunk) = payload.next().await {
            body.extend_from_slice(&chunk.map_err(|error| broke_off(&error))?);
        }
        let pairs: Vec<(String, String)> = urlencoded(&body)?;
        Ok(Self { fields: pairs.into_iter().collect(), ..Self::default() })
    }

    async fn of_multipart(
        mut parts: Multipart,
        spool: &Spool,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut upload = Self::default();
        while let Some(part) = parts.try_next().await.map_err(unreadable)? {
            let name = part.name().unwrap_or_default().to_owned();
            if name == FILE {
                upload.add_file(part, spool).await?;
            } else {
                let limit = if name == TEXT { limits.form } else { FIELD_LIMIT };
                upload.add_field(name, part, limit).await?;
            }
        }
        Ok(upload)
    }

    async fn add_field(&mut self, name: String, part: Field, limit: usize) -> Result<(), Error> {
        let text = text_of(read(part, limit).await?)?;
        if self.fields.len() >= MOST_FIELDS || self.fields.insert(name, text).is_some() {
            return Err(Error::BadRequest("the form has too many fields, or one of them twice"));
        }
        Ok(())
    }

    async fn add_file(&mut self, part: Field, spool: &Spool) -> Result<(), Error> {
        let called = part.content_disposition().and_then(|about| about.get_filename());
        let called = called.filter(|name| !name.is_empty()).map(str::to_owned);
        let (file, size) = store(spool, part.map_err(unreadable)).await?;
        // A browser sends an empty part without a name when no file was chosen.
        if size == 0 && called.is_none() {
            return Ok(());
        }
        self.called = called;
        match self.file.replace(file) {
            None => Ok(()),
            Some(_) => Err(Error::BadRequest("send one file at a time")),
        }
    }
}

impl FromRequest for Upload {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let limits = Limits::of(request);
        let payload = payload.take();
        match request.content_type().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => {
                Self::of_urlencoded(payload, limits).boxed_local()
            }
            "multipart/form-data" => match arriving(request, limits) {
                Err(refusal) => ready(Err(refusal)).boxed_local(),
                Ok(spool) => {
                    let payload = limited(payload, limits.upload);
                    let parts = Multipart::new(request.headers(), payload);
                    async move { Self::of_multipart(parts, &spool, limits).await }.boxed_local()
                }
            },
            _ => {
                let why = "send the form as multipart/form-data";
                ready(Err(Error::BadRequest(why))).boxed_local()
            }
        }
    }
}

/// Puts the body of a request into a file.
pub fn spool_body(
    request: &HttpRequest,
    payload: &mut dev::Payload,
) -> LocalBoxFuture<'static, Result<Spooled, Error>> {
    let limits = Limits::of(request);
    let payload = limited(payload.take(), limits.upload);
    match arriving(request, limits) {
        Err(refusal) => ready(Err(refusal)).boxed_local(),
        Ok(spool) => async move {
            store(&spool, payload.map_err(|error| broke_off(&error))).await.map(|(file, _)| file)
        }
        .boxed_local(),
    }
}

/// Where the upload goes; a body that says it is too large is refused before it is sent.
fn arriving(request: &HttpRequest, limits: Limits) -> Result<Spool, Error> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.upload) {
        return Err(Error::TooLarge);
    }
    request.app_data::<web::Data<State>>().map(|state| Spool::of(state)).ok_or(Error::Forbidden)
}

/// The payload, broken off when it is longer than `limit`.
fn limited(
    payload: dev::Payload,
    limit: usize,
) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin {
    let mut left = limit;
    payload.map(move |chunk| {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len()).ok_or(PayloadError::Overflow)?;
        Ok(chunk)
    })
}

/// Writes a stream into a new file; also says how many bytes there were.
async fn store(
    spool: &Spool,
    mut chunks: impl Stream<Item = Result<Bytes, Error>> + Unpin,
) -> Result<(Spooled, usize), Error> {
    let file = spool.create()?;
    let mut out = tokio::fs::File::from_std(file.open()?);
    let mut size = 0;
    while let Some(chunk) = chunks.try_next().await? {
        size += chunk.len();
        out.write_all(&chunk).await?;
    }
    out.flush().await?;
    Ok((file, size))
}

async fn read(mut part: Field, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.try_next().await.map_err(unreadable)? {
        if bytes.len() + chunk.len() > limit {
            return Err(Error::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreadable(error: MultipartError) -> Error {
    match error {
        MultipartError::Payload(error) => broke_off(&error),
        MultipartError::Incomplete => Error::BadRequest("the request broke off"),
        _ => Error::BadRequest("the form cannot be read"),
    }
}

fn broke_off(error: &PayloadError) -> Error {
    match error {
        PayloadError::Overflow => Error::TooLarge,
        _ => Error::BadRequest("the request broke off"),
    }
}
