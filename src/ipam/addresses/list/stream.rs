//! A list from its first line to its last, some lines at a time: each time from where the lines
//! before ended, so that the last of a million cost what the first do.

use std::collections::VecDeque;

use super::{
    Entry, Extent, Filter, Hull, Matching, Meaning, Words, classes, ends, extents, gaps_between,
    meaning, straddling,
};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{Record, Sort};
use crate::ipam::class::{Class, Classes};
use crate::ipam::space::Gap;
use crate::net::Address;

/// The lines of a list in the order of addresses.
pub struct Stream {
    tenant: TenantId,
    filter: Filter,
    meaning: Option<Meaning>,
    extents: VecDeque<Extent>,
    /// Which gaps are wanted; none if only rows are.
    gaps: Option<Classes>,
    at: Option<Place>,
}

/// Where in an extent the next lines begin.
struct Place {
    extent: Extent,
    rows: VecDeque<Record>,
    /// From where the next rows are read; `None` when there are no more.
    rows_from: Option<Address>,
    gaps: VecDeque<Gap>,
    gaps_from: Option<Address>,
}

fn after(address: Address) -> Option<Address> {
    address.number().checked_add(1).map(Address::from_number)
}

impl Stream {
    /// The rows a filter asks for, and with `free` the gaps between them. Whoever asks for what is
    /// available asks for the gaps.
    pub async fn new(tx: &mut Tx, tenant: TenantId, filter: Filter, free: bool) -> Result<Self> {
        let meaning = meaning(&filter.search);
        let extents = extents(tx, tenant, &filter, meaning.as_ref()).await?.into();
        let rows_only = matches!(meaning, Some(Meaning::Words { .. }))
            || filter.reserved_by.is_some()
            || filter.orphaned;
        let gaps = classes(&filter, false).only(Class::is_gap);
        let gaps =
            Some(gaps).filter(|gaps| (free || filter.each()) && !rows_only && !gaps.is_empty());
        Ok(Self { tenant, filter, meaning, extents, gaps, at: None })
    }

    /// The next lines, at most `limit`; none at the end.
    pub async fn next(&mut self, tx: &mut Tx, limit: usize) -> Result<Vec<Entry>> {
        let mut lines = Vec::new();
        while lines.len() < limit {
            let mut place = match self.at.take() {
                Some(place) => place,
                None => match self.extents.pop_front() {
                    Some(extent) => self.begin(tx, extent).await?,
                    None => break,
                },
            };
            self.read(tx, &mut place, limit).await?;
            while lines.len() < limit && !place.wants_more() {
                let Some(line) = place.pop() else { break };
                lines.push(line);
            }
            let over = place.rows.is_empty() && place.gaps.is_empty() && !place.wants_more();
            self.at = (!over).then_some(place);
        }
        Ok(lines)
    }

    async fn begin(&self, tx: &mut Tx, extent: Extent) -> Result<Place> {
        let (first, _) = ends(extent);
        let mut gaps = VecDeque::new();
        if let (Some(range), Some(wanted)) = (extent, self.gaps) {
            // A gap that begins before the range comes first, cut to it.
            let cut =
                straddling(tx, self.tenant, range).await?.into_iter().find(|(_, before)| *before);
            gaps.extend(
                cut.map(|(gap, _)| gap).filter(|gap| wanted.contains(Class::gap(gap.kind))),
            );
        }
        let gaps_from = self.gaps.map(|_| first);
        Ok(Place { extent, rows: VecDeque::new(), rows_from: Some(first), gaps, gaps_from })
    }

    async fn read(&self, tx: &mut Tx, place: &mut Place, limit: usize) -> Result<()> {
        let (_, last) = ends(place.extent);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        if let Some(from) = place.rows_from.filter(|_| place.rows.is_empty()) {
            let words = match &self.meaning {
                Some(Meaning::Words { patterns, begins }) => Some((patterns, *begins)),
                _ => None,
            };
            let pieces = crate::db::Pieces::default();
            let words = words.map(|(patterns, begins)| Words { patterns, begins, pieces: &pieces });
            // All there are is walked over anyway: the index of words would be asked each time.
            let wanted = classes(&self.filter, true);
            let hull = Hull::between(from, last);
            let matching = Matching::of(&self.filter, wanted, &hull, words.as_ref()).common();
            let page = Page { offset: 0, limit: most };
            place.rows = matching.page(tx, self.tenant, Sort::Address, page).await?.into();
            let full = place.rows.back().filter(|_| place.rows.len() == limit);
            place.rows_from = full.and_then(|row| after(row.address)).filter(|next| *next <= last);
        }
        if let (Some(from), Some(wanted)) = (place.gaps_from, self.gaps)
            && place.gaps.is_empty()
        {
            place.gaps = gaps_between(tx, self.tenant, from, last, wanted, most).await?.into();
            let full = place.gaps.back().filter(|_| place.gaps.len() == limit);
            place.gaps_from =
                full.and_then(|gap| after(gap.range.first())).filter(|next| *next <= last);
        }
        Ok(())
    }
}

impl Place {
    /// Whether something must be read before it is known which line comes next.
    fn wants_more(&self) -> bool {
        (self.rows.is_empty() && self.rows_from.is_some())
            || (self.gaps.is_empty() && self.gaps_from.is_some())
    }

    fn pop(&mut self) -> Option<Entry> {
        let row = self.rows.front().map(|row| row.address);
        let gap = self.gaps.front().map(|gap| gap.range.first());
        if gap.is_some_and(|gap| row.is_none_or(|row| gap < row)) {
            let gap = self.gaps.pop_front()?;
            let range = match self.extent {
                Some(extent) => gap.range.intersection(extent)?,
                None => gap.range,
            };
            return Some(Entry::Gap(Gap { range, ..gap }));
        }
        self.rows.pop_front().map(Entry::Row)
    }
}
