//! Documents that the node itself needs from outside, such as an issuer's keys. Apart from calls, since nobody's permit
//! stands behind them: an address that an operator wrote into a resource is asked, under the same rules about addresses as
//! everybody's calls, and what comes back is small or nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use weft_runtime::empty;

use super::lookup::SystemLookup;
use super::reach::{Allowed, CheckedResolver};
use super::{HttpClient, client};

/// The client for documents.
pub struct Documents {
    public: HttpClient,
    anywhere: HttpClient,
}

/// A document as it came.
#[derive(Debug)]
pub struct Document {
    /// The answer's headers.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
}

impl Documents {
    /// A client that trusts the system's certificate authorities.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new() -> std::io::Result<Self> {
        let lookup = Arc::new(SystemLookup::default());
        let client = |allowed| client(CheckedResolver::new(allowed, lookup.clone()));
        Ok(Self { public: client(Allowed::Public)?, anywhere: client(Allowed::Anything)? })
    }

    /// Gets the document at `uri`, which has at most `limit` bytes, from an address that is public or, if `private`, from
    /// any. Follows no redirect: that would be another address, which nobody wrote down. Takes as long as it takes.
    ///
    /// # Errors
    /// A sentence about why there is none.
    pub async fn get(&self, uri: Uri, private: bool, limit: usize) -> Result<Document, String> {
        let (client, allowed) =
            if private { (&self.anywhere, Allowed::Anything) } else { (&self.public, Allowed::Public) };
        allowed.check_literal(uri.host().unwrap_or_default()).map_err(|error| error.to_string())?;
        let mut request = http::Request::new(empty());
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let (head, body) = client.request(request).await.map_err(|error| chain(&error))?.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("the answer is {}", head.status));
        }
        let body = Limited::new(body, limit).collect().await.map_err(|error| chain(&*error))?;
        Ok(Document { headers: head.headers, body: body.to_bytes() })
    }
}

/// An error with all its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server on loopback that answers every connection with these bytes.
    async fn serving(answer: String) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        format!("http://{address}/jwks").parse().expect("an address")
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
    }

    async fn get(uri: Uri, private: bool) -> Result<Document, String> {
        let documents = Documents::new().expect("a client");
        let got = tokio::time::timeout(Duration::from_secs(20), documents.get(uri, private, 1_000)).await;
        got.expect("an answer in time")
    }

    #[tokio::test]
    async fn what_is_small_and_there_is_got() {
        let uri = serving(answer("200 OK", "cache-control: max-age=60\r\n", &"x".repeat(1_000))).await;
        let document = get(uri, true).await.expect("a document");
        assert_eq!(
            (document.body.len(), &document.headers["cache-control"]),
            (1_000, &HeaderValue::from_static("max-age=60"))
        );
    }

    #[tokio::test]
    async fn what_is_large_moved_or_broken_is_not() {
        let elsewhere = serving(answer("200 OK", "", "{}")).await;
        for (answer, expect) in [
            (answer("200 OK", "", &"x".repeat(1_001)), "length limit"),
            (
                format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
                    "10\r\n0123456789abcdef\r\n".repeat(100)
                ),
                "length limit",
            ),
            (answer("302 Found", &format!("location: {elsewhere}\r\n"), ""), "302"),
            (answer("307 Temporary Redirect", "location: http://169.254.169.254/\r\n", ""), "307"),
            (answer("404 Not Found", "", "{}"), "404"),
            (answer("500 Internal Server Error", "", "{}"), "500"),
            (answer("204 No Content", "", ""), "204"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_owned(), ""),
            ("not HTTP".to_owned(), ""),
        ] {
            let error = get(serving(answer.clone()).await, true).await.err().unwrap_or_else(|| panic!("{answer:.60}"));
            assert!(error.contains(expect), "{answer:.60}: {error}");
        }
    }

    #[tokio::test]
    async fn private_addresses_are_asked_only_where_that_is_allowed() {
        let uri = serving(answer("200 OK", "", "{}")).await;
        let port = uri.port_u16().expect("a port");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let uri: Uri = format!("http://{host}:{port}/jwks").parse().expect("an address");
            let error = get(uri.clone(), false).await.expect_err("refused");
            assert!(error.contains("no address that may be reached"), "{uri}: {error}");
            assert!(get(uri, true).await.is_ok());
        }
        for uri in ["http://169.254.169.254/latest", "https://10.0.0.1/jwks", "https://[fd00:ec2::254]/jwks"] {
            let error = get(uri.parse().expect("an address"), false).await.expect_err("refused");
            assert!(error.contains("no address that may be reached"), "{uri}: {error}");
        }
    }
}
