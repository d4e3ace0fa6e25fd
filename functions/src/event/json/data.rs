//! How data stands in JSON: as a JSON value, as a string, or as base64 (JSON format, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::{depth, string};
use crate::event::EventError;

/// Nesting of data that is embedded as JSON. With the event around it and the batch around that it stays within what
/// we accept ourselves; deeper data goes as base64.
const EMBEDDED_DEPTH: usize = 120;

/// How the bytes of an event go into JSON so that [`from_json`] or [`from_base64`] gives the same bytes back.
pub(super) enum Form<'a> {
    /// The bytes are the text of a JSON value, as it stands.
    Json(&'a str),
    /// The bytes are text.
    Text(&'a str),
    /// Anything else, and JSON with space around it, which embedding would lose.
    Base64(String),
}

impl<'a> Form<'a> {
    pub(super) fn of(data: &'a [u8], media_type: Option<&str>) -> Self {
        let fallback = || Form::Base64(STANDARD.encode(data));
        let Ok(text) = str::from_utf8(data) else { return fallback() };
        match media_type {
            Some(media_type) if is_utf8_text(media_type) => Form::Text(text),
            // The member `data` without a type would say that it is JSON, which nobody did.
            None => fallback(),
            Some(media_type) if !is_json(media_type) => fallback(),
            _ if depth(data) > EMBEDDED_DEPTH => fallback(),
            _ => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) if value.get().len() == text.len() => Form::Json(text),
                _ => fallback(),
            },
        }
    }
}

/// The bytes of the member `data`. Without a media type the data is JSON, as the decoder then says.
pub(super) fn from_json(value: &RawValue, media_type: Option<&str>, body: &Bytes) -> Result<Option<Bytes>, EventError> {
    let raw = value.get();
    if media_type.is_none_or(is_json) {
        return Ok(Some(body.slice_ref(raw.as_bytes())));
    }
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text = string(raw, body).map_err(|_| EventError::invalid("`data` has a lone surrogate"))?;
            Ok(Some(text.into_bytes()))
        }
        Some(b'n') => Ok(None),
        // The specification leaves a JSON value under another media type open; its text is all that was said.
        _ => Ok(Some(body.slice_ref(raw.as_bytes()))),
    }
}

/// The bytes of the member `data_base64`; `null` is no data.
pub(super) fn from_base64(value: &RawValue) -> Result<Option<Bytes>, EventError> {
    if value.get() == "null" {
        return Ok(None);
    }
    let text: String = serde_json::from_str(value.get())
        .map_err(|_| EventError::invalid("`data_base64` must be a string of base64 (RFC 4648)"))?;
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| EventError::invalid(format!("`data_base64` is not base64 (RFC 4648, section 4): {error}")))?;
    Ok(Some(bytes.into()))
}

/// `…/json` and `…/…+json`, without regard to case and parameters.
fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// Text for people, and XML, when it says that it is UTF-8 or says nothing.
fn is_utf8_text(media_type: &str) -> bool {
    let essence = essence(media_type);
    let text = essence.starts_with("text/") || essence == "application/xml" || essence.ends_with("+xml");
    let lower = media_type.to_ascii_lowercase();
    let charset = lower.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let utf8 = charset.is_none_or(|charset| matches!(charset.trim().trim_matches('"'), "utf-8" | "us-ascii"));
    text && utf8 && !is_json(media_type)
}

fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
