//! Seeded defects, for builds that must fail the suite (`WEFT_DEFECTS=1` at build time, see build.rs); `WEFT_DEFECT` says
//! at run time which. Each stands as one branch where a mistake of that kind would be made; what more it needs is here.

use http::Request;
use http::request::Parts;
use weft_runtime::Body;

/// Whether this process has the defect.
pub fn is(defect: &str) -> bool {
    std::env::var("WEFT_DEFECT").as_deref() == Ok(defect)
}

/// The path as the client wrote it.
#[derive(Clone)]
struct RawPath(String);

/// Keeps the path of a head that is about to be made canonical.
pub fn keep_raw_path(head: &mut Parts) {
    head.extensions.insert(RawPath(head.uri.path().to_owned()));
}

/// D15: what policy judges by the raw path while the canonical one is routed and forwarded.
pub fn judged_path(request: &Request<Body>) -> &str {
    let raw = request.extensions().get::<RawPath>().filter(|_| is("D15"));
    raw.map_or(request.uri().path(), |RawPath(path)| path)
}
