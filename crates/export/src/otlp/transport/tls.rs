//! Certificates from files and from the system.

use super::super::config::Destination;
use super::super::exporter::StartError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| wrong(path, error))
}

fn wrong(path: &Path, reason: impl ToString) -> StartError {
    StartError::Certificate { path: path.to_owned(), reason: reason.to_string() }
}

/// Of a file of certificates, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let all = all.map_err(|error| wrong(path, error))?;
    if all.is_empty() { Err(wrong(path, "it has no PEM certificate")) } else { Ok(all) }
}

/// Of whom the receiver's certificate must be, and the own one.
pub(super) fn client(to: &Destination) -> Result<ClientConfig, StartError> {
    let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Tls(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    match &to.certificate {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| wrong(path, error))?;
            }
        }
        // Without any, the first connection fails and says so.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = builder.with_root_certificates(roots);
    match &to.client_identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| wrong(key, error))?;
            builder.with_client_auth_cert(certificates(chain)?, secret).map_err(|error| wrong(key, error))
        }
    }
}
