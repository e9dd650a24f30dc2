//! Pages of a listing (<https://google.aip.dev/158>).

use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use leasehold_tenant::{PageRequest, RegistryError};

use crate::ServiceError;

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paging {
    /// How many at most: 0 means 50, more than 1000 means 1000.
    pub size: usize,
    /// The token of the page before; empty for the first page.
    pub token: String,
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// What is on the page, in order of id.
    pub items: Vec<T>,
    /// Where the next page begins; empty if this was the last.
    pub next_token: String,
}

impl Paging {
    /// What 0 means.
    pub const DEFAULT_SIZE: usize = 50;

    /// How many items the page may have.
    #[must_use]
    pub fn limit(&self) -> usize {
        match self.size {
            0 => Self::DEFAULT_SIZE,
            size => size.min(PageRequest::MAX_SIZE),
        }
    }

    /// The id after which the page begins.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<T>, ServiceError> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let invalid = || ServiceError::invalid("page_token", "must be one that a listing returned");
        let bytes = BASE64URL_NOPAD.decode(self.token.as_bytes()).map_err(|_| invalid())?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        text.parse().map(Some).map_err(|_| invalid())
    }
}

impl<T> Listing<T> {
    /// The first `limit` of `items`, which has one more if there are more.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> &str) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        // The token names the last item that the caller was shown, and so tells nothing that the page did not.
        let last = items.last().filter(|_| more);
        let next_token = last.map_or_else(String::new, |item| BASE64URL_NOPAD.encode(id(item).as_bytes()));
        Self { items, next_token }
    }
}

/// Logs which records of a page cannot be read. One bad record takes nothing from the others: they are listed and planned for
/// without it.
pub(crate) fn report(bad: &[RegistryError]) {
    for error in bad {
        tracing::warn!(error = error as &dyn std::error::Error, "a tenant is left out of a listing");
    }
}

#[cfg(test)]
mod tests {
    use leasehold_ids::TenantId;

    use super::*;

    #[test]
    fn page_sizes_follow_the_documented_defaults() {
        for (size, limit) in [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (usize::MAX, 1000)] {
            assert_eq!(Paging { size, ..Paging::default() }.limit(), limit);
        }
    }

    #[test]
    fn a_token_leads_to_where_its_page_ended() {
        let page = Listing::cut(vec!["a", "b", "c"], 2, |id| id);
        assert_eq!(page.items, ["a", "b"]);
        let next = Paging { size: 2, token: page.next_token };
        assert_eq!(next.after::<TenantId>().unwrap().unwrap().as_str(), "b");
        assert_eq!(Listing::cut(vec!["c"], 2, |id| id).next_token, "");
        assert_eq!(Listing::cut(vec!["c", "d"], 2, |id| id).next_token, "");
    }

    #[test]
    fn other_peoples_tokens_are_refused() {
        for bad in ["!", "YQ==", "_w", &BASE64URL_NOPAD.encode(b"Not-an-id"), "YQYQYQY"] {
            let paging = Paging { size: 0, token: bad.to_owned() };
            let result = paging.after::<TenantId>();
            assert!(
                matches!(result, Err(ServiceError::InvalidArgument { field: "page_token", .. })),
                "{bad}"
            );
        }
    }
}
