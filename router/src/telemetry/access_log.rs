//! One structured line per call, with the same fields whatever the verb. Written when the record ends, so that bytes and
//! duration are those of the whole answer. Lines go through `tracing`: under the target `weft::access`, and under
//! `weft::refused`, which is always on, when the mesh itself ended the call: it is how an operator learns why.

use crate::path::record::Line;

/// One set of fields for both targets; `tracing` wants a target that is known when it is compiled.
macro_rules! write_line {
    ($target:literal, $line:expr, $why:expr) => {
        tracing::info!(
            target: $target,
            decision = %$line.decision,
            verb = $line.labels.verb.as_str(),
            namespace = $line.labels.namespace(),
            target = $line.labels.target(),
            asked = %$line.asked.target,
            principal = $line.asked.caller.principal.as_str(),
            origin = $line.asked.caller.origin.as_str(),
            via = $line.asked.caller.via.as_ref().map(|via| via.as_str()),
            how = $line.asked.caller.how.as_str(),
            method = $line.asked.method.as_str(),
            path = $line.asked.uri.path(),
            status = $line.outcome.status.as_u16(),
            code = $line.outcome.code(),
            verdict = $line.outcome.verdict().as_str(),
            why = $why,
            end = $line.end.as_str(),
            bytes = $line.bytes,
            duration_us = $line.duration.as_micros() as u64,
        )
    };
}

/// Writes the line, if anybody listens. A call that AUDIT rules match has a line of its own, under `weft::audit`, which is
/// always on too.
pub fn write(line: &Line<'_>) {
    for rule in &line.labels.audited {
        tracing::info!(
            target: "weft::audit",
            decision = %line.decision,
            verb = line.labels.verb.as_str(),
            namespace = line.labels.namespace(),
            target = line.labels.target(),
            principal = line.asked.caller.principal.as_str(),
            origin = line.asked.caller.origin.as_str(),
            verdict = line.outcome.verdict().as_str(),
            policy = &*rule.policy,
            rule = rule.rule,
        );
    }
    match &line.outcome.failure {
        Some(failure) => write_line!("weft::refused", line, Some(&*failure.log)),
        None => write_line!("weft::access", line, None::<&str>),
    }
}
