/*
 * The certificate that auth makes for itself when the operator has none: EC
 * P-256, valid for so long that pinned fingerprints stay good.  Runs in auth,
 * once, at the first start.
 */
#include "config.h"

#include "server/auth/tls_identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/err.h"
#include "common/io.h"
#include "common/str.h"
#include "server/err_ssl.h"

#define HOST_MAX 64 /* of a common name */
#define DAY_S (24L * 60 * 60)

/* The host's name, or "localhost" if it cannot stand in a certificate. */
static void
host_name(char dst[HOST_MAX + 1])
{
	size_t i;

	if (gethostname(dst, HOST_MAX) == -1)
		dst[0] = '\0';
	dst[HOST_MAX] = '\0';
	for (i = 0; dst[i] != '\0'; i++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.",
			dst[i]) == NULL)
			break;
	}
	if (i == 0 || dst[i] != '\0')
		strcpy(dst, "localhost");
}

static int
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok ? 0 : -1;
}

static int
set_serial(X509 *cert)
{
	unsigned char bytes[16];
	BIGNUM *n;
	int ok;

	io_random(bytes, sizeof(bytes));
	bytes[0] &= 0x7f;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n != NULL &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok ? 0 : -1;
}

/* Valid from yesterday, since clocks differ. */
static int
fill(X509 *cert, EVP_PKEY *key, const char *host)
{
	X509_NAME *name = X509_get_subject_name(cert);
	char sans[256];

	snprintf(sans, sizeof(sans), "DNS:%s%s,IP:127.0.0.1,IP:::1", host,
	    strcmp(host, "localhost") == 0 ? "" : ",DNS:localhost");
	if (X509_set_version(cert, X509_VERSION_3) != 1 ||
	    set_serial(cert) == -1 ||
	    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(cert), TLS_YEARS * 365, 0,
		NULL) == NULL ||
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
		(const unsigned char *)"Holdfast", -1, -1, 0) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)host, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(cert, name) != 1 ||
	    X509_set_pubkey(cert, key) != 1)
		return -1;
	if (add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") ==
		-1 ||
	    add_extension(cert, NID_key_usage, "critical,digitalSignature") ==
		-1 ||
	    add_extension(cert, NID_ext_key_usage, "serverAuth") == -1 ||
	    add_extension(cert, NID_subject_key_identifier, "hash") == -1 ||
	    add_extension(cert, NID_subject_alt_name, sans) == -1)
		return -1;
	return X509_sign(cert, key, EVP_sha256()) > 0 ? 0 : -1;
}

static int
bio_to_file(BIO *bio, const char *path, mode_t mode, struct err *e)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	if (io_write_file_atomic(AT_FDCWD, path, data, (size_t)len, mode,
		IO_F_FSYNC | IO_F_NOREPLACE, e) == -1)
		return err_wrap(e, "%s", path);
	return 0;
}

static int
write_files(X509 *cert, EVP_PKEY *key, const char *cert_path,
    const char *key_path, struct err *e)
{
	BIO *cert_bio = BIO_new(BIO_s_mem());
	BIO *key_bio = BIO_new(BIO_s_secmem());
	int rv = -1;

	if (cert_bio == NULL || key_bio == NULL ||
	    PEM_write_bio_X509(cert_bio, cert) != 1 ||
	    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) !=
		1)
		err_ssl(e, "cannot encode the certificate");
	else if (bio_to_file(key_bio, key_path, 0600, e) == 0)
		rv = bio_to_file(cert_bio, cert_path, 0644, e);
	BIO_free(key_bio);
	BIO_free(cert_bio);
	return rv;
}

/* A key without its certificate is what a crash between the two files leaves:
 * nobody has seen it, so both are made anew. */
static int
files_wanted(const char *cert_path, const char *key_path)
{
	if (access(cert_path, F_OK) == 0)
		return 0;
	unlink(key_path);
	return 1;
}

int
tls_identity_make_files(const char *cert_path, const char *key_path,
    struct err *e)
{
	char host[HOST_MAX + 1];
	EVP_PKEY *key;
	X509 *cert;
	int rv = -1;

	if (!files_wanted(cert_path, key_path))
		return 0;
	host_name(host);
	key = EVP_EC_gen("P-256");
	cert = X509_new();
	if (key == NULL || cert == NULL || fill(cert, key, host) == -1)
		err_ssl(e, "cannot make a certificate");
	else
		rv = write_files(cert, key, cert_path, key_path, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	return rv;
}
