//! What a caller shows of itself, and whom it trusts: the words `--cert`, `--key`, `--bundle` and `--token`, read once.
//! Separate because the admin API and the data plane are reached with the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::cli::failure::{reason, wrong};

/// Words that every client command takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct ProofArgs {
    /// Your certificate, in PEM; with --key
    #[arg(long, global = true, value_name = "FILE")]
    pub(in crate::cli) cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// The authorities to trust, in PEM (default: what the node's admin API names, else the system's)
    #[arg(long, global = true, value_name = "FILE")]
    pub(in crate::cli) bundle: Option<PathBuf>,
    /// Your token, or @FILE
    #[arg(long, global = true, value_name = "TOKEN|@FILE")]
    pub(in crate::cli) token: Option<String>,
}

/// What they came to.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Proof {
    pair: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    roots: Option<Vec<CertificateDer<'static>>>,
    authorization: Option<HeaderValue>,
}

impl Proof {
    /// Reads the files.
    ///
    /// # Errors
    /// One half of a pair is missing, or a file is not what it should be: exit 2.
    pub(in crate::cli) fn read(args: &ProofArgs) -> anyhow::Result<Self> {
        let pair = match (&args.cert, &args.key) {
            (Some(cert), Some(key)) => {
                let read = PrivateKeyDer::from_pem_slice(&read(key)?);
                let key = read.map_err(|_| wrong(format!("{} holds no private key in PEM", key.display())))?;
                Some((certificates(cert)?, Arc::new(key)))
            }
            (None, None) => None,
            _ => return Err(wrong("--cert and --key go together: give both")),
        };
        let roots = args.bundle.as_deref().map(certificates).transpose()?;
        let authorization = args.token.as_deref().map(authorization).transpose()?;
        Ok(Self { pair, roots, authorization })
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.pair.is_some()
    }

    /// The header that carries the token.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// TLS settings; `bundle` is what the node says that its clients trust, and counts where nothing was typed.
    pub(super) fn tls(&self, bundle: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let said = match bundle.map(|bundle| CertificateDer::pem_slice_iter(bundle.as_bytes()).collect()) {
            Some(Ok(roots)) => Some(roots),
            Some(Err(_)) => return Err("the node names authorities that cannot be read; give --bundle".to_owned()),
            None => None,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        let builder = match self.roots.clone().or(said) {
            Some(roots) => {
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(root).map_err(|error| format!("an authority cannot be used: {error}"))?;
                }
                builder.with_root_certificates(store)
            }
            None => builder.with_native_roots().map_err(|error| format!("{error}; give --bundle"))?,
        };
        let config = match &self.pair {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| format!("the certificate and its key cannot be used: {error}"))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(wrong(format!("{} holds no certificate in PEM", path.display()))),
    }
}

fn authorization(token: &str) -> anyhow::Result<HeaderValue> {
    let text = match token.strip_prefix('@') {
        Some(path) => String::from_utf8_lossy(&read(Path::new(path))?).into_owned(),
        None => token.to_owned(),
    };
    let value = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut value = value.map_err(|_| wrong("--token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| wrong(format!("cannot read {}: {}", path.display(), reason(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_said_before_anybody_is_asked() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "hello").unwrap();
        let check = |args: ProofArgs, expect: &str| {
            let error = Proof::read(&args).unwrap_err();
            assert_eq!(crate::cli::failure::exit_code(&error), 2);
            assert!(error.to_string().contains(expect), "{error}");
        };
        let none = ProofArgs::default;
        check(ProofArgs { cert: Some(file.clone()), ..none() }, "--cert and --key go together");
        check(ProofArgs { cert: Some(file.clone()), key: Some(file.clone()), ..none() }, "no private key");
        check(ProofArgs { bundle: Some(file.clone()), ..none() }, "holds no certificate");
        check(ProofArgs { bundle: Some("/no/such".into()), ..none() }, "cannot read /no/such");
        check(ProofArgs { token: Some("a\nb".into()), ..none() }, "characters that no token has");
        let args = ProofArgs { token: Some(format!("@{}", file.display())), ..none() };
        assert_eq!(Proof::read(&args).unwrap().authorization().unwrap(), "Bearer hello");
    }
}
