//! Answers phones understand: always with a length, whole or in part, and not again what they have.

use std::ops::Range;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;

use super::types::File;

/// Whoever may not have a file gets this, and whoever asks for one that is not there.
pub(super) fn nothing() -> HttpResponse {
    said(StatusCode::NOT_FOUND, "There is no such file.\n")
}

/// A sentence for whoever looks into the phone's log.
pub(super) fn said(status: StatusCode, sentence: &str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(sentence.to_owned())
}

/// Come back later.
pub(super) fn wait(status: StatusCode, seconds: i64) -> HttpResponse {
    let mut answer = said(status, "Not now. Try again later.\n");
    if let Ok(value) = header::HeaderValue::from_str(&seconds.max(1).to_string()) {
        answer.headers_mut().insert(header::RETRY_AFTER, value);
    }
    answer
}

/// What to sign in with.
pub(super) fn challenge(challenges: &[String]) -> HttpResponse {
    let mut answer = said(StatusCode::UNAUTHORIZED, "Sign in for this file.\n");
    for challenge in challenges {
        if let Ok(value) = header::HeaderValue::from_str(challenge) {
            answer.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

/// The file, or as much of it as the request asks for. `whole` sends all of it in any case; `age`
/// is how many seconds ago it was last known to hold, when that cannot be known now.
pub(super) fn file(
    file: &File,
    headers: &HeaderMap,
    whole: bool,
    age: Option<i64>,
) -> HttpResponse {
    let tag = format!("\"{}\"", file.revision);
    if !whole && has_it(headers, &tag) {
        return HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish();
    }
    let length = file.bytes.len();
    let part = if whole { Part::Whole } else { part(headers, &tag, length) };
    let (mut answer, bytes) = match part {
        Part::Whole => (HttpResponse::Ok(), file.bytes.clone()),
        Part::Some(range) => {
            let mut answer = HttpResponse::PartialContent();
            let last = range.end.saturating_sub(1);
            let value = format!("bytes {}-{last}/{length}", range.start);
            answer.insert_header((header::CONTENT_RANGE, value));
            (answer, file.bytes.slice(range))
        }
        Part::Beyond => {
            let mut answer = HttpResponse::RangeNotSatisfiable();
            answer.insert_header((header::CONTENT_RANGE, format!("bytes */{length}")));
            (answer, Bytes::new())
        }
    };
    if let Some(age) = age {
        answer.insert_header((header::AGE, age.max(0).to_string()));
        answer.insert_header((header::WARNING, "110 - \"Response is Stale\""));
    }
    answer
        .insert_header((header::ETAG, tag))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .content_type(file.content_type.as_str())
        .body(bytes)
}

/// Whether `If-None-Match` names the revision.
fn has_it(headers: &HeaderMap, tag: &str) -> bool {
    let named = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    named.is_some_and(|named| {
        named
            .split(',')
            .map(|one| one.trim().trim_start_matches("W/"))
            .any(|one| one == tag || one == "*")
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some(Range<usize>),
    Beyond,
}

/// What `Range` asks for (RFC 9110, section 14): one range of bytes; anything else is all of it.
fn part(headers: &HeaderMap, tag: &str, length: usize) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|named| named != tag) {
        return Part::Whole;
    }
    let range = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<usize>() {
            Ok(0) => Part::Beyond,
            Ok(count) => Part::Some(length.saturating_sub(count)..length),
            Err(_) => Part::Whole,
        },
        (first, last) => {
            let Ok(first) = first.parse::<usize>() else { return Part::Whole };
            let last = if last.is_empty() { Ok(usize::MAX) } else { last.parse::<usize>() };
            match last {
                Ok(last) if last < first => Part::Whole,
                Ok(_) if first >= length => Part::Beyond,
                Ok(last) => Part::Some(first..last.saturating_add(1).min(length)),
                Err(_) => Part::Whole,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn ranges_are_read_as_the_rfc_writes_them() {
        for (range, expected) in [
            ("bytes=0-4", Part::Some(0..5)),
            ("bytes=5-", Part::Some(5..10)),
            ("bytes=-3", Part::Some(7..10)),
            ("bytes=-30", Part::Some(0..10)),
            ("bytes=8-99", Part::Some(8..10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=x-", Part::Whole),
        ] {
            assert_eq!(part(&headers(&[("range", range)]), "\"a\"", 10), expected, "{range}");
        }
        assert_eq!(
            part(&headers(&[("range", "bytes=0-1"), ("if-range", "\"b\"")]), "\"a\"", 10),
            Part::Whole
        );
    }

    #[test]
    fn a_phone_that_has_the_revision_is_told_so() {
        for value in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert!(has_it(&headers(&[("if-none-match", value)]), "\"a\""), "{value}");
        }
        for value in ["a", "\"b\"", ""] {
            assert!(!has_it(&headers(&[("if-none-match", value)]), "\"a\""), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_within_the_file(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0_usize..50) {
            if let Part::Some(range) = part(&headers(&[("range", &range)]), "", length) {
                prop_assert!(range.start <= range.end && range.end <= length);
            }
        }
    }
}
