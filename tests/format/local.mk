# tests of format
FORMAT_TEST_LIBS = $(FORMAT_LIBS) $(COMMON_LIBS) $(TEST_LIBS)
check_PROGRAMS += \
	tests/format/test_auth_id \
	tests/format/test_blob \
	tests/format/test_catalog \
	tests/format/test_chunker \
	tests/format/test_crypt \
	tests/format/test_digest \
	tests/format/test_index \
	tests/format/test_keyfile \
	tests/format/test_manifest \
	tests/format/test_names \
	tests/format/test_prune \
	tests/format/test_pxar \
	tests/format/test_snapshot \
	tests/format/test_upid

tests_format_test_auth_id_SOURCES = tests/format/test_auth_id.c
tests_format_test_auth_id_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_auth_id_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_blob_SOURCES = tests/format/test_blob.c
tests_format_test_blob_CPPFLAGS = $(TEST_CPPFLAGS) $(ZSTD_CFLAGS)
tests_format_test_blob_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_catalog_SOURCES = tests/format/test_catalog.c
tests_format_test_catalog_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_catalog_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_chunker_SOURCES = tests/format/test_chunker.c
tests_format_test_chunker_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_chunker_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_crypt_SOURCES = tests/format/test_crypt.c
tests_format_test_crypt_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_crypt_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_digest_SOURCES = tests/format/test_digest.c
tests_format_test_digest_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_digest_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_index_SOURCES = tests/format/test_index.c
tests_format_test_index_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_index_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_keyfile_SOURCES = tests/format/test_keyfile.c
tests_format_test_keyfile_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_keyfile_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_manifest_SOURCES = tests/format/test_manifest.c
tests_format_test_manifest_CPPFLAGS = $(TEST_CPPFLAGS) $(CRYPTO_CFLAGS)
tests_format_test_manifest_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_names_SOURCES = tests/format/test_names.c
tests_format_test_names_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_names_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_prune_SOURCES = tests/format/test_prune.c
tests_format_test_prune_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_prune_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_pxar_SOURCES = tests/format/test_pxar.c \
	tests/format/pxar_make.c tests/format/pxar_make.h
tests_format_test_pxar_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_pxar_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_snapshot_SOURCES = tests/format/test_snapshot.c
tests_format_test_snapshot_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_snapshot_LDADD = $(FORMAT_TEST_LIBS)
tests_format_test_upid_SOURCES = tests/format/test_upid.c
tests_format_test_upid_CPPFLAGS = $(TEST_CPPFLAGS)
tests_format_test_upid_LDADD = $(FORMAT_TEST_LIBS)
