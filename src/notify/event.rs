//! What each maker's phones understand.

use super::Kind;
use crate::phones::Vendor;

/// Why a Poly phone is not told to restart.
const NEVER: &str = "a Poly phone that is told something restarts only if its setting \"Told of a new file, it\" is \"restarts\": choose that and let it fetch its files first, or restart it by hand";

/// The `Event` of the NOTIFY that makes a phone of this maker do it, or why there is none.
/// `restarts` is what its setting says of being told of a new file.
///
/// `check-sync` is what nearly all listen to; `reboot` after it is Snom's, Yealink's and Fanvil's,
/// and those that do not know it restart when a file changed. Poly's know `check-sync` alone: their
/// file says whether they restart then. Cisco's former Sipura line has events of its own.
pub fn event(vendor: Vendor, kind: Kind, restarts: bool) -> Result<&'static str, &'static str> {
    let restart = restarts || kind == Kind::Reboot;
    match vendor {
        Vendor::Polycom if kind == Kind::Reboot && !restarts => Err(NEVER),
        Vendor::Polycom => Ok("check-sync"),
        Vendor::Cisco if restart => Ok("reboot_now"),
        Vendor::Cisco => Ok("resync"),
        _ if restart => Ok("check-sync;reboot=true"),
        _ => Ok("check-sync;reboot=false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_make_is_told_in_its_own_words_and_restarts_if_its_setting_says_so() {
        use Kind::{Reboot, Resync};
        for (vendor, kind, restarts, expected) in [
            (Vendor::Yealink, Resync, false, Some("check-sync;reboot=false")),
            (Vendor::Yealink, Resync, true, Some("check-sync;reboot=true")),
            (Vendor::Snom, Reboot, false, Some("check-sync;reboot=true")),
            (Vendor::Cisco, Resync, false, Some("resync")),
            (Vendor::Cisco, Resync, true, Some("reboot_now")),
            (Vendor::Cisco, Reboot, false, Some("reboot_now")),
            (Vendor::Polycom, Resync, false, Some("check-sync")),
            (Vendor::Polycom, Resync, true, Some("check-sync")),
            (Vendor::Polycom, Reboot, true, Some("check-sync")),
            (Vendor::Polycom, Reboot, false, None),
        ] {
            assert_eq!(event(vendor, kind, restarts).ok(), expected, "{vendor} {kind} {restarts}");
        }
    }
}
