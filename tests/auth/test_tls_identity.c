/* The server's certificate and key, and what the key signs. */
#include "config.h"

#include <criterion/criterion.h>

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/err.h"
#include "common/json.h"
#include "server/auth/tls_identity.h"
#include "server/auth/tls_message.h"
#include "tests/auth/scratch.h"

#define TLS13_LEN (64 + 34 + 32)

static char dir[SCRATCH_MAX];
static char cert_path[SCRATCH_MAX + 16], key_path[SCRATCH_MAX + 16];
static uint8_t tls13[TLS13_LEN];
static uint8_t tls12[64 + 4 + 32] = {[64] = 3, 0, 29, 32};
static struct err e;

static void
setup(void)
{
	scratch_make(dir);
	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
	memset(tls13, ' ', 64);
	memcpy(tls13 + 64, "TLS 1.3, server CertificateVerify", 34);
}

static void
teardown(void)
{
	scratch_remove(dir);
}

TestSuite(tls_identity, .init = setup, .fini = teardown);

static struct tls_identity *
load(void)
{
	struct tls_files files = {cert_path, key_path, ""};

	return tls_identity_load(&files, &e);
}

static struct tls_identity *
make_and_load(void)
{
	struct tls_identity *id;

	cr_assert_eq(tls_identity_make_files(cert_path, key_path, &e), 0, "%s",
	    e.msg);
	id = load();
	cr_assert_not_null(id, "%s", e.msg);
	return id;
}

static X509 *
leaf(const struct tls_identity *id)
{
	size_t len;
	const char *pem = tls_identity_chain(id, &len);
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	cr_assert_not_null(cert);
	return cert;
}

/* Writes a key of this kind with a certificate for it. */
static void
write_pair(EVP_PKEY *key, const char *cert_file, const char *key_file)
{
	X509 *cert = X509_new();
	FILE *f;

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	cr_assert_gt(X509_sign(cert, key,
			 EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519
			     ? NULL
			     : EVP_sha256()),
	    0);
	f = fopen(cert_file, "w");
	PEM_write_X509(f, cert);
	fclose(f);
	f = fopen(key_file, "w");
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(cert);
}

/* Signs with the scheme and checks the signature with the certificate. */
static int
signs(const struct tls_identity *id, uint16_t scheme, const char *md, int pss,
    const uint8_t *message, size_t len)
{
	uint8_t sig[TLS_SIGNATURE_MAX];
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *pctx;
	X509 *cert;
	size_t sig_len;
	int ok;

	if (tls_identity_sign(id, scheme, message, len, sig, &sig_len, &e) ==
	    -1)
		return 0;
	cert = leaf(id);
	ctx = EVP_MD_CTX_new();
	cr_assert_eq(EVP_DigestVerifyInit_ex(ctx, &pctx, md, NULL, NULL,
			 X509_get0_pubkey(cert), NULL),
	    1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
	}
	ok = EVP_DigestVerify(ctx, sig, sig_len, message, len) == 1;
	cr_expect(ok, "scheme 0x%04x: signature does not fit", scheme);
	EVP_MD_CTX_free(ctx);
	X509_free(cert);
	return ok;
}

