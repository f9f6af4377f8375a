//! Slowing down who guesses passwords: per account and per source address, in the database, so
//! that all instances count together.

use std::net::Ipv6Addr;

use super::queries;
use crate::db::{Db, Result};
use crate::time::Timestamp;

/// Wrong passwords an account has free, and a source address.
const FREE: [(&str, i64); 2] = [("account", 5), ("source", 20)];
/// The longest wait, in seconds.
const LONGEST: i64 = 900;
/// After so many seconds without a failure, counting starts anew.
const FORGIVEN: i64 = 3600;

/// Counts a try before the password is looked at, so that many at once cannot slip through.
/// `Err` is how many seconds to wait.
pub(super) async fn attempt(
    db: &Db,
    account: &str,
    source: &str,
    now: Timestamp,
) -> Result<std::result::Result<(), i64>> {
    let mut tx = db.write().await?;
    let mut wait = 0;
    let source = one_place(source);
    for ((kind, free), name) in FREE.into_iter().zip([account, source.as_str()]) {
        // Long names would fill the table with what an attacker likes.
        let subject = format!("{kind}:{}", name.chars().take(64).collect::<String>());
        let row = queries::lock_failure(&mut tx, &subject, now).await?;
        let blocked = row.blocked_until.since(now).max(0);
        wait = wait.max(blocked);
        if blocked == 0 {
            let failures = if now.since(row.last_at) < FORGIVEN { row.failures + 1 } else { 1 };
            queries::set_failure(&mut tx, &subject, failures, now, now.plus(pause(failures, free)))
                .await?;
        }
    }
    tx.commit().await?;
    Ok(if wait > 0 { Err(wait) } else { Ok(()) })
}

/// The password was right: the account starts anew, the source is given its try back.
pub(super) async fn succeeded(db: &Db, account: &str, source: &str) -> Result<()> {
    let mut tx = db.write().await?;
    queries::clear_failure(&mut tx, &format!("account:{account}")).await?;
    queries::forgive_failure(&mut tx, &format!("source:{}", one_place(source))).await?;
    tx.commit().await
}

/// What counts as one source: whoever has an IPv6 address has 2^64 of them (RFC 4291 §2.5.4).
fn one_place(source: &str) -> String {
    match source.parse::<Ipv6Addr>() {
        Ok(address) if address.to_ipv4_mapped().is_none() => {
            let network = u128::from(address) >> 64 << 64;
            format!("{}/64", Ipv6Addr::from(network))
        }
        _ => source.to_owned(),
    }
}

/// Seconds to wait after the `failures`-th failure: none while free, then doubling.
fn pause(failures: i64, free: i64) -> i64 {
    match u32::try_from(failures - free) {
        Ok(beyond) => 2_i64.saturating_pow(beyond.min(20)).min(LONGEST),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{one_place, pause};

    #[test]
    fn all_addresses_of_an_ipv6_subnet_are_one_source() {
        for (source, place) in [
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
            ("local", "local"),
        ] {
            assert_eq!(one_place(source), place);
        }
    }

    #[test]
    fn waiting_doubles_once_the_free_tries_are_used() {
        assert_eq!([1, 4, 5, 6, 8, 30].map(|failures| pause(failures, 5)), [0, 0, 1, 2, 8, 900]);
    }
}
