#include "config.h"

#include "tls_peer.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "server/signer.h"
#include "server/tls.h"

#define PEER_WAIT_MS 20000

static EVP_PKEY *test_key;
static X509 *test_cert;
static struct signer *test_signer;

struct tls_peer {
	struct event_base *base;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	char *text;
	size_t len;
	int closed;
};

static const char *
scheme_md(uint16_t scheme)
{
	static const struct {
		uint16_t scheme;
		const char *md;
	} rows[] = {
	    {0x0403, "SHA256"},
	    {0x0503, "SHA384"},
	    {0x0603, "SHA512"},
	    {0x0401, "SHA256"},
	    {0x0501, "SHA384"},
	    {0x0601, "SHA512"},
	    {0x0804, "SHA256"},
	    {0x0805, "SHA384"},
	    {0x0806, "SHA512"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].scheme == scheme)
			return rows[i].md;
	}
	return NULL;
}

/* What auth does, with the key at hand. */
static int
test_sign(void *arg, uint16_t scheme, const uint8_t *tbs, size_t tbs_len,
    uint8_t *sig, size_t *len_out, struct err *e)
{
	struct tls_test *t = arg;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	t->signatures++;
	t->scheme = scheme;
	if (t->refuse) {
		EVP_MD_CTX_free(ctx);
		return err_set(e, ERR_PERM, "no second signature");
	}
	cr_assert_eq(EVP_DigestSignInit_ex(ctx, &pctx, scheme_md(scheme), NULL,
			 NULL, test_key, NULL),
	    1);
	if (scheme >= 0x0804 && scheme <= 0x0806) {
		EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
	}
	*len_out = SIGNER_SIGNATURE_MAX;
	cr_assert_eq(EVP_DigestSign(ctx, sig, len_out, tbs, tbs_len), 1);
	EVP_MD_CTX_free(ctx);
	return 0;
}

void
tls_test_init(struct tls_test *t, const char *type)
{
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	struct err e = {0};
	char *pem;
	long len;

	t->signatures = 0;
	t->refuse = 0;
	test_key = strcmp(type, "EC") == 0 ? EVP_EC_gen("P-256")
	    : strcmp(type, "RSA") == 0     ? EVP_RSA_gen(2048)
				       : EVP_PKEY_Q_keygen(NULL, NULL, type);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, test_key);
	cr_assert(X509_sign(cert, test_key,
		      strcmp(type, "ED25519") == 0 ? NULL : EVP_sha256()) > 0);
	cr_assert_eq(PEM_write_bio_X509(bio, cert), 1);
	len = BIO_get_mem_data(bio, &pem);
	test_signer = signer_new(test_sign, t, &e);
	cr_assert_not_null(test_signer, "%s", e.msg);
	t->ctx = tls_ctx_new(pem, (size_t)len, pem,
	    t->client_ca ? (size_t)len : 0, test_signer, &e);
	cr_assert_not_null(t->ctx, "%s", e.msg);
	BIO_free(bio);
	test_cert = cert;
}

void
tls_test_fini(struct tls_test *t)
{
	tls_ctx_free(t->ctx);
	signer_free(test_signer);
	EVP_PKEY_free(test_key);
	X509_free(test_cert);
}

struct tls_peer *
tls_peer_new(struct event_base *base, int max_version, int *server_fd_out)
{
	struct tls_peer *p = xcalloc(1, sizeof(*p));
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
	    0);
	cr_assert_eq(io_set_nonblock(fds[0], NULL), 0);
	p->base = base;
	p->fd = fds[0];
	p->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(p->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (max_version == 12)
		SSL_CTX_set_max_proto_version(p->ctx, TLS1_2_VERSION);
	p->ssl = SSL_new(p->ctx);
	SSL_set_fd(p->ssl, p->fd);
	SSL_set_connect_state(p->ssl);
	*server_fd_out = fds[1];
	return p;
}

void
tls_peer_free(struct tls_peer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	close(p->fd);
	free(p->text);
	free(p);
}

void
tls_peer_use_cert(struct tls_peer *p)
{
	cr_assert_eq(SSL_use_certificate(p->ssl, test_cert), 1);
	cr_assert_eq(SSL_use_PrivateKey(p->ssl, test_key), 1);
}

static void
peer_receive(struct tls_peer *p)
{
	char buf[16384];
	size_t n;
	int r;

	/* SSL_read() would make the handshake by itself. */
	if (p->closed || !SSL_is_init_finished(p->ssl))
		return;
	while ((r = SSL_read_ex(p->ssl, buf, sizeof(buf), &n)) == 1) {
		p->text = xreallocarray(p->text, p->len + n + 1, 1);
		memcpy(p->text + p->len, buf, n);
		p->len += n;
		p->text[p->len] = '\0';
	}
	if (SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_READ)
		p->closed = 1;
}

static void
peer_turn(struct tls_peer *p)
{
	struct timeval tv = {0, 2000};

	event_base_loopexit(p->base, &tv);
	event_base_loop(p->base, EVLOOP_ONCE);
}

int
tls_peer_handshake(struct tls_peer *p)
{
	uint64_t end = io_monotonic_ms() + PEER_WAIT_MS;
	int r;

	while ((r = SSL_do_handshake(p->ssl)) != 1) {
		if (SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_READ ||
		    io_monotonic_ms() > end)
			return -1;
		peer_turn(p);
	}
	return 0;
}

void
tls_peer_send(struct tls_peer *p, const void *data, size_t len)
{
	const char *s = data;
	size_t n;
	int r;

	while (len > 0) {
		r = SSL_write_ex(p->ssl, s, len, &n);
		if (r == 1) {
			s += n;
			len -= n;
		} else if (SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_WRITE)
			return; /* the server did not want all of it */
		else
			peer_turn(p);
	}
}

const char *
tls_peer_text(struct tls_peer *p)
{
	return p->text != NULL ? p->text : "";
}

size_t
tls_peer_len(const struct tls_peer *p)
{
	return p->len;
}

static int
peer_wait(struct tls_peer *p, const char *needle, const int *flag)
{
	uint64_t end = io_monotonic_ms() + PEER_WAIT_MS;

	for (;;) {
		peer_turn(p);
		peer_receive(p);
		if (needle != NULL && strstr(tls_peer_text(p), needle) != NULL)
			return 1;
		if (flag != NULL && *flag)
			return 1;
		if (needle == NULL && flag == NULL && p->closed)
			return 1;
		if ((p->closed && flag == NULL) || io_monotonic_ms() > end)
			return 0;
	}
}

int
tls_peer_wait(struct tls_peer *p, const char *needle)
{
	return peer_wait(p, needle, NULL);
}

int
tls_peer_wait_closed(struct tls_peer *p)
{
	return peer_wait(p, NULL, NULL);
}

int
tls_peer_wait_flag(struct tls_peer *p, const int *flag)
{
	return peer_wait(p, NULL, flag);
}

int
tls_peer_fd(const struct tls_peer *p)
{
	return p->fd;
}
