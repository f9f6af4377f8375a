//! Where there is room for another subnet.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use crate::auth::{Operator, Right};
use crate::ipam::subnets::{self, Subnet};
use crate::net::Cidr;
use crate::web::form::Field;
use crate::web::{Answer, Shell, invalid, ok};

/// Suggestions at most.
const SUGGESTIONS: usize = 10;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FindQuery {
    within: Field,
    length: Field,
}

#[derive(Template)]
#[template(path = "ipam/subnets/find.html")]
struct FindPage {
    shell: Shell,
    query: FindQuery,
    /// What was asked for, and what there is.
    found: Option<(Cidr, u8, Vec<Cidr>)>,
    /// The smallest subnet around the block.
    around: Option<Subnet>,
    may_manage: bool,
}

/// A prefix length as typed: `26` or `/26`.
struct Length(u8);

impl std::str::FromStr for Length {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let digits = text.strip_prefix('/').unwrap_or(text);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let length = digits.parse().ok().filter(|length| plain && *length <= 128);
        length.map(Self).ok_or("write a prefix length, such as 26")
    }
}

pub(super) async fn find(by: Operator, query: web::Query<FindQuery>) -> Answer {
    let mut query = query.into_inner();
    let mut tx = by.read().await?;
    let asked = !(query.within.value.is_empty() && query.length.value.is_empty());
    let mut found = None;
    if asked {
        let (within, length) = (query.within.parse::<Cidr>(), query.length.parse::<Length>());
        if let (Some(within), Some(Length(length))) = (within, length) {
            if length < within.length() || length > within.family().bits() {
                let (least, most) = (within.length(), within.family().bits());
                query
                    .length
                    .reject(&format!("use a number from {least} to {most} inside {within}"));
            } else {
                let blocks =
                    subnets::free_blocks(&mut tx, by.tenant(), within, length, SUGGESTIONS).await?;
                found = Some((within, length, blocks));
            }
        }
    }
    let around = match &found {
        Some((within, ..)) => subnets::around(&mut tx, by.tenant(), within.network()).await?,
        None => None,
    };
    let wrong = query.within.error.is_some() || query.length.error.is_some();
    let shell = by.shell(&mut tx, super::PATH).await?;
    let may_manage = by.may(Right::ManageAddresses);
    let page = FindPage { shell, query, found, around, may_manage };
    if wrong { invalid(&page) } else { ok(&page) }
}
