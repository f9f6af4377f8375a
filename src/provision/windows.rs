//! What people decide about enrolment: windows, phones that wait, and the subnets for both.

use std::fmt;
use std::str::FromStr;

use serde_json::json;

use super::Provisioner;
use super::queries;
use super::queries::pages::{self, Place};
use crate::audit::{Change, Event};
use crate::id::SubnetId;
use crate::net::Mac;
use crate::time::Timestamp;
use crate::web::Error;

/// How long a window stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// A phone is being plugged in.
    Quarter,
    /// A handful are.
    Hour,
    /// They are on their way.
    Day,
}

/// Not a length offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose 15m, 1h or 24h")]
pub(super) struct BadLength;

impl Length {
    pub(super) const ALL: [Self; 3] = [Self::Quarter, Self::Hour, Self::Day];

    fn seconds(self) -> i64 {
        match self {
            Self::Quarter => 900,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The word in a form.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    /// What stands on its button.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Quarter => "15 minutes",
            Self::Hour => "1 hour",
            Self::Day => "24 hours",
        }
    }
}

impl FromStr for Length {
    type Err = BadLength;

    fn from_str(text: &str) -> Result<Self, BadLength> {
        Self::ALL.into_iter().find(|length| length.as_str() == text).ok_or(BadLength)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Opens a phone's window; until when. `None`: there is no such phone.
pub(super) async fn open(
    change: &mut Change,
    mac: Mac,
    length: Length,
) -> Result<Option<Timestamp>, Error> {
    let until = change.at().plus(length.seconds());
    if !queries::set_window(change, mac, Some(until)).await? {
        return Ok(None);
    }
    let event = Event::new("enrolment.opened", &mac, &mac.hex());
    change.record(event.after(json!({ "until": until.to_string() })));
    Ok(Some(until))
}

impl Provisioner {
    /// Opens a phone's window and forgives it what it asked in vain until now, so that it need not
    /// wait. `None`: there is no such phone.
    pub(super) async fn open_window(
        &self,
        mut change: Change,
        mac: Mac,
        length: Length,
    ) -> Result<Option<Timestamp>, Error> {
        let Some(until) = open(&mut change, mac, length).await? else { return Ok(None) };
        let seen = pages::asked_from(change.tx(), mac).await?;
        change.commit().await?;
        for address in seen {
            self.forgive(address);
        }
        Ok(Some(until))
    }
}

/// Closes a phone's window; whether there is such a phone.
pub(super) async fn close(change: &mut Change, mac: Mac) -> Result<bool, Error> {
    if !queries::set_window(change, mac, None).await? {
        return Ok(false);
    }
    change.record(Event::new("enrolment.closed", &mac, &mac.hex()));
    Ok(true)
}

/// Takes a phone nobody has added off the list, until it asks again; whether it was on it.
pub(super) async fn dismiss(change: &mut Change, mac: Mac) -> Result<bool, Error> {
    let gone = pages::dismiss(change, mac).await?;
    if gone {
        change.record(Event::new("enrolment.dismissed", &mac, &mac.hex()));
    }
    Ok(gone)
}

/// Lets phones enrol in exactly these of the tenant's subnets.
pub(super) async fn choose(change: &mut Change, wanted: &[SubnetId]) -> Result<(), Error> {
    let tenant = change.tenant();
    let places = pages::places(change.tx(), tenant).await?;
    let names = |chosen: &dyn Fn(&Place) -> bool| {
        let names = places.iter().filter(|place| chosen(place)).map(|place| place.cidr.to_string());
        json!({ "subnets": names.collect::<Vec<_>>().join(", ") })
    };
    let (before, after) =
        (names(&|place| place.chosen), names(&|place| wanted.contains(&place.id)));
    for place in &places {
        let now = wanted.contains(&place.id);
        if now != place.chosen {
            pages::choose(change, place.id, now).await?;
        }
    }
    if before != after {
        let event = Event::new("enrolment.subnets", &"subnets phones enrol in", &tenant);
        change.record(event.before(before).after(after));
    }
    Ok(())
}
