//! TLS for https probes. A process of the app's own tree may have any certificate; others need a valid one.

use std::io;
use std::sync::{Arc, LazyLock};

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::{TlsConnector, rustls};

use super::address::Peer;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
/// For the app's own processes.
static OWN: LazyLock<Result<Arc<ClientConfig>, Error>> = LazyLock::new(|| {
    let verifier = Arc::new(AnyCertificate);
    Ok(Arc::new(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
});
/// For all others: the authorities that this machine trusts, read once.
static ELSEWHERE: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();

/// Shakes hands over a connection to `host`.
pub(super) async fn shake_hands(stream: TcpStream, peer: Peer, host: &str) -> Result<TlsStream<TcpStream>, String> {
    let config = match peer {
        Peer::Own => OWN.as_ref().map(Arc::clone).map_err(ToString::to_string)?,
        Peer::Other => Arc::clone(ELSEWHERE.get_or_try_init(trusted).await?),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| words(&error))
}

async fn trusted() -> Result<Arc<ClientConfig>, String> {
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    };
    let roots = tokio::task::spawn_blocking(load).await.map_err(|_| "the daemon is shutting down".to_owned())?;
    if roots.is_empty() {
        // Not remembered: somebody may install some.
        return Err("this machine trusts no certificate authority: install `ca-certificates`".to_owned());
    }
    let builder = builder().map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(Arc::clone(&PROVIDER)).with_safe_default_protocol_versions()
}

/// What went wrong, as a user would say it. The handshake hides its own errors in those of the stream.
fn words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => "the answer is not TLS".to_owned(),
        Some(Error::InvalidCertificate(why)) => format!("the certificate is not trusted: {why}"),
        Some(error) => format!("TLS: {error}"),
        None => super::address::words(error),
    }
}

/// Takes any certificate, but only from whoever has its key.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// Shakes hands with a server whose certificate nobody signed.
    async fn meet(peer: Peer) -> Result<(), String> {
        let pem = include_bytes!("../../tests/e2e/support/fixtures/localhost.pem");
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(server.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.read_u8().await;
        });
        shake_hands(stream, peer, "localhost").await.map(drop)
    }

    #[tokio::test]
    async fn only_the_apps_own_process_may_show_any_certificate() {
        assert_eq!(meet(Peer::Own).await, Ok(()));
        let error = meet(Peer::Other).await.unwrap_err();
        assert!(error.starts_with("the certificate is not trusted"), "{error}");
    }
}
