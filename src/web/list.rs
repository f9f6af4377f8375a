//! Lists: which page of how many, and links that keep everything else in the URL.

use super::Error;
use crate::audit::Page;
use crate::text::{ByName, grouped};

/// Page sizes a list offers; the first is the default.
pub const SIZES: [i64; 4] = [25, 50, 100, 200];

/// Where in a list one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    /// The page shown, from 1.
    pub page: i64,
    /// Rows a page.
    pub size: i64,
    /// Rows in all.
    pub total: i64,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    /// The order it is in, and every order there is.
    order: &'static str,
    orders: Vec<&'static str>,
}

/// The size asked for if it is one of [`SIZES`], else the default.
pub fn size(asked: &str) -> i64 {
    let asked = asked.parse().unwrap_or(0);
    SIZES.into_iter().find(|size| *size == asked).unwrap_or(25)
}

/// The stretch of rows that page `asked` (from 1; anything else is 1) of `size` rows shows.
pub fn stretch(asked: &str, size: i64) -> Page {
    let page = asked.parse::<i64>().unwrap_or(1).clamp(1, i64::MAX / size.max(1));
    Page { offset: (page - 1) * size, limit: size }
}

/// The order called `asked`; no word means the default.
pub fn order<O: ByName>(asked: &str) -> Result<O, Error> {
    O::asked(asked).ok_or(Error::BadRequest("there is no such order; sort by a column's heading"))
}

/// `path` if it is the list at `list` as somebody filtered it, else `list`: where a form that was
/// reached from a list leads back to.
pub fn back<'p>(path: &'p str, list: &'p str) -> &'p str {
    let ours = path.strip_prefix(list).is_some_and(|query| query.starts_with('?'));
    if ours && path.bytes().all(|byte| byte.is_ascii_graphic()) { path } else { list }
}

impl Pager {
    /// A list at `path` whose other parameters are `query`; empty ones are left out.
    pub fn new(
        path: &'static str,
        query: Vec<(&'static str, String)>,
        at: Page,
        total: i64,
    ) -> Self {
        let query = query.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let (order, orders) = ("", Vec::new());
        Self { page: at.offset / at.limit + 1, size: at.limit, total, path, query, order, orders }
    }

    /// The list in this order, which its links keep unless it is the default.
    #[must_use]
    pub fn in_order<O: ByName>(mut self, order: O) -> Self {
        self.order = order.name();
        self.orders = O::ALL.iter().map(|(_, name)| *name).collect();
        if order != O::default() {
            self.query.push(("sort", self.order.to_owned()));
        }
        self
    }

    /// How many pages there are; an empty list has one.
    pub fn pages(&self) -> i64 {
        (self.total / self.size + i64::from(self.total % self.size > 0)).max(1)
    }

    /// The first row shown, from 1; 0 when there is none.
    pub fn first(&self) -> i64 {
        if self.total == 0 { 0 } else { ((self.page - 1) * self.size + 1).min(self.total) }
    }

    /// The last row shown.
    pub fn last(&self) -> i64 {
        (self.page * self.size).min(self.total)
    }

    /// Which rows of how many are shown, for people.
    pub fn place(&self) -> String {
        let [first, last, total] = [self.first(), self.last(), self.total].map(|n| grouped(&n));
        format!("{first}-{last} of {total}")
    }

    /// The link to the first page.
    pub fn first_page(&self) -> String {
        self.link(1)
    }

    /// The link to the page before this one.
    pub fn previous_page(&self) -> String {
        self.link(self.page - 1)
    }

    /// The link to the page after this one.
    pub fn next_page(&self) -> String {
        self.link(self.page + 1)
    }

    /// The link to the last page.
    pub fn last_page(&self) -> String {
        self.link(self.pages())
    }

    /// The address of the list as it is shown, for a browser that was given only part of the page.
    pub fn here(&self) -> String {
        self.link(self.page)
    }

    fn link(&self, page: i64) -> String {
        self.with(&[("size", self.size.to_string()), ("page", page.to_string())])
    }

    /// The link to the first page with `size` rows.
    pub fn sized(&self, size: &i64) -> String {
        self.with(&[("size", size.to_string())])
    }

    /// The link on a column's heading: that order, or if it is in that order the other way round.
    pub fn sorted(&self, column: &str) -> String {
        let down = format!("-{column}");
        let turn = self.order == column && self.orders.iter().any(|order| *order == down);
        let sort = if turn { down } else { column.to_owned() };
        let mut pager = self.clone();
        pager.query.retain(|(name, _)| *name != "sort");
        pager.with(&[("sort", sort), ("size", self.size.to_string())])
    }

    /// The value of `aria-sort` for a column.
    pub fn order(&self, column: &str) -> &'static str {
        match self.order.strip_prefix('-') {
            Some(name) if name == column => "descending",
            None if self.order == column => "ascending",
            _ => "none",
        }
    }

