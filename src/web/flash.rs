//! What was just done, said once by the next page: a sentence in the session that outlives the
//! redirect after a form.

use actix_session::SessionExt as _;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};

/// The sentence in the session's state.
const KEY: &str = "said";

/// The sentence on its way from a handler to the session.
struct Said(String);

/// 303: the change is made, look at `path`, where the page says so.
pub fn done(path: &str, sentence: impl Into<String>) -> HttpResponse {
    let mut answer = super::see_other(path);
    answer.extensions_mut().insert(Said(sentence.into()));
    answer
}

/// As [`done`]; when nothing was different there is nothing to say.
pub fn done_if(changed: bool, path: &str, sentence: &str) -> HttpResponse {
    if changed { done(path, sentence) } else { super::see_other(path) }
}

/// Keeps what the handler had to say for the next page.
pub fn keep(request: &HttpRequest, answer: &mut HttpResponse<impl Sized>) {
    let Some(Said(sentence)) = answer.extensions_mut().remove::<Said>() else { return };
    if let Err(error) = request.get_session().insert(KEY, sentence) {
        tracing::warn!(error = %error, "the next page will not say what was done");
    }
}

/// What there is to say. Only a whole page takes it: part of one would not show it.
pub fn take(request: &HttpRequest) -> Option<String> {
    if request.method() != Method::GET || request.headers().contains_key("hx-request") {
        return None;
    }
    let session = request.get_session();
    let said = session.get::<String>(KEY).ok().flatten();
    if said.is_some() {
        session.remove(KEY);
    }
    said
}
