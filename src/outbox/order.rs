//! What can be ordered.

use serde::{Deserialize, Serialize};

use super::types::{Subject, System};
use crate::outside::Leased;
use crate::outside::kea::{Identifier, Reservation};
use crate::outside::netbox::Record;
use crate::outside::radius::Session;

/// Something to be said to a system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// To the server that holds a session. Each is sent, in order.
    Radius(RadiusOrder),
    /// To Kea. The newest about an address counts.
    Dhcp(DhcpOrder),
    /// To NetBox. The newest about an address or a prefix counts.
    Netbox(NetboxOrder),
}

/// What a session's server is to do (RFC 5176).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadiusOrder {
    /// What.
    pub action: RadiusAction,
    /// To which session.
    pub session: Session,
    /// What the session has.
    pub leased: Leased,
}

/// What is to become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RadiusAction {
    /// It has this address now.
    Activate,
    /// It comes under the filter for those suspended, or ends, as the settings say.
    Suspend,
    /// It comes under the usual filter again.
    Restore,
    /// It ends.
    Disconnect,
}

/// What a DHCP server is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DhcpOrder {
    /// A reservation.
    Reserve(Reservation),
    /// Nothing: no reservation, and no lease of the machine that had it.
    Release {
        /// Of what.
        leased: Leased,
    },
}

/// What NetBox is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetboxOrder {
    /// This.
    Set(Record),
    /// Nothing.
    Remove {
        /// Of what.
        leased: Leased,
    },
}

impl Order {
    /// Whose it is to do.
    pub fn system(&self) -> System {
        match self {
            Self::Radius(_) => System::Radius,
            Self::Dhcp(_) => System::Dhcp,
            Self::Netbox(_) => System::Netbox,
        }
    }

    /// What it is about.
    pub fn leased(&self) -> Leased {
        match self {
            Self::Radius(order) => order.leased,
            Self::Dhcp(DhcpOrder::Reserve(reservation)) => reservation.leased,
            Self::Netbox(NetboxOrder::Set(record)) => record.leased,
            Self::Dhcp(DhcpOrder::Release { leased })
            | Self::Netbox(NetboxOrder::Remove { leased }) => *leased,
        }
    }

    /// Whether something is to be there afterwards.
    pub fn stands(&self) -> bool {
        matches!(self, Self::Dhcp(DhcpOrder::Reserve(_)) | Self::Netbox(NetboxOrder::Set(_)))
    }

    /// The same under another name: the holder's in a sentence, and the machine's if it has one of
    /// its own.
    pub(super) fn renamed(&self, holder: &str, hostname: Option<&str>) -> Self {
        let mut new = self.clone();
        let machine = match &mut new {
            Self::Netbox(NetboxOrder::Set(record)) => {
                holder.clone_into(&mut record.description);
                &mut record.dns_name
            }
            Self::Dhcp(DhcpOrder::Reserve(reservation)) => &mut reservation.hostname,
            _ => return new,
        };
        if let Some(hostname) = hostname {
            hostname.clone_into(machine);
        }
        new
    }

    /// The machine it is for.
    pub(super) fn identifier(&self) -> Option<&Identifier> {
        match self {
            Self::Dhcp(DhcpOrder::Reserve(reservation)) => Some(&reservation.identifier),
            _ => None,
        }
    }

    /// The server it names, if it is for RADIUS.
    pub(super) fn nas(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::Radius(order) => order.session.nas,
            _ => None,
        }
    }

    /// What must be done one after the other.
    pub(super) fn line(&self, subject: &Subject) -> String {
        match self {
            Self::Radius(_) => subject.to_string(),
            Self::Dhcp(_) | Self::Netbox(_) => self.leased().to_string(),
        }
    }

    /// What a person calls it.
    pub(super) fn label(&self) -> String {
        let leased = self.leased();
        match self {
            Self::Radius(order) => {
                let who = match (&order.session.user_name, &order.session.acct_session_id) {
                    (Some(name), _) => format!(" of {name}"),
                    (None, Some(session)) => format!(" of session {session}"),
                    (None, None) => String::new(),
                };
                match order.action {
                    RadiusAction::Activate => format!("activate {leased}{who}"),
                    RadiusAction::Suspend => format!("suspend {leased}{who}"),
                    RadiusAction::Restore => format!("restore {leased}{who}"),
                    RadiusAction::Disconnect => format!("disconnect {leased}{who}"),
                }
            }
            Self::Dhcp(DhcpOrder::Reserve(reservation)) => {
                let machine = reservation.identifier.to_string();
                let machine = machine.split_once(':').map_or(machine.as_str(), |(_, value)| value);
                format!("reserve {leased} for {machine}")
            }
            Self::Dhcp(DhcpOrder::Release { .. }) => format!("release {leased}"),
            Self::Netbox(NetboxOrder::Set(record)) => {
                format!("{leased} is {}", record.status.as_str())
            }
            Self::Netbox(NetboxOrder::Remove { .. }) => format!("remove {leased}"),
        }
    }
}

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payload {
    pub order: Order,
    /// For DHCP: the machines that may have the reservation. Empty when nothing is known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub had: Vec<Identifier>,
}

/// Text that no longer is what was stored.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::netbox::RecordStatus;

    #[test]
    fn orders_come_back_from_what_is_stored() {
        let leased: Leased = "10.0.0.5".parse().unwrap();
        let session = Session { user_name: Some("ann".into()), ..Session::default() };
        for (order, label) in [
            (
                Order::Radius(RadiusOrder { action: RadiusAction::Suspend, session, leased }),
                "suspend 10.0.0.5 of ann",
            ),
            (
                Order::Dhcp(DhcpOrder::Reserve(Reservation {
                    leased,
                    identifier: "mac:00:15:65:aa:bb:cc".parse().unwrap(),
                    hostname: "lobby".into(),
                })),
                "reserve 10.0.0.5 for 00:15:65:aa:bb:cc",
            ),
            (Order::Dhcp(DhcpOrder::Release { leased }), "release 10.0.0.5"),
            (
                Order::Netbox(NetboxOrder::Set(Record::new(leased, RecordStatus::Active))),
                "10.0.0.5 is active",
            ),
            (Order::Netbox(NetboxOrder::Remove { leased }), "remove 10.0.0.5"),
        ] {
            assert_eq!(order.label(), label);
            let had = order.identifier().cloned().into_iter().collect();
            let payload = Payload { order, had };
            let text = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), payload);
        }
    }
}
