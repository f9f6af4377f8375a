//! What each maker's phones understand.

use super::Kind;
use crate::phones::Vendor;

/// The `Event` of the NOTIFY that makes a phone of this maker do it.
///
/// `check-sync` is what nearly all listen to; `reboot` after it is Snom's, Yealink's and Fanvil's,
/// and those that do not know it restart when a file changed. Cisco's former Sipura line has events
/// of its own.
pub fn event(vendor: Vendor, kind: Kind) -> &'static str {
    match (vendor, kind) {
        (Vendor::Cisco, Kind::Resync) => "resync",
        (Vendor::Cisco, Kind::Reboot) => "reboot_now",
        (_, Kind::Resync) => "check-sync;reboot=false",
        (_, Kind::Reboot) => "check-sync;reboot=true",
    }
}
