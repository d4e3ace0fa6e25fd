//! Keys over HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Uri, header};
use weft_functions::issuer::JWKS_BYTES_MAX;

use super::remote::{Document, Fetch};
use crate::targets::upstream::Documents;

/// The key set at an address.
pub(super) struct Published {
    pub(super) documents: Arc<Documents>,
    pub(super) uri: Uri,
    /// Whether it may be at a private address.
    pub(super) private: bool,
}

impl Fetch for Published {
    fn fetch(&self) -> BoxFuture<'static, Result<Document, String>> {
        let (documents, uri, private) = (self.documents.clone(), self.uri.clone(), self.private);
        Box::pin(async move {
            let document = documents.get(uri.clone(), private, JWKS_BYTES_MAX).await;
            let document = document.map_err(|error| format!("{uri}: {error}"))?;
            Ok(Document { max_age: max_age(&document.headers), body: document.body })
        })
    }
}

/// `Cache-Control: max-age` (RFC 9111, section 5.2.2.1). One that is said in two ways is said in none.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut ages = values.flat_map(|value| value.split(',')).filter_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| seconds.trim().parse::<u64>().ok())
    });
    match (ages.next(), ages.next()) {
        (Some(seconds), None) => seconds.map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let check = |values: &[&str], expect: Option<u64>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, value.parse().expect("a value"));
            }
            assert_eq!(max_age(&headers), expect.map(Duration::from_secs), "{values:?}");
        };
        check(&[], None);
        check(&["no-store"], None);
        check(&["max-age=90"], Some(90));
        check(&["public, Max-Age=90, must-revalidate"], Some(90));
        check(&["public", "max-age=90"], Some(90));
        check(&["max-age=90, max-age=10"], None);
        check(&["max-age=-1"], None);
        check(&["max-age=99999999999999999999"], None);
        check(&["s-maxage=90"], None);
    }
}