Test(tls_identity, own_certificate_is_for_this_host_and_for_years)
{
	struct tls_identity *id = make_and_load();
	X509 *cert = leaf(id);
	char host[256];
	int days, secs;
	struct stat st;

	gethostname(host, sizeof(host));
	host[255] = '\0';
	cr_expect_eq(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
	cr_expect_eq(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
	cr_expect_eq(X509_check_ip_asc(cert, "::1", 0), 1);
	cr_expect_eq(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
	cr_assert_eq(ASN1_TIME_diff(&days, &secs, NULL,
			 X509_get0_notAfter(cert)),
	    1);
	cr_expect_gt(days, 3652);
	cr_expect_eq(X509_cmp_current_time(X509_get0_notBefore(cert)), -1);
	cr_expect_eq(EVP_PKEY_get_base_id(X509_get0_pubkey(cert)), EVP_PKEY_EC);
	cr_expect_eq(X509_verify(cert, X509_get0_pubkey(cert)), 1);
	cr_assert_eq(stat(key_path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	X509_free(cert);
	tls_identity_unref(&id);
	cr_expect_null(id);
}

Test(tls_identity, is_made_once)
{
	struct tls_identity *one = make_and_load(), *two = make_and_load();
	size_t one_len, two_len;
	const char *a = tls_identity_chain(one, &one_len);
	const char *b = tls_identity_chain(two, &two_len);

	cr_assert_eq(one_len, two_len);
	cr_expect_arr_eq(a, b, one_len);
	tls_identity_unref(&one);
	tls_identity_unref(&two);
}

/* What a crash between the two files leaves. */
Test(tls_identity, key_without_certificate_is_made_anew)
{
	struct tls_identity *id = make_and_load();

	tls_identity_unref(&id);
	unlink(cert_path);
	id = make_and_load();
	tls_identity_unref(&id);
}

Test(tls_identity, signs_handshakes_with_ec)
{
	struct tls_identity *id = make_and_load();

	cr_expect(signs(id, 0x0403, "SHA256", 0, tls13, sizeof(tls13)), "%s",
	    e.msg);
	cr_expect(signs(id, 0x0403, "SHA256", 0, tls12, sizeof(tls12)), "%s",
	    e.msg);
	cr_expect(signs(id, 0x0503, "SHA384", 0, tls12, sizeof(tls12)));
	cr_expect(signs(id, 0x0603, "SHA512", 0, tls12, sizeof(tls12)));
	cr_expect_not(signs(id, 0x0804, "SHA256", 1, tls13, sizeof(tls13)));
	cr_expect_eq(e.code, ERR_INVALID);
	cr_expect_not(signs(id, 0x0401, "SHA256", 0, tls12, sizeof(tls12)));
	cr_expect_not(signs(id, 0x0807, NULL, 0, tls13, sizeof(tls13)));
	tls_identity_unref(&id);
}

Test(tls_identity, signs_handshakes_with_rsa)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	struct tls_identity *id;

	write_pair(key, cert_path, key_path);
	id = load();
	cr_assert_not_null(id, "%s", e.msg);
	cr_expect(signs(id, 0x0804, "SHA256", 1, tls13, sizeof(tls13)));
	cr_expect(signs(id, 0x0805, "SHA384", 1, tls13, sizeof(tls13)));
	cr_expect(signs(id, 0x0806, "SHA512", 1, tls12, sizeof(tls12)));
	cr_expect(signs(id, 0x0401, "SHA256", 0, tls12, sizeof(tls12)));
	cr_expect_not(signs(id, 0x0401, "SHA256", 0, tls13, sizeof(tls13)),
	    "PKCS#1 is not for TLS 1.3");
	cr_expect_not(signs(id, 0x0403, "SHA256", 0, tls13, sizeof(tls13)));
	tls_identity_unref(&id);
	EVP_PKEY_free(key);
}

Test(tls_identity, signs_handshakes_with_ed25519)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct tls_identity *id;

	write_pair(key, cert_path, key_path);
	id = load();
	cr_assert_not_null(id, "%s", e.msg);
	cr_expect(signs(id, 0x0807, NULL, 0, tls13, sizeof(tls13)), "%s",
	    e.msg);
	tls_identity_unref(&id);
	EVP_PKEY_free(key);
}

Test(tls_identity, bad_files_are_errors)
{
	char other_cert[SCRATCH_MAX + 16], other_key[SCRATCH_MAX + 16];
	struct tls_files crossed = {cert_path, other_key, ""};
	struct tls_files no_ca = {cert_path, key_path, "/nonexistent"};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct tls_identity *id = make_and_load();

	tls_identity_unref(&id);
	snprintf(other_cert, sizeof(other_cert), "%s/c2.pem", dir);
	snprintf(other_key, sizeof(other_key), "%s/k2.pem", dir);
	write_pair(key, other_cert, other_key);
	EVP_PKEY_free(key);
	cr_expect_null(tls_identity_load(&crossed, &e));
	cr_expect_not_null(strstr(e.msg, "is not the key of"), "%s", e.msg);
	cr_expect_null(tls_identity_load(&no_ca, &e));
	cr_expect_eq(truncate(key_path, 40), 0);
	cr_expect_null(load());
	cr_expect_eq(truncate(cert_path, 40), 0);
	cr_expect_null(load());
	unlink(cert_path);
	cr_expect_null(load());
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

Test(tls_identity, describes_itself)
{
	struct tls_identity *id = make_and_load();
	struct json *j = tls_identity_describe(id);
	const char *print = json_get_str(j, "fingerprint", &e);

	cr_assert_not_null(print);
	cr_expect_eq(strlen(print), 32 * 3 - 1);
	cr_expect_str_eq(json_get_str(j, "key", &e), "EC");
	json_free(&j);
	tls_identity_unref(&id);
}

/* --- what is a handshake -------------------------------------------------- */

static int
accepted(uint16_t scheme, const uint8_t *m, size_t len)
{
	return tls_message_check(scheme, m, len, &e) != NULL;
}

TestSuite(tls_message, .init = setup, .fini = teardown);

Test(tls_message, tls13)
{
	uint8_t longer[sizeof(tls13) + 32] = {0};

	memcpy(longer, tls13, sizeof(tls13));
	cr_expect(accepted(0x0403, tls13, sizeof(tls13)));
	cr_expect(accepted(0x0503, longer, sizeof(tls13) + 16));
	cr_expect_not(accepted(0x0403, longer, sizeof(tls13) + 1));
	cr_expect_not(accepted(0x0403, tls13, sizeof(tls13) - 1));
	tls13[0] = '!';
	cr_expect_not(accepted(0x0403, tls13, sizeof(tls13)));
	tls13[0] = ' ';
	/* A client's handshake. */
	memcpy(tls13 + 64, "TLS 1.3, client CertificateVerify", 34);
	cr_expect_not(accepted(0x0403, tls13, sizeof(tls13)));
}

Test(tls_message, tls12)
{
	cr_expect(accepted(0x0403, tls12, sizeof(tls12)));
	cr_expect_not(accepted(0x0403, tls12, sizeof(tls12) - 1));
	cr_expect_not(accepted(0x0403, tls12, 67));
	tls12[64] = 1;
	cr_expect_not(accepted(0x0403, tls12, sizeof(tls12)));
	tls12[64] = 3;
	tls12[67] = 0;
	cr_expect_not(accepted(0x0403, tls12, 68));
}

Test(tls_message, anything_else_is_refused)
{
	static const uint8_t digest[32] = {1}, der[] = {0x30, 0x82, 1, 0};

	cr_expect_not(accepted(0x0403, digest, sizeof(digest)));
	cr_expect_not(accepted(0x0403, der, sizeof(der)));
	cr_expect_not(accepted(0x0403, tls13, 0));
	cr_expect_not(accepted(0x0201, tls12, sizeof(tls12)), "SHA-1");
	cr_expect_not(accepted(0, tls13, sizeof(tls13)));
}
