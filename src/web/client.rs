//! Who asks, when proxies stand between: `X-Forwarded-For`, believed only of proxies we know.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, web};

use crate::net::{Address, Cidr};
use crate::state::State;

/// Where the request comes from: the peer, or whom a trusted proxy speaks for.
pub fn address(request: &HttpRequest) -> Option<Address> {
    let peer = Address::from(request.peer_addr()?.ip());
    let proxies = request.app_data::<web::Data<State>>().map(|state| state.proxies.as_ref());
    Some(behind(peer, request.headers(), proxies.unwrap_or_default()))
}

/// Each proxy appends whom it heard, so the list is read from its end for as long as what it says
/// of a hop was said by a proxy that is trusted.
fn behind(peer: Address, headers: &HeaderMap, proxies: &[Cidr]) -> Address {
    let trusted = |address: Address| proxies.iter().any(|proxy| proxy.contains(address));
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").map(|line| line.to_str().unwrap_or_default()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut client = peer;
    while trusted(client) {
        let Some(hop) = hops.next().and_then(hop) else { break };
        client = hop;
    }
    client
}

/// An address, perhaps with a port.
fn hop(text: &str) -> Option<Address> {
    let text = text.trim();
    let plain = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let ip = plain.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(Address::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn found(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            let name = HeaderName::from_static("x-forwarded-for");
            headers.append(name, HeaderValue::from_static(line));
        }
        let proxies = ["10.0.0.0/24".parse().unwrap(), "::1/128".parse().unwrap()];
        behind(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(found("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(found("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(found("10.0.0.1", &["203.0.113.9:80"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_says_of_itself_is_behind_what_proxies_say_of_it() {
        assert_eq!(found("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &["203.0.113.9, nonsense"]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["10.0.0.3,10.0.0.2"]), "10.0.0.3");
    }
}
