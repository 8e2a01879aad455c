/*
 * The TLS settings of the server: "intermediate compatibility", no session
 * tickets, no renegotiation, no RSA key exchange, so that a connection needs
 * exactly one signature.  Runs in a worker before its sandbox; certificates
 * come from holdfast-auth.
 */
#include "config.h"

#include "server/tls.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/err.h"
#include "common/mem.h"
#include "server/err_ssl.h"
#include "server/signer.h"
#include "server/tls_int.h"

#define TLS_CIPHERS                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:" \
	"ECDHE-RSA-AES128-GCM-SHA256:"   \
	"ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-AES256-GCM-SHA384:"   \
	"ECDHE-ECDSA-CHACHA20-POLY1305:" \
	"ECDHE-RSA-CHACHA20-POLY1305"
#define TLS_GROUPS "X25519:P-256:P-384"
/* Those for which server/signer.c knows a scheme. */
#define TLS_SIGALGS                                       \
	"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:" \
	"RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"   \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define TLS_READ_BUFFER (64 * 1024)

static int
tls_ctx_settings(SSL_CTX *ssl, struct err *e)
{
	SSL_CTX_set_options(ssl,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, TLS_READ_BUFFER);
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ssl, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ssl, TLS_CIPHERS) != 1 ||
	    SSL_CTX_set1_groups_list(ssl, TLS_GROUPS) != 1 ||
	    SSL_CTX_set1_sigalgs_list(ssl, TLS_SIGALGS) != 1)
		return err_ssl(e, "cannot set TLS parameters");
	return 0;
}

/* Whether a PEM file simply ended; anything else stays in the queue. */
static int
tls_pem_ended(void)
{
	unsigned long code = ERR_peek_last_error();

	if (ERR_GET_LIB(code) != ERR_LIB_PEM ||
	    ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
		return 0;
	ERR_clear_error();
	return 1;
}

/* The leaf, which must be there, then its issuers. */
static int
tls_ctx_chain(SSL_CTX *ssl, const char *pem, size_t len, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *cert;
	int n = 0, rv = -1;

	if (bio == NULL)
		return err_ssl(e, "cannot read the certificate");
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		/* add0 takes the certificate, use does not. */
		if (n > 0 && SSL_CTX_add0_chain_cert(ssl, cert) == 1) {
			n++;
			continue;
		}
		if (n > 0 || SSL_CTX_use_certificate(ssl, cert) != 1) {
			X509_free(cert);
			err_ssl(e, "cannot use the certificate");
			goto out;
		}
		X509_free(cert);
		n++;
	}
	if (n == 0 || !tls_pem_ended())
		err_ssl(e, "cannot read the certificate");
	else
		rv = 0;
out:
	BIO_free(bio);
	return rv;
}

static int
tls_ctx_client_ca(SSL_CTX *ssl, const char *pem, size_t len, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *cert;
	int ok = bio != NULL, n = 0;

	while (
	    ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), cert) ==
			1 &&
		    SSL_CTX_add_client_CA(ssl, cert) == 1;
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	if (!ok || n == 0 || !tls_pem_ended())
		return err_ssl(e, "cannot read the client authorities");
	SSL_CTX_set_verify(ssl,
	    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

static int
tls_ctx_key(struct tls_ctx *ctx, struct err *e)
{
	EVP_PKEY *pub = X509_get0_pubkey(SSL_CTX_get0_certificate(ctx->ssl));
	EVP_PKEY *key;
	int ok;

	if (pub == NULL)
		return err_ssl(e, "cannot read the certificate's key");
	key = signer_key(ctx->signer, pub, e);
	if (key == NULL)
		return -1;
	ok = SSL_CTX_use_PrivateKey(ctx->ssl, key) == 1;
	EVP_PKEY_free(key);
	return ok ? 0 : err_ssl(e, "cannot use the certificate's key");
}

struct tls_ctx *
tls_ctx_new(const char *chain_pem, size_t chain_len, const char *client_ca_pem,
    size_t client_ca_len, struct signer *signer, struct err *e)
{
	struct tls_ctx *ctx = xcalloc(1, sizeof(*ctx));

	ctx->signer = signer;
	ctx->ssl = SSL_CTX_new(TLS_server_method());
	if (chain_len > INT_MAX || client_ca_len > INT_MAX)
		err_set(e, ERR_LIMIT, "certificates are too long");
	else if (ctx->ssl == NULL)
		err_ssl(e, "cannot make a TLS context");
	else if (tls_ctx_settings(ctx->ssl, e) == 0 &&
	    tls_ctx_chain(ctx->ssl, chain_pem, chain_len, e) == 0 &&
	    tls_ctx_key(ctx, e) == 0 &&
	    (client_ca_len == 0 ||
		tls_ctx_client_ca(ctx->ssl, client_ca_pem, client_ca_len, e) ==
		    0))
		return ctx;
	tls_ctx_free(ctx);
	return NULL;
}

void
tls_ctx_waive_certificates(struct tls_ctx *ctx)
{
	SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
}

void
tls_ctx_free(struct tls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

/* --- warming up ---------------------------------------------------------- */

static X509 *
tls_throwaway_cert(EVP_PKEY *key)
{
	X509 *cert = X509_new();

	if (cert != NULL &&
	    (X509_gmtime_adj(X509_getm_notBefore(cert), 0) == NULL ||
		X509_gmtime_adj(X509_getm_notAfter(cert), 3600) == NULL ||
		X509_set_pubkey(cert, key) != 1 ||
		X509_sign(cert, key, EVP_sha256()) == 0)) {
		X509_free(cert);
		cert = NULL;
	}
	return cert;
}

static int
tls_handshake_in_memory(SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	BIO *a = NULL, *b = NULL;
	int i, done = 0;

	if (server == NULL || client == NULL ||
	    BIO_new_bio_pair(&a, 0, &b, 0) != 1)
		goto out;
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	/* A handshake needs two rounds; more means that it is stuck. */
	for (i = 0; i < 8 && done != 2; i++)
		done = (SSL_do_handshake(client) == 1) +
		    (SSL_do_handshake(server) == 1);
out:
	SSL_free(server);
	SSL_free(client);
	ERR_clear_error();
	return done == 2 ? 0 : -1;
}

/* With a key of its own: the one signature belongs to the client. */
int
tls_ctx_warm_up(struct err *e)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key != NULL ? tls_throwaway_cert(key) : NULL;
	int rv = -1;

	if (server == NULL || client == NULL || cert == NULL ||
	    SSL_CTX_use_certificate(server, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(server, key) != 1)
		err_ssl(e, "cannot prepare a first handshake");
	else if (tls_ctx_settings(server, e) == 0) {
		rv = tls_handshake_in_memory(server, client);
		if (rv == -1)
			err_set(e, ERR_CRYPTO, "the first handshake failed");
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	return rv;
}
