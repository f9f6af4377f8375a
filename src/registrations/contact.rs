//! Who Asterisk says is registered, as Patchbay understands it.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::asterisk::ami::InboundContact;
use crate::id::TenantId;
use crate::net::Address;
use crate::numbering::ExtensionNumber;
use crate::tenants::Tenant;
use crate::text;
use crate::time::Timestamp;

/// Letters kept of what a phone calls itself.
const USER_AGENT: usize = 200;

/// A number, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Whose number.
    pub tenant: TenantId,
    /// The number.
    pub number: ExtensionNumber,
    /// Where it is reached, as Asterisk spells it.
    pub uri: String,
    /// The address from which it reaches Asterisk.
    pub address: Option<Address>,
    /// The address it believes it has, if that is another: then a router with address translation
    /// stands between.
    pub via: Option<Address>,
    /// What it calls itself; may be empty.
    pub user_agent: String,
    /// Until when, if it does not come again.
    pub expires: Option<Timestamp>,
}

/// Whose numbers begin with what.
#[derive(Debug)]
pub struct Prefixes(HashMap<String, TenantId>);

impl Prefixes {
    /// Those of these tenants.
    pub fn of(tenants: &[Tenant]) -> Self {
        Self(tenants.iter().map(|tenant| (tenant.prefix(), tenant.id)).collect())
    }

    /// Whose number an address of record is: `1000`, or `acme-1000`. None if it is nobody's, such
    /// as one that an administrator wrote by hand.
    pub fn owner(&self, aor: &str) -> Option<(TenantId, ExtensionNumber)> {
        let digits = aor.rfind('-').map_or(0, |at| at + 1);
        let (prefix, number) = aor.split_at_checked(digits)?;
        Some((*self.0.get(prefix)?, number.parse().ok()?))
    }

    /// What Asterisk told, understood; and how many were nobody's.
    pub fn contacts(&self, told: Vec<InboundContact>) -> (Vec<Contact>, i64) {
        let all = told.len();
        let ours: Vec<Contact> = told.into_iter().filter_map(|one| self.contact(one)).collect();
        let foreign = i64::try_from(all - ours.len()).unwrap_or(i64::MAX);
        (ours, foreign)
    }

    fn contact(&self, told: InboundContact) -> Option<Contact> {
        let (tenant, number) = self.owner(&told.aor)?;
        let via = host_of(&told.via);
        let address = host_of(uri_host(&told.uri)).or(via);
        Some(Contact {
            tenant,
            number,
            via: via.filter(|via| Some(*via) != address),
            address,
            user_agent: readable(&told.user_agent),
            expires: told.expires.filter(|at| *at > 0).map(Timestamp),
            uri: told.uri,
        })
    }
}

/// `host:port` of `sip:user@host:port;parameters`.
fn uri_host(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.split([';', '?', '>']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// The address in `10.0.1.20:5060`, `[2001:db8::1]:5060` or either without a port.
fn host_of(place: &str) -> Option<Address> {
    let bare = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, _)| host)?,
        None if place.matches(':').count() == 1 => place.split(':').next()?,
        None => place,
    };
    bare.parse::<IpAddr>().ok().map(Address::from)
}

/// What can be shown of what a phone says of itself: anybody with a number's secret says it.
fn readable(said: &str) -> String {
    let seen = said.chars().filter(|c| !c.is_control() && !text::is_invisible(*c));
    seen.take(USER_AGENT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes() -> (Prefixes, TenantId) {
        let acme = TenantId::from(uuid::Uuid::from_u128(7));
        let known = [(String::new(), TenantId::DEFAULT), ("acme-".to_owned(), acme)];
        (Prefixes(known.into()), acme)
    }

    fn told(aor: &str, uri: &str, via: &str) -> InboundContact {
        let (aor, uri, via) = (aor.to_owned(), uri.to_owned(), via.to_owned());
        InboundContact {
            aor,
            uri,
            via,
            user_agent: "Phone\u{202e}\t 1\u{7}".into(),
            expires: Some(9),
        }
    }

    #[test]
    fn a_number_is_its_tenants_by_the_prefix() {
        let (prefixes, acme) = prefixes();
        let number = |n: i64| ExtensionNumber::try_from(n).unwrap();
        assert_eq!(prefixes.owner("1000"), Some((TenantId::DEFAULT, number(1000))));
        assert_eq!(prefixes.owner("acme-1000"), Some((acme, number(1000))));
        for nobodys in
            ["", "-", "acme", "acme-", "other-1000", "acme-1000-1", "trunk", "01000", "١٠٠٠"]
        {
            assert_eq!(prefixes.owner(nobodys), None, "{nobodys}");
        }
    }

    #[test]
    fn the_address_is_the_one_asterisk_saw_and_the_other_one_is_kept_beside_it() {
        let (prefixes, _) = prefixes();
        let seen = |uri: &str, via: &str| {
            let (contacts, foreign) = prefixes.contacts(vec![told("1000", uri, via)]);
            assert_eq!(foreign, 0);
            let show =
                |address: Option<Address>| address.map(|a| a.to_string()).unwrap_or_default();
            (show(contacts[0].address), show(contacts[0].via))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(seen("sip:1000@10.0.1.20:5062", "10.0.1.20:5062"), pair("10.0.1.20", ""));
        assert_eq!(
            seen("sip:1000@198.51.100.7:40000;x-ast-orig-host=10.9.9.9:5062", "10.9.9.9:5062"),
            pair("198.51.100.7", "10.9.9.9")
        );
        assert_eq!(
            seen("sip:1000@[2001:db8::1]:5060;ob", "[2001:db8::1]:5060"),
            pair("2001:db8::1", "")
        );
        assert_eq!(seen("sips:1000@phone.local", "10.0.1.20"), pair("10.0.1.20", ""));
        assert_eq!(seen("nonsense", ""), pair("", ""));
    }

    #[test]
    fn what_nobody_has_is_counted_and_what_cannot_be_shown_is_left_out() {
        let (prefixes, _) = prefixes();
        let list = vec![told("trunk", "sip:a@192.0.2.1", ""), told("1000", "sip:a@192.0.2.2", "")];
        let (contacts, foreign) = prefixes.contacts(list);
        assert_eq!((contacts.len(), foreign), (1, 1));
        assert_eq!(contacts[0].user_agent, "Phone 1");
        assert_eq!(contacts[0].expires, Some(Timestamp(9)));
    }

    proptest! {
        #[test]
        fn nothing_a_phone_says_breaks_it(aor in "\\PC{0,20}", uri in "\\PC{0,60}", via in "\\PC{0,40}|[0-9.:\\[\\]]{0,30}") {
            let (prefixes, _) = prefixes();
            let _ = prefixes.contacts(vec![told(&aor, &uri, &via)]);
        }
    }
}
