//! One structured line per call, with the same fields whatever the verb. Written when the record ends, so that bytes and
//! duration are those of the whole answer. Lines go through `tracing` under the target `weft::access`.

use crate::path::record::Line;

/// Writes the line, if anybody listens.
pub fn write(line: &Line<'_>) {
    let failure = line.outcome.failure.as_ref();
    // A refusal is always worth a line: it is how an operator learns why.
    match failure {
        Some(failure) => tracing::info!(
            target: "weft::refused",
            decision = %line.decision,
            verb = line.labels.verb.as_str(),
            namespace = &*line.labels.namespace,
            target = &*line.labels.target,
            principal = line.principal,
            method = line.method.as_str(),
            path = line.path,
            status = line.outcome.status.as_u16(),
            code = line.outcome.code(),
            verdict = line.outcome.verdict().as_str(),
            why = &*failure.log,
            duration_us = line.duration.as_micros() as u64,
        ),
        None => tracing::info!(
            target: "weft::access",
            decision = %line.decision,
            verb = line.labels.verb.as_str(),
            namespace = &*line.labels.namespace,
            target = &*line.labels.target,
            principal = line.principal,
            method = line.method.as_str(),
            path = line.path,
            status = line.outcome.status.as_u16(),
            code = line.outcome.code(),
            verdict = line.outcome.verdict().as_str(),
            end = line.end.as_str(),
            bytes = line.bytes,
            duration_us = line.duration.as_micros() as u64,
        ),
    }
}
