//! A phone's pages have one address each, whatever the notation somebody typed its MAC in.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::middleware::Next;
use percent_encoding::percent_decode_str;

use crate::net::Mac;
use crate::web::see_other;

/// Leads whoever asks for a page by a MAC in another notation to the page's one address.
pub async fn one_spelling<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let there = one_address(request.uri()).filter(|_| request.method().is_safe());
    match there {
        Some(there) => Ok(request.into_response(see_other(&there)).map_into_right_body()),
        None => Ok(next.call(request).await?.map_into_left_body()),
    }
}

/// The address that is meant, if it is another.
fn one_address(uri: &Uri) -> Option<String> {
    let path = uri.path().strip_prefix("/phones/")?;
    let spelt = |part: &str| {
        let mac = percent_decode_str(part).decode_utf8().ok().and_then(|text| text.parse().ok());
        mac.map_or_else(|| part.to_owned(), Mac::hex)
    };
    let meant = path.split('/').map(spelt).collect::<Vec<_>>().join("/");
    let query = Uri::query(uri).map(|query| format!("?{query}")).unwrap_or_default();
    (meant != path).then(|| format!("/phones/{meant}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Option<String> {
        one_address(&text.parse().unwrap())
    }

    #[test]
    fn every_notation_leads_to_the_digits() {
        for other in ["00:15:65:AA:BB:CC", "00-15-65-aa-bb-cc", "0015.65aa.bbcc", "001565AABBCC"] {
            assert_eq!(at(&format!("/phones/{other}")).unwrap(), "/phones/001565aabbcc");
            let there = at(&format!("/phones/waiting/{other}?a=b")).unwrap();
            assert_eq!(there, "/phones/waiting/001565aabbcc?a=b");
        }
        for same in ["/phones/001565aabbcc", "/phones/new", "/users/00:15:65:aa:bb:cc", "/phones"] {
            assert_eq!(at(same), None, "{same}");
        }
    }

    proptest! {
        #[test]
        fn whoever_is_led_there_stays_there(path in "/phones/([0-9a-fA-F:.%-]{1,20}/?){1,3}") {
            if let Some(there) = path.parse::<Uri>().ok().as_ref().and_then(one_address) {
                prop_assert_eq!(there.parse::<Uri>().ok().as_ref().and_then(one_address), None);
            }
        }
    }
}
