/*
 * The server's TLS identity.  Runs in auth, the only process that holds the
 * private key; the files are its own or the operator's.
 */
#include "config.h"

#include "server/auth/tls_identity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "server/auth/tls_message.h"
#include "server/err_ssl.h"

#define TLS_KEY_FILE_MAX 65536

struct tls_identity {
	unsigned int refs;
	EVP_PKEY *key;
	enum tls_key_type type;
	X509 *leaf;
	char *chain;
	size_t chain_len;
	char *client_ca;
	size_t client_ca_len;
};

static int
pem_read(const char *path, size_t max, char **out, size_t *len_out,
    struct err *e)
{
	if (io_read_file(AT_FDCWD, path, max, out, len_out, e) == -1)
		return err_wrap(e, "%s", path);
	return 0;
}

static int
leaf_parse(struct tls_identity *id, const char *path, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(id->chain, (int)id->chain_len);

	if (bio != NULL)
		id->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (id->leaf == NULL)
		return err_ssl(e, "%s: no certificate", path);
	return 0;
}

/* An encrypted key is an error, not a question on the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static int
key_parse(struct tls_identity *id, const char *path, struct err *e)
{
	static const struct {
		int nid;
		enum tls_key_type type;
	} types[] = {
	    {EVP_PKEY_EC, TLS_KEY_EC},
	    {EVP_PKEY_RSA, TLS_KEY_RSA},
	    {EVP_PKEY_ED25519, TLS_KEY_ED25519},
	};
	char *pem = NULL;
	size_t i, len;
	BIO *bio;

	if (pem_read(path, TLS_KEY_FILE_MAX, &pem, &len, e) == -1)
		return -1;
	bio = BIO_new_mem_buf(pem, (int)len);
	if (bio != NULL)
		id->key =
		    PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	mem_wipe_free(pem, len);
	if (id->key == NULL)
		return err_ssl(e, "%s: no private key that can be read", path);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (EVP_PKEY_get_base_id(id->key) == types[i].nid)
			id->type = types[i].type;
	}
	if (id->type == 0)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: the key is neither EC, RSA nor Ed25519", path);
	return 0;
}

struct tls_identity *
tls_identity_load(const struct tls_files *f, struct err *e)
{
	struct tls_identity *id = xcalloc(1, sizeof(*id));

	id->refs = 1;
	if (pem_read(f->certificate, TLS_CHAIN_MAX, &id->chain, &id->chain_len,
		e) == -1 ||
	    leaf_parse(id, f->certificate, e) == -1 ||
	    key_parse(id, f->key, e) == -1 ||
	    (f->client_ca[0] != '\0' &&
		pem_read(f->client_ca, TLS_CHAIN_MAX, &id->client_ca,
		    &id->client_ca_len, e) == -1)) {
		tls_identity_unref(&id);
		return NULL;
	}
	if (X509_check_private_key(id->leaf, id->key) != 1) {
		err_ssl(e, "%s is not the key of %s", f->key, f->certificate);
		tls_identity_unref(&id);
		return NULL;
	}
	return id;
}

struct tls_identity *
tls_identity_ref(struct tls_identity *id)
{
	id->refs++;
	return id;
}

void
tls_identity_unref(struct tls_identity **idp)
{
	struct tls_identity *id = *idp;

	*idp = NULL;
	if (id == NULL || --id->refs > 0)
		return;
	EVP_PKEY_free(id->key);
	X509_free(id->leaf);
	free(id->chain);
	free(id->client_ca);
	free(id);
}

const char *
tls_identity_chain(const struct tls_identity *id, size_t *len_out)
{
	*len_out = id->chain_len;
	return id->chain;
}

const char *
tls_identity_client_ca(const struct tls_identity *id, size_t *len_out)
{
	*len_out = id->client_ca_len;
	return id->client_ca;
}

static int
sign_with(EVP_MD_CTX *ctx, const struct tls_identity *id,
    const struct tls_scheme *s, const uint8_t *message, size_t len,
    uint8_t *sig, size_t *len_out)
{
	EVP_PKEY_CTX *pctx; /* ctx's */

	*len_out = TLS_SIGNATURE_MAX;
	if (EVP_DigestSignInit_ex(ctx, &pctx, s->md, NULL, NULL, id->key,
		NULL) != 1)
		return -1;
	if (s->pss &&
	    (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1 ||
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
		    RSA_PSS_SALTLEN_DIGEST) != 1))
		return -1;
	return EVP_DigestSign(ctx, sig, len_out, message, len) == 1 ? 0 : -1;
}

int
tls_identity_sign(const struct tls_identity *id, uint16_t scheme,
    const uint8_t *message, size_t len, uint8_t sig[TLS_SIGNATURE_MAX],
    size_t *len_out, struct err *e)
{
	const struct tls_scheme *s = tls_message_check(scheme, message, len, e);
	EVP_MD_CTX *ctx;
	int rv;

	if (s == NULL)
		return -1;
	if (s->key != id->type)
		return err_set(e, ERR_INVALID,
		    "signature scheme 0x%04x does not fit the key", scheme);
	ctx = EVP_MD_CTX_new();
	rv = ctx == NULL ? -1
			 : sign_with(ctx, id, s, message, len, sig, len_out);
	EVP_MD_CTX_free(ctx);
	return rv == 0 ? 0 : err_ssl(e, "cannot sign");
}

/* --- description --------------------------------------------------------- */

static void
describe_name(struct json *obj, const char *key, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (bio == NULL)
		return;
	X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	BIO_write(bio, "", 1);
	len = BIO_get_mem_data(bio, &text);
	if (len > 0)
		json_set_str(obj, key, text);
	BIO_free(bio);
}

static void
describe_time(struct json *obj, const char *key, const ASN1_TIME *t)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) == 1)
		json_set_i64(obj, key, (int64_t)timegm(&tm));
}

struct json *
tls_identity_describe(const struct tls_identity *id)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct json *obj = json_new_object();
	unsigned int i, len = 0;
	struct sbuf text;

	sbuf_init(&text, 128);
	if (X509_digest(id->leaf, EVP_sha256(), digest, &len) == 1) {
		for (i = 0; i < len; i++)
			sbuf_add_fmt(&text, "%s%02x", i > 0 ? ":" : "",
			    digest[i]);
		json_set_str(obj, "fingerprint", sbuf_str(&text));
	}
	sbuf_fini(&text);
	describe_name(obj, "subject", X509_get_subject_name(id->leaf));
	describe_name(obj, "issuer", X509_get_issuer_name(id->leaf));
	describe_time(obj, "not-before", X509_get0_notBefore(id->leaf));
	describe_time(obj, "not-after", X509_get0_notAfter(id->leaf));
	json_set_str(obj, "key",
	    id->type == TLS_KEY_EC        ? "EC"
		: id->type == TLS_KEY_RSA ? "RSA"
					  : "Ed25519");
	json_set_u64(obj, "key-bits", (uint64_t)EVP_PKEY_get_bits(id->key));
	return obj;
}