    /// The query string of the list as it is filtered and sorted, for exports.
    pub fn filters(&self) -> String {
        serde_html_form::to_string(&self.query).unwrap_or_default()
    }

    fn with(&self, more: &[(&'static str, String)]) -> String {
        let defaults = [("size", "25"), ("page", "1")];
        let kept = more
            .iter()
            .filter(|(name, value)| !defaults.contains(&(*name, value.as_str())))
            .cloned();
        let all: Vec<_> = self.query.iter().cloned().chain(kept).collect();
        let query = serde_html_form::to_string(&all).unwrap_or_default();
        if query.is_empty() { self.path.to_owned() } else { format!("{}?{query}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_size_is_25() {
        assert_eq!(
            [size("50"), size("7"), size(""), size("-1"), size("200")],
            [50, 25, 25, 25, 200]
        );
    }

    #[test]
    fn links_keep_the_rest_of_the_url_and_leave_out_defaults() {
        let query = vec![("q", "a b".to_owned()), ("sort", String::new())];
        let pager = Pager::new("/users", query, stretch("3", 50), 412);
        assert_eq!(pager.link(4), "/users?q=a+b&size=50&page=4");
        assert_eq!(pager.link(1), "/users?q=a+b&size=50");
        assert_eq!(pager.sized(&25), "/users?q=a+b");
        assert_eq!(pager.here(), "/users?q=a+b&size=50&page=3");
        assert_eq!((pager.pages(), pager.first(), pager.last()), (9, 101, 150));
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    enum Sort {
        #[default]
        Name,
        NameDown,
        Age,
    }

    impl ByName for Sort {
        const ALL: &'static [(Self, &'static str)] =
            &[(Self::Name, "name"), (Self::NameDown, "-name"), (Self::Age, "age")];
    }

    #[test]
    fn a_heading_sorts_by_its_column_and_then_the_other_way_round_if_there_is_one() {
        let pager = |sort: &str| {
            let query = vec![("q", "x".to_owned())];
            Pager::new("/users", query, stretch("2", 25), 99).in_order(order::<Sort>(sort).unwrap())
        };
        let links = |sort: &str| ["name", "age"].map(|column| pager(sort).sorted(column));
        assert_eq!(links(""), ["/users?q=x&sort=-name", "/users?q=x&sort=age"]);
        assert_eq!(links("-name"), ["/users?q=x&sort=name", "/users?q=x&sort=age"]);
        assert_eq!(links("age"), ["/users?q=x&sort=name", "/users?q=x&sort=age"]);
        let said = |sort: &str| ["name", "age"].map(|column| pager(sort).order(column));
        assert_eq!(said(""), ["ascending", "none"]);
        assert_eq!(said("-name"), ["descending", "none"]);
        assert_eq!(pager("").here(), "/users?q=x&page=2", "the default goes without saying");
        assert_eq!(pager("age").here(), "/users?q=x&sort=age&page=2");
        assert!(order::<Sort>("-age").is_err());
    }

    #[test]
    fn only_the_list_itself_is_gone_back_to() {
        assert_eq!(back("/users?q=a+b&page=2", "/users"), "/users?q=a+b&page=2");
        for other in [
            "",
            "/users",
            "/users/x",
            "/users/x?y",
            "/phones?x",
            "//evil.example",
            "/users?q=\r\nx",
            "/users?q=é",
        ] {
            assert_eq!(back(other, "/users"), "/users", "{other:?}");
        }
    }
}
