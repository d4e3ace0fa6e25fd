//! Where a function's outgoing call goes, pure: the call is made canonical by the rules of the edge, then it stays in the
//! mesh by a name below `weft.internal`, or leaves it if the function lists the host.

#[cfg(test)]
mod tests;

use http::request::Parts;
use http::uri::Scheme;
use weft_functions::function::AllowHost;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::call::{HOPS_MAX, Outside, Reach, Target};
use super::canonical::{Canonical, canonicalise_outgoing, check_names};
use super::outcome::{Failure, Reason};
use super::routes::{self, Names, Routed};

/// The function that makes a call.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// How names become targets.
    pub names: &'a Names,
    /// The function.
    pub function: &'a Namespaced,
    /// The hosts outside that it lists.
    pub allow_hosts: &'a [AllowHost],
    /// How many calls and events lie before the call.
    pub hops: u8,
}

impl Sender<'_> {
    /// Makes the head canonical, and says what it is aimed at. The same spellings are refused as at the edge: a policy
    /// about paths binds functions too, and a host has one spelling only.
    pub fn route(&self, head: &mut Parts) -> Routed {
        let canonical = match canonicalise_outgoing(head) {
            Ok(canonical) => canonical,
            Err(why) => {
                let host = head.uri.host().unwrap_or_default().to_ascii_lowercase();
                let verb = if routes::is_within(&host) { Verb::Request } else { Verb::Egress };
                return Routed { verb, target: Target::Nowhere(why.into()) };
            }
        };
        let scheme = head.uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        canonical.write_to(head, scheme.clone());
        match self.names.within(&canonical.host, canonical.path()) {
            Some(routed) => self.within(routed, head),
            None => Routed { verb: Verb::Egress, target: Target::Outside(self.outside(canonical, &scheme)) },
        }
    }

    fn within(&self, routed: Routed, head: &Parts) -> Routed {
        if let Err(why) = check_names(&head.headers) {
            return Routed { target: Target::Nowhere(why.into()), ..routed };
        }
        if self.hops <= HOPS_MAX {
            return routed;
        }
        let reason = if routed.verb == Verb::Publish { Reason::EventLoop } else { Reason::CallCycle };
        let log = format!("{} would be hop {} of at most {HOPS_MAX}", routed.target, self.hops);
        Routed { target: Target::Nowhere(Failure::hidden(reason, log)), ..routed }
    }

    /// A host outside must stand on the function's own list; whether policy allows it too is asked on the path.
    fn outside(&self, canonical: Canonical, scheme: &Scheme) -> Outside {
        let port = canonical.port.unwrap_or(if *scheme == Scheme::HTTPS { 443 } else { 80 });
        let host = canonical.host;
        let address = Outside::address(&host);
        let listed = self.allow_hosts.iter().any(|entry| match address {
            Some(address) => entry.allows_address(address, port),
            None => entry.allows_name(&host, port),
        });
        let reach = match (listed, address) {
            (true, Some(address)) => Ok(Reach::Listed(address)),
            (true, None) => Ok(Reach::Public),
            (false, _) => {
                let log = format!("{host}:{port} is not in allowHosts of function {}", self.function);
                Err(Failure::hidden(Reason::EgressDenied, log))
            }
        };
        Outside { host, port, owner_kind: Kind::Function, owner: self.function.clone(), reach }
    }
}
