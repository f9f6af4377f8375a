//! Whose phone a MAC address probably is, by the first half of it.

use super::Vendor;
use crate::net::Mac;

/// The prefixes the makers have from the IEEE, as far as phones of theirs were seen with them.
/// A Zultys of the ZIP 3x series is made by Yealink.
const PREFIXES: [(Vendor, &[&str]); 7] = [
    (
        Vendor::Yealink,
        &[
            "001565", "e434d7", "805ec0", "805e0c", "249ad8", "3497d7", "44dbd2", "644f56",
            "b061a9", "c4fc22", "ec1da9", "f01653",
        ],
    ),
    (Vendor::Polycom, &["0004f2", "64167f", "482567", "00907a"]),
    (Vendor::Grandstream, &["000b82", "c074ad", "ec74d7"]),
    (Vendor::Snom, &["000413"]),
    // Some of very many.
    (Vendor::Cisco, &["0002fd", "00562b", "8843e1"]),
    (Vendor::Fanvil, &["0c383e", "00a859"]),
    (Vendor::Zultys, &["000bea"]),
];

impl Vendor {
    /// Who probably made the phone with this address.
    pub fn of(mac: Mac) -> Option<Self> {
        let digits = mac.hex();
        let made = |prefixes: &[&str]| prefixes.iter().any(|prefix| digits.starts_with(prefix));
        PREFIXES.iter().find(|(_, prefixes)| made(prefixes)).map(|(vendor, _)| *vendor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_known_by_the_first_half_of_the_address() {
        assert_eq!(Vendor::of("00:15:65:12:34:56".parse().unwrap()), Some(Vendor::Yealink));
        assert_eq!(Vendor::of("000B.8200.0001".parse().unwrap()), Some(Vendor::Grandstream));
        assert_eq!(Vendor::of("88:43:E1:00:00:01".parse().unwrap()), Some(Vendor::Cisco));
        assert_eq!(Vendor::of("02:00:00:12:34:56".parse().unwrap()), None);
    }
}
